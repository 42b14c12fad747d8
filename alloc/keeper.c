/* alloc/keeper.c - the arena keeper thread: reservations from mimalloc, and periodic callbacks.
 *
 * Invariant: only this thread calls mi_heap_* and mi_free; only it touches heap[] and commit[].
 * Requests are served in order, after all reservations given back before them. In the child of a fork
 * there is no thread until one is needed; the new one opens heaps of its own, and what the former one
 * reserved is never freed by it, but kept for requests of the same size.
 * Lock order: keeper->lock is the last lock of all; it is dropped around mimalloc and callbacks.
 * Requests lie on the stacks of the threads that wait for them; watches are plain memory. */
#define _GNU_SOURCE 1

#include "alloc/keeper.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "alloc/commit.h"
#include "alloc/window_state.h"
#include "topology/error.h"
#include "topology/os.h"

/* A thread waiting for the keeper; under the lock. */
struct ha_request {
    const mi_arena_id_t *arena; /* open heaps in these; NULL: reserve           */
    int node;                   /* reserve: in this window; open: out, refused  */
    size_t bytes;               /* reserve: how much                            */
    void *block;                /* out: the reservation, or non-NULL when open  */
    bool done;                  /* answered                                     */
    pthread_cond_t answered;    /* signalled once                               */
    struct ha_request *next;    /* queue                                        */
};

/* A periodic callback; under the lock. */
struct ha_watch {
    void (*fn)(void *);    /* what to call                                  */
    void *data;            /* with what                                     */
    uint64_t period;       /* ns                                            */
    uint64_t due;          /* ht_os_now() of the next call                  */
    struct ha_watch *next; /* list                                          */
};

struct ha_keeper {
    pthread_mutex_t lock;
    pthread_cond_t work;          /* CLOCK_MONOTONIC; something to do               */
    pthread_cond_t called;        /* broadcast when a callback has returned         */
    struct ha_request *first;     /* queue of requests                              */
    struct ha_request **last;     /* its end                                        */
    struct ha_reservation *given; /* reservations to free                           */
    struct ha_reservation *kept;  /* keeper thread only: what may not be freed (see below)    */
    struct ha_watch *watches;     /* all of them                                    */
    struct ha_watch *running;     /* the one being called                           */
    uint64_t wakeups;             /* returns from sleep                             */
    bool alive;                   /* there is a thread                              */
    bool started;                 /* it runs: self is valid (atomic)                */
    bool busy;                    /* it works, without the lock                     */
    bool paused;                  /* it begins nothing: the process is forking      */
    uint32_t generation;          /* forks that led to this process                 */
    pthread_t self;
    const struct ha_windows *windows;
    mi_heap_t *heap[HT_MAX_NODES];         /* keeper thread only                        */
    struct ha_commit commit[HT_MAX_NODES]; /* keeper thread only; committed=false     */
};

/* --- on the keeper thread ---------------------------------------------------------------------- */

/* Open the node's heap if it is not open yet; false: refused. */
static bool ha_keeper_heap(struct ha_keeper *keeper, const mi_arena_id_t *arena, int node)
{
    if (keeper->heap[node] == NULL && !ht_fault_hit(HT_FAULT_ARENA, ENOMEM))
        keeper->heap[node] = mi_heap_new_in_arena(arena[node]);
    return keeper->heap[node] != NULL;
}

/* All of them; false: the one of request->node was refused. */
static bool ha_keeper_heaps(struct ha_keeper *keeper, struct ha_request *request)
{
    for (int i = 0; i < keeper->windows->nodes; i++) {
        request->node = i;
        if (!ha_keeper_heap(keeper, request->arena, i))
            return false;
    }
    return true;
}

/* valgrind takes mi_free for free, which has the same address in mimalloc's library, and knows nothing
 * of what mi_heap_malloc gave; and in the child of a fork mimalloc is not to free what belongs to the
 * heap of a thread that is gone. So there reservations are kept for the next request of their size. */
static void *ha_keeper_kept(struct ha_keeper *keeper, int node, size_t bytes)
{
    struct ha_reservation **link = &keeper->kept;
    void *block = NULL;

    while (*link != NULL && ((*link)->node != node || (*link)->bytes != bytes))
        link = &(*link)->next;
    if (*link != NULL) {
        block = (*link)->block;
        *link = (*link)->next;
    }
    return block;
}

static void *ha_keeper_malloc(struct ha_keeper *keeper, int node, size_t bytes)
{
    const struct ha_windows *windows = keeper->windows;
    struct ha_commit *commit = windows->committed ? NULL : &keeper->commit[node];
    void *block = ha_keeper_kept(keeper, node, bytes);

    if (block != NULL)
        return block;
    if (!ha_keeper_heap(keeper, windows->state->arena, node))
        return NULL;
    if (bytes > ((size_t)1 << windows->shift) - HA_ARENA_HEAD ||
        (commit != NULL && !ha_commit_ahead(commit, bytes)))
        return NULL;
    block =
        ht_fault_hit(HT_FAULT_RESERVE, ENOMEM) ? NULL : mi_heap_malloc(keeper->heap[node], bytes);
    if (block != NULL && commit != NULL)
        ha_commit_note(commit, block, bytes, true);
    return block;
}

static void ha_keeper_free(struct ha_keeper *keeper, struct ha_reservation *list)
{
    while (list != NULL) {
        struct ha_reservation *next = list->next;
        void *block = list->block;

        if (ha_on_valgrind() || list->generation != keeper->generation) {
            list->next = keeper->kept;
            keeper->kept = list;
        } else {
            if (!keeper->windows->committed)
                ha_commit_note(&keeper->commit[list->node], block, list->bytes, false);
            mi_free(block);
        }
        list = next;
    }
}

/* The watch that is due, or NULL and when the next one will be (0: never). Lock held. */
static struct ha_watch *ha_keeper_due(struct ha_keeper *keeper, uint64_t *next)
{
    struct ha_watch *earliest = keeper->watches;

    *next = 0;
    for (struct ha_watch *watch = earliest; watch != NULL; watch = watch->next)
        if (watch->due < earliest->due)
            earliest = watch;
    if (earliest == NULL || earliest->due <= ht_os_now())
        return earliest;
    *next = earliest->due;
    return NULL;
}

/* Work without the lock begins and ends: who forks waits until there is none. */
static void ha_keeper_leave(struct ha_keeper *keeper)
{
    keeper->busy = true;
    pthread_mutex_unlock(&keeper->lock);
}

static void ha_keeper_return(struct ha_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->busy = false;
    if (keeper->paused)
        pthread_cond_broadcast(&keeper->called);
}

/* Lock held; dropped around the call. */
static void ha_keeper_call(struct ha_keeper *keeper, struct ha_watch *watch)
{
    keeper->running = watch;
    ha_keeper_leave(keeper);
    watch->fn(watch->data);
    ha_keeper_return(keeper);
    if (keeper->running == watch) /* NULL: it has removed itself */
        watch->due = ht_os_now() + watch->period;
    keeper->running = NULL;
    pthread_cond_broadcast(&keeper->called);
}

/* Lock held; sleeps until `until`, or for ever if 0. */
static void ha_keeper_sleep(struct ha_keeper *keeper, uint64_t until)
{
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000u),
                          .tv_nsec = (long)(until % 1000000000u)};

    if (until == 0)
        pthread_cond_wait(&keeper->work, &keeper->lock);
    else
        pthread_cond_timedwait(&keeper->work, &keeper->lock, &at);
    keeper->wakeups++;
}

/* Lock held; dropped around mimalloc. */
static void ha_keeper_serve(struct ha_keeper *keeper, struct ha_request *request)
{
    keeper->first = request->next;
    if (keeper->first == NULL)
        keeper->last = &keeper->first;
    ha_keeper_leave(keeper);
    if (request->arena != NULL)
        request->block = ha_keeper_heaps(keeper, request) ? keeper : NULL;
    else
        request->block = ha_keeper_malloc(keeper, request->node, request->bytes);
    ha_keeper_return(keeper);
    request->done = true;
    pthread_cond_signal(&request->answered);
}

static void *ha_keeper_main(void *data)
{
    struct ha_keeper *keeper = data;
    struct ha_reservation *given;
    struct ha_watch *watch;
    uint64_t next;

    pthread_mutex_lock(&keeper->lock);
    keeper->self = pthread_self();
    __atomic_store_n(&keeper->started, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&keeper->called);
    for (;;) {
        given = keeper->given;
        if (keeper->paused) {
            ha_keeper_sleep(keeper, 0);
        } else if (given != NULL) {
            keeper->given = NULL;
            ha_keeper_leave(keeper);
            ha_keeper_free(keeper, given);
            ha_keeper_return(keeper);
        } else if (keeper->first != NULL) {
            ha_keeper_serve(keeper, keeper->first);
        } else if ((watch = ha_keeper_due(keeper, &next)) != NULL) {
            ha_keeper_call(keeper, watch);
        } else {
            ha_keeper_sleep(keeper, next);
        }
    }
    return NULL;
}

/* --- for the other threads --------------------------------------------------------------------- */

/* The mirrors of the arenas' blocks, if the windows need them. */
static bool ha_keeper_commits(struct ha_keeper *keeper, const struct ha_windows *windows)
{
    for (int i = 0; i < windows->nodes && !windows->committed; i++)
        if (!ha_commit_init(&keeper->commit[i], windows->base + ((uintptr_t)i << windows->shift),
                            (size_t)1 << windows->shift))
            return false;
    return true;
}

static void ha_keeper_destroy(struct ha_keeper *keeper)
{
    for (int i = 0; i < HT_MAX_NODES; i++)
        ht_os_free(keeper->commit[i].used);
    pthread_cond_destroy(&keeper->work);
    pthread_cond_destroy(&keeper->called);
    pthread_mutex_destroy(&keeper->lock);
    ht_os_free(keeper);
}

static void ha_keeper_conditions(struct ha_keeper *keeper)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&keeper->called, NULL);
}

static void ha_keeper_init(struct ha_keeper *keeper, const struct ha_windows *windows)
{
    ha_keeper_conditions(keeper);
    pthread_mutex_init(&keeper->lock, NULL);
    keeper->last = &keeper->first;
    keeper->windows = windows;
}

/* Start the thread if there is none, and wait until it runs. Lock held. 0 or an errno. */
static int ha_keeper_revive(struct ha_keeper *keeper)
{
    pthread_t thread;
    int error = 0;

    if (!keeper->alive) {
        error = ht_os_thread(&thread, "hearth-arena", ha_keeper_main, keeper, NULL, 0);
        if (error != 0)
            return error;
        pthread_detach(thread);
        keeper->alive = true;
    }
    while (!keeper->started)
        pthread_cond_wait(&keeper->called, &keeper->lock);
    return 0;
}

hearth_status ha_keeper_start(struct ha_keeper **out, const struct ha_windows *windows)
{
    struct ha_keeper *keeper = ht_os_alloc(sizeof(*keeper));
    int error;

    if (keeper == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for the arena keeper (%zu bytes)",
                       sizeof(*keeper));
    ha_keeper_init(keeper, windows);
    if (!ha_keeper_commits(keeper, windows)) {
        ha_keeper_destroy(keeper);
        return ht_fail(HEARTH_ENOMEM, "no memory for the arena keeper's tables");
    }
    pthread_mutex_lock(&keeper->lock);
    error = ha_keeper_revive(keeper);
    pthread_mutex_unlock(&keeper->lock);
    if (error != 0) {
        ha_keeper_destroy(keeper);
        return ht_fail(HEARTH_ESYSTEM, "cannot start the arena keeper thread (errno %d)", error);
    }
    *out = keeper;
    return HEARTH_OK;
}

/* Queue a request and wait for its answer. Without a thread (that of a forked child does not start) the
 * answer is no. */
static void ha_keeper_ask(struct ha_keeper *keeper, struct ha_request *request)
{
    pthread_cond_init(&request->answered, NULL);
    pthread_mutex_lock(&keeper->lock);
    if (ha_keeper_revive(keeper) == 0) {
        *keeper->last = request;
        keeper->last = &request->next;
        pthread_cond_signal(&keeper->work);
        while (!request->done)
            pthread_cond_wait(&request->answered, &keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    pthread_cond_destroy(&request->answered);
}

hearth_status ha_keeper_open(struct ha_keeper *keeper, const mi_arena_id_t *arena)
{
    struct ha_request request = {.arena = arena};

    ha_keeper_ask(keeper, &request);
    if (request.block == NULL)
        return ht_fail(HEARTH_ESYSTEM, "mimalloc opens no heap in the arena of node %d",
                       request.node);
    return HEARTH_OK;
}

bool ha_keeper_here(const struct ha_keeper *keeper)
{
    return __atomic_load_n(&keeper->started, __ATOMIC_ACQUIRE) &&
           pthread_equal(keeper->self, pthread_self());
}

/* A callback may ask for memory: then what was given back is freed first here, as the loop would. */
void *ha_keeper_reserve(struct ha_keeper *keeper, int node, size_t bytes)
{
    struct ha_request request = {.node = node, .bytes = bytes};

    if (ha_keeper_here(keeper)) {
        struct ha_reservation *given;

        pthread_mutex_lock(&keeper->lock);
        given = keeper->given;
        keeper->given = NULL;
        pthread_mutex_unlock(&keeper->lock);
        ha_keeper_free(keeper, given);
        request.block = ha_keeper_malloc(keeper, node, bytes);
    } else {
        ha_keeper_ask(keeper, &request);
    }
    if (request.block == NULL)
        errno = ENOMEM;
    return request.block;
}

uint32_t ha_keeper_generation(const struct ha_keeper *keeper)
{
    return keeper->generation;
}

void ha_keeper_wake(struct ha_keeper *keeper)
{
    if (__atomic_load_n(&keeper->started, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&keeper->lock);
    if (keeper->watches != NULL)
        (void)ha_keeper_revive(keeper); /* if not, the next one tries again */
    pthread_mutex_unlock(&keeper->lock);
}

void ha_keeper_release(struct ha_keeper *keeper, struct ha_reservation *reservation)
{
    pthread_mutex_lock(&keeper->lock);
    reservation->next = keeper->given;
    keeper->given = reservation;
    pthread_cond_signal(&keeper->work);
    pthread_mutex_unlock(&keeper->lock);
}

uint64_t ha_keeper_wakeups(struct ha_keeper *keeper)
{
    uint64_t wakeups;

    pthread_mutex_lock(&keeper->lock);
    wakeups = keeper->wakeups;
    pthread_mutex_unlock(&keeper->lock);
    return wakeups;
}

/* --- watches ----------------------------------------------------------------------------------- */

/* The link that points to the watch of (fn, data), or to NULL at the end. Lock held. */
static struct ha_watch **ha_keeper_find(struct ha_keeper *keeper, void (*fn)(void *), void *data)
{
    struct ha_watch **link = &keeper->watches;

    while (*link != NULL && ((*link)->fn != fn || (*link)->data != data))
        link = &(*link)->next;
    return link;
}

hearth_status ha_keeper_watch(struct ha_windows *windows, void (*fn)(void *), void *data,
                              unsigned period_ms)
{
    struct ha_keeper *keeper = windows->state->keeper;
    struct ha_watch *watch, **link;

    if (fn == NULL || period_ms == 0)
        return ht_fail(HEARTH_EINVAL, "a watch needs a function and a period, not %u ms",
                       period_ms);
    watch = ht_os_alloc(sizeof(*watch));
    if (watch == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a watch (%zu bytes)", sizeof(*watch));
    watch->fn = fn;
    watch->data = data;
    watch->period = (uint64_t)period_ms * 1000000u;
    watch->due = ht_os_now() + watch->period;
    pthread_mutex_lock(&keeper->lock);
    link = ha_keeper_find(keeper, fn, data);
    if (*link != NULL) {
        pthread_mutex_unlock(&keeper->lock);
        ht_os_free(watch);
        return ht_fail(HEARTH_ESTATE, "the owner %p has a watch already", data);
    }
    *link = watch;
    pthread_cond_signal(&keeper->work);
    pthread_mutex_unlock(&keeper->lock);
    return HEARTH_OK;
}

void ha_keeper_unwatch(struct ha_windows *windows, void (*fn)(void *), void *data)
{
    struct ha_keeper *keeper = windows->state->keeper;
    struct ha_watch *watch, **link;

    pthread_mutex_lock(&keeper->lock);
    link = ha_keeper_find(keeper, fn, data);
    watch = *link;
    if (watch != NULL) {
        *link = watch->next;
        if (ha_keeper_here(keeper) && keeper->running == watch)
            keeper->running = NULL;
        while (keeper->running == watch)
            pthread_cond_wait(&keeper->called, &keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    ht_os_free(watch);
}

/* --- forks -------------------------------------------------------------------------------------- */

void ha_keeper_pause(struct ha_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->paused = true;
    while (keeper->busy)
        pthread_cond_wait(&keeper->called, &keeper->lock);
    pthread_mutex_unlock(&keeper->lock);
}

void ha_keeper_hold(struct ha_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
}

void ha_keeper_resume(struct ha_keeper *keeper)
{
    keeper->paused = false;
    pthread_cond_signal(&keeper->work);
    pthread_mutex_unlock(&keeper->lock);
}

/* Requests lie on the stacks of threads that are gone; conditions know of their waiting. */
void ha_keeper_forked(struct ha_keeper *keeper)
{
    ha_keeper_conditions(keeper);
    keeper->first = NULL;
    keeper->last = &keeper->first;
    keeper->running = NULL;
    keeper->paused = keeper->alive = keeper->started = false;
    keeper->generation++;
    memset(keeper->heap, 0, sizeof(keeper->heap));
    pthread_mutex_unlock(&keeper->lock);
}
