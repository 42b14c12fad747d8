/* gc/mailbox.h - batches of references, and the queues of every node they travel through.
 *
 * Each node has an inbox (references sent by workers of other nodes) and a shared list (surplus of its
 * own workers, to be stolen). A batch in a queue counts as work for termination: `work` holds
 * pending batches in its low half and busy workers in its high half, so that one atomic read tells
 * that all is done. (NumaGiC, Gidra et al., ASPLOS 2015; the count instead of its snapshot.)
 * Whoever sees a batch counted in `work` sees its queue's `waiting` above 0 as well, and then waits for
 * the lock: a worker never spins while another one, preempted, is half through posting or fetching.
 * Lock order: queue->lock < the window set's. Node: batches come from the memory of the node they serve. */
#ifndef HEARTH_GC_MAILBOX_H
#define HEARTH_GC_MAILBOX_H

#include <pthread.h>

#include "alloc/space.h"

enum { HG_BATCH = 509, HG_SLAB = 64 << 10 };

struct hg_batch {
    struct hg_batch *next;
    uint32_t count;
    int32_t node; /* whose memory it is                        */
    uint64_t unused;
    uintptr_t entry[HG_BATCH];
};

_Static_assert(sizeof(struct hg_batch) == 4096, "a batch is a page");

struct hg_slab {
    struct hg_slab *next;
};

struct hg_queue {
    pthread_mutex_t lock;
    struct hg_batch *inbox;  /* from other nodes                          */
    struct hg_batch *shared; /* from workers of this node                 */
    struct hg_batch *free;   /* empty ones                                */
    struct hg_slab *slabs;   /* where they were cut from                  */
    uint64_t received;       /* references that came in                   */
    bool dry;                /* no memory for more slabs in this phase    */
    uint32_t waiting;        /* batches in inbox and shared (lock; read without)  */
} __attribute__((aligned(64)));

struct hg_mail {
    uint64_t work;     /* busy << 32 | pending (atomic)                    */
    uint64_t apart[7]; /* the futex word lies in another line               */
    uint32_t tick;     /* futex: changes when work comes or all is done    */
    uint32_t sleepers; /* workers asleep on tick (atomic)                  */
    int nodes;
    struct ha_windows *windows;
    struct hg_queue *queue[HT_MAX_NODES];
};

hearth_status hg_mail_init(struct hg_mail *mail, struct ha_windows *windows, int nodes);
void hg_mail_destroy(struct hg_mail *mail);

/* Begin a phase, nobody else working: the caller is busy, counters are 0. */
void hg_mail_begin(struct hg_mail *mail);

/* An empty batch in the memory of `node`; NULL: no memory. */
struct hg_batch *hg_batch_take(struct hg_mail *mail, int node);
void hg_batch_give(struct hg_mail *mail, struct hg_batch *batch);

/* Queue a batch for `node`; wakes a sleeper. */
void hg_mail_post(struct hg_mail *mail, int node, struct hg_batch *batch, bool inbox);
/* Take a batch of `node`, inbox first; NULL: none. The caller is busy. */
struct hg_batch *hg_mail_fetch(struct hg_mail *mail, int node);

static inline uint32_t hg_mail_pending(struct hg_mail *mail)
{
    return (uint32_t)__atomic_load_n(&mail->work, __ATOMIC_ACQUIRE);
}

static inline bool hg_mail_done(struct hg_mail *mail)
{
    return __atomic_load_n(&mail->work, __ATOMIC_ACQUIRE) == 0;
}

/* The caller becomes busy; false: all work is done already, do not begin. */
bool hg_mail_join(struct hg_mail *mail);
/* The caller, busy, has nothing left. Sleeps until there may be work: true (busy again), or all is
 * done: false. */
bool hg_mail_idle(struct hg_mail *mail);

#ifdef HEARTH_DEBUG
/* Tests: called at every step of a hand-over, to widen the windows of races. NULL: nothing. */
extern void (*hg_mail_delay)(void);
#endif

bool hg_mail_check(const struct hg_mail *mail);

#endif
