/* gc/crew.c - GC worker threads. See crew.h for the rule of late joining. */
#define _GNU_SOURCE
#include "gc/crew.h"

#include <stdio.h>

#include "topology/error.h"
#include "topology/os.h"

static __thread bool hg_helping; /* this thread is inside a phase */

bool hg_crew_here(void)
{
    return hg_helping;
}

/* Wait for a phase that this member has not been in; false: quit. */
static bool hg_crew_enter(struct hg_crew *crew, const struct hg_crew_member *member, uint64_t *seen,
                          hg_phase_fn **fn, void **data)
{
    for (;;) {
        uint32_t call = __atomic_load_n(&crew->call, __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&crew->lock);
        bool quit = crew->quit;
        bool join = !quit && crew->fn != NULL && crew->phase != *seen && crew->wanted > 0 &&
                    member->number != crew->spare;
        if (join) {
            *seen = crew->phase;
            *fn = crew->fn;
            *data = crew->data;
            crew->wanted--;
            crew->inside++;
            crew->joined++;
        }
        pthread_mutex_unlock(&crew->lock);
        if (join || quit)
            return join;
        ht_os_sleep(&crew->call, call, 0);
    }
}

static void *hg_crew_main(void *argument)
{
    struct hg_crew_member *member = argument;
    struct hg_crew *crew = member->crew;
    uint64_t seen = 0;
    hg_phase_fn *fn;
    void *data;
    while (hg_crew_enter(crew, member, &seen, &fn, &data)) {
        hg_helping = true;
        fn(data, member->number);
        hg_helping = false;
        pthread_mutex_lock(&crew->lock);
        if (--crew->inside == 0)
            pthread_cond_signal(&crew->left);
        pthread_mutex_unlock(&crew->lock);
    }
    return NULL;
}

hearth_status hg_crew_create(struct hg_crew **out, const struct hearth_topology *topology,
                             int workers)
{
    struct hg_crew *crew = ht_os_alloc(sizeof *crew);
    if (crew == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for the GC workers");
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->left, NULL);
    crew->topology = topology;
    crew->size = workers > HG_CREW_MAX ? HG_CREW_MAX - 1 : workers - 1;
    crew->spare = crew->size + 1;
    for (int i = 0; i < HG_CREW_MAX; i++) {
        crew->member[i].crew = crew;
        crew->member[i].number = i;
        crew->member[i].node = i % topology->nodes;
    }
    *out = crew;
    return HEARTH_OK;
}

void hg_crew_destroy(struct hg_crew *crew)
{
    if (crew == NULL)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->quit = true;
    pthread_mutex_unlock(&crew->lock);
    __atomic_fetch_add(&crew->call, 1, __ATOMIC_SEQ_CST);
    ht_os_wake(&crew->call, INT32_MAX);
    for (int i = 1; i < HG_CREW_MAX; i++)
        if (crew->member[i].started)
            pthread_join(crew->member[i].thread, NULL);
    pthread_cond_destroy(&crew->left);
    pthread_mutex_destroy(&crew->lock);
    ht_os_free(crew);
}

void hg_crew_spare(struct hg_crew *crew, int node)
{
    pthread_mutex_lock(&crew->lock);
    crew->spare = crew->size + 1;
    for (int i = hg_crew_last(crew); i > 0; i--)
        if (crew->member[i].node == node) {
            crew->spare = i;
            break;
        }
    if (hg_crew_last(crew) == crew->size) /* there is none more */
        crew->spare = crew->size + 1;
    pthread_mutex_unlock(&crew->lock);
}

void hg_crew_open(struct hg_crew *crew, hg_phase_fn *fn, void *data)
{
    pthread_mutex_lock(&crew->lock);
    crew->fn = fn;
    crew->data = data;
    crew->phase++;
    crew->wanted = 0;
    crew->joined = 0;
    pthread_mutex_unlock(&crew->lock);
}

/* Start a thread that does not exist yet; failing to is no error: fewer helpers. Lock held. */
static void hg_crew_start(struct hg_crew *crew, int number)
{
    struct hg_crew_member *member = &crew->member[number];
    const struct hearth_topology *topology = crew->topology;
    char name[16];
    snprintf(name, sizeof name, "hearth-gc-%u", (unsigned)number % 1000u);
    const cpu_set_t *cpus = topology->synthetic ? NULL : topology->node[member->node].cpu_set;
    member->started = ht_os_thread(&member->thread, name, hg_crew_main, member, cpus,
                                   CPU_ALLOC_SIZE(HT_MAX_CPUS)) == 0;
    crew->started += member->started;
}

void hg_crew_call(struct hg_crew *crew, int helpers)
{
    pthread_mutex_lock(&crew->lock);
    int room = crew->size - crew->inside - crew->wanted;
    if (helpers > room)
        helpers = room;
    if (crew->fn == NULL)
        helpers = 0;
    int missing = crew->inside + crew->wanted + helpers;
    for (int i = 1; i <= hg_crew_last(crew); i++)
        missing -= hg_crew_comes(crew, i);
    for (int i = 1; i <= hg_crew_last(crew) && missing > 0; i++)
        if (!crew->member[i].started && i != crew->spare) {
            hg_crew_start(crew, i);
            missing -= crew->member[i].started;
        }
    if (helpers > 0)
        crew->wanted += helpers;
    pthread_mutex_unlock(&crew->lock);
    if (helpers > 0) {
        __atomic_fetch_add(&crew->call, 1, __ATOMIC_SEQ_CST);
        ht_os_wake(&crew->call, INT32_MAX);
    }
}

int hg_crew_close(struct hg_crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->fn = NULL;
    crew->wanted = 0;
    while (crew->inside > 0)
        pthread_cond_wait(&crew->left, &crew->lock);
    int joined = crew->joined;
    pthread_mutex_unlock(&crew->lock);
    return joined;
}

void hg_crew_forked(struct hg_crew *crew)
{
    pthread_cond_init(&crew->left, NULL);
    crew->fn = NULL;
    crew->inside = crew->joined = crew->wanted = crew->started = 0;
    for (int i = 0; i < HG_CREW_MAX; i++)
        crew->member[i].started = false;
}
