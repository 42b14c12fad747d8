/* python/src/machine.c - see machine.h. And forks: the child has the windows and no threads; they
 * start again when they are needed.
 *
 * A fork by the holder of the GIL finds no phase open. Another's finds whatever it finds, but what it
 * leaves in the child is only looked at with the GIL, which such a child cannot have.
 * Lock order: hp_forks < keepers' pause < arenas < crew < window sets (gc/fork.c has the same). */
#define _GNU_SOURCE 1
#include "machine.h"

#include "arenas.h"

#include "alloc/fork.h"
#include "topology/error.h"
#include "topology/os.h"

static struct hp_machine hp_the_machine;
static bool hp_machine_ready;
static pthread_mutex_t hp_forks = PTHREAD_MUTEX_INITIALIZER; /* held by the thread that forks */

/* --- forks ------------------------------------------------------------------------------------- */

static void hp_fork_prepare(void)
{
    pthread_mutex_lock(&hp_forks);
    ha_fork_pause();
    hp_arenas_hold();
    if (hp_the_machine.crew != NULL)
        pthread_mutex_lock(&hp_the_machine.crew->lock);
    ha_fork_hold();
}

static void hp_fork_end(void)
{
    if (hp_the_machine.crew != NULL)
        pthread_mutex_unlock(&hp_the_machine.crew->lock);
    hp_arenas_release();
    pthread_mutex_unlock(&hp_forks);
}

static void hp_fork_parent(void)
{
    ha_fork_parent();
    hp_fork_end();
}

static void hp_fork_child(void)
{
    ha_fork_child();
    if (hp_the_machine.crew != NULL)
        hg_crew_forked(hp_the_machine.crew);
    hp_fork_end();
}

/* --- making it --------------------------------------------------------------------------------- */

/* One node is made of all under `numactl --interleave` and the like, as heaps do it (gc/heap.c). */
static hearth_status hp_topology_make(struct hp_machine *machine)
{
    int mode = machine->options.mode;
    hearth_status status = ht_topology_create(&machine->topology, &machine->options);
    if (status == HEARTH_OK && (mode == HT_MODE_OFF || mode == HT_MODE_INTERLEAVE ||
                                (mode == HT_MODE_AUTO && machine->topology->user_spreads)))
        ht_topology_merge(machine->topology);
    return status;
}

static hearth_status hp_machine_make(struct hp_machine *machine, bool huge)
{
    static bool registered;
    hearth_status status = ht_options_defaults(&machine->options, true);
    if (status != HEARTH_OK)
        return status;
    if (huge)
        machine->options.hugepages = HT_HUGE_ON;
    if (machine->options.mode == HT_MODE_OFF)
        machine->options.policy = HT_POLICY_OFF;
    if (machine->topology == NULL)
        status = hp_topology_make(machine);
    if (status == HEARTH_OK)
        status = ha_windows_get(&machine->windows, machine->topology, &machine->options);
    if (status == HEARTH_OK && !registered) {
        registered = ht_os_at_fork(hp_fork_prepare, hp_fork_parent, hp_fork_child);
        if (!registered)
            status = ht_fail(HEARTH_ESYSTEM, "pthread_atfork: no memory");
    }
    return status;
}

struct hp_machine *hp_machine(bool huge)
{
    if (!hp_machine_ready)
        hp_machine_ready = hp_machine_make(&hp_the_machine, huge) == HEARTH_OK;
    return hp_machine_ready ? &hp_the_machine : NULL;
}

struct hp_machine *hp_machine_made(void)
{
    return hp_machine_ready ? &hp_the_machine : NULL;
}

struct hg_crew *hp_machine_crew(struct hp_machine *machine, int workers)
{
    if (workers == 0)
        workers = machine->topology->cpus;
    if (workers > HG_CREW_MAX)
        workers = HG_CREW_MAX;
    if (machine->crew != NULL && machine->crew->size != workers - 1) {
        struct hg_crew *old = machine->crew;
        machine->crew = NULL; /* a fork meanwhile must not look at it */
        hg_crew_destroy(old);
    }
    if (machine->crew == NULL &&
        hg_crew_create(&machine->crew, machine->topology, workers) != HEARTH_OK)
        machine->crew = NULL;
    return machine->crew;
}
