/* gc/crew.h - the GC worker threads of a heap: started when first needed, bound to nodes, asleep between
 * collections.
 *
 * A phase is opened by the collecting thread, which works in it itself; helpers that are called join late
 * or not at all, and closing waits only for those that have joined. Nobody waits for a thread that
 * has not begun: on a loaded machine that is what makes parallel collectors slower than serial ones.
 * (With several nodes the work of a node is left to its own helpers for at most a millisecond: mailbox.h,
 * reclaim.c.)
 * Lock order: crew->lock is a leaf. */
#ifndef HEARTH_GC_CREW_H
#define HEARTH_GC_CREW_H

#include <pthread.h>

#include "topology/topology.h"

enum { HG_CREW_MAX = 256 };

typedef void hg_phase_fn(void *data, int worker); /* worker: 1 .. ; the opener is 0 */

struct hg_crew_member {
    pthread_t thread;
    struct hg_crew *crew;
    int number; /* 1 ..                                              */
    int node;   /* bound to                                          */
    bool started;
};

struct hg_crew {
    pthread_mutex_t lock;
    pthread_cond_t left; /* the last helper left the phase                    */
    uint32_t call;       /* futex: helpers sleep on it                        */
    hg_phase_fn *fn;     /* of the open phase; NULL: closed                   */
    void *data;
    uint64_t phase; /* number of the phase                               */
    int inside;     /* helpers in it                                     */
    int joined;     /* helpers that have been in it                      */
    int wanted;     /* helpers that may still join                       */
    int size;       /* members that may be in a phase (workers - 1)      */
    int spare;      /* member that stays out; size + 1: the last         */
    int started;
    bool quit;
    const struct hearth_topology *topology;
    struct hg_crew_member member[HG_CREW_MAX];
};

hearth_status hg_crew_create(struct hg_crew **out, const struct hearth_topology *topology,
                             int workers);
void hg_crew_destroy(struct hg_crew *crew);

/* There is one member more than may be in a phase. Before opening: leave out one of the opener's node, so that
 * with a worker for each processor every node has its own, wherever the opener runs. */
void hg_crew_spare(struct hg_crew *crew, int node);
/* Open a phase; nobody is called yet. */
void hg_crew_open(struct hg_crew *crew, hg_phase_fn *fn, void *data);
/* Call up to `helpers` more threads to the open phase. Any worker in it. */
void hg_crew_call(struct hg_crew *crew, int helpers);
/* No more may join; wait for those inside. Returns how many had joined. */
int hg_crew_close(struct hg_crew *crew);

/* May this member come to the phase, does its thread exist? Between calls, by the opener. */
static inline bool hg_crew_comes(const struct hg_crew *crew, int number)
{
    return crew->member[number].started && number != crew->spare;
}
/* The highest number of a member. */
static inline int hg_crew_last(const struct hg_crew *crew)
{
    return crew->size == 0 || crew->size == HG_CREW_MAX - 1 ? crew->size : crew->size + 1;
}

/* Is the calling thread a helper of any crew, inside a phase? */
bool hg_crew_here(void);
/* In the child of a fork, the lock held and no phase open: the helpers are gone, others start when needed. */
void hg_crew_forked(struct hg_crew *crew);

/* Node of worker `number` (0 has none: where it runs). */
static inline int hg_crew_node(const struct hg_crew *crew, int number)
{
    return crew->member[number].node;
}

#endif
