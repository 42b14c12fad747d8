/* gc/mailbox.h - batches of references, and the queues of every node they travel through.
 *
 * Each node has an inbox (references sent by workers of other nodes) and a shared list (surplus that its own
 * workers offer). A batch in a queue counts as work for termination: `work` holds pending batches in
 * its low half and busy workers in its high half, so that one atomic read tells that all is done.
 * (NumaGiC, Gidra et al., ASPLOS 2015; the count instead of its snapshot.)
 *
 * Who may take what: a worker everything of its own node; a thief of another node what that one offers, but
 * its inbox only if nobody works there, or more is waiting than its workers are about to deal with. For
 * who waits a little is sent work of his own node, and a stolen object costs remote accesses.
 * Who posts wakes a worker that may take it: of the node, else a thief. A worker counts itself among the
 * sleepers before it looks for the last time, and who posts looks for sleepers afterwards, so one of
 * them sees the other.
 * Lock order: queue->lock < the window set's. Node: batches come from the memory of the node they are filled
 * on (if that is full, of the nearest that is not): who fills writes at home, who takes copies the whole. */
#ifndef HEARTH_GC_MAILBOX_H
#define HEARTH_GC_MAILBOX_H

#include <pthread.h>

#include "alloc/space.h"

enum {
    HG_BATCH = 509,
    HG_SLAB = 64 << 10,
    HG_BACKLOG = 8,          /* batches a worker has waiting before thieves help           */
    HG_PATIENCE_NS = 1000000 /* for a worker that was called and has not come yet          */
};

/* Aligned to its size, so that a pointer behind its last entry tells that it is full. */
struct hg_batch {
    struct hg_batch *next;
    uint32_t count;
    int32_t node;    /* whose queue it belongs to                 */
    uint64_t number; /* for observers                             */
    uintptr_t entry[HG_BATCH];
};

_Static_assert(sizeof(struct hg_batch) == 4096, "a batch is a page");

/* The batch that `at` points into, or behind. */
static inline struct hg_batch *hg_batch_of(const uintptr_t *at)
{
    return (struct hg_batch *)(((uintptr_t)at - 1) & ~(uintptr_t)(sizeof(struct hg_batch) - 1));
}
static inline bool hg_batch_full(const uintptr_t *at)
{
    return (uintptr_t)at % sizeof(struct hg_batch) == 0;
}

struct hg_slab {
    struct hg_slab *next;
};

struct hg_queue {
    pthread_mutex_t lock;
    struct hg_batch *inbox;  /* from other nodes                          */
    struct hg_batch *shared; /* offered by workers of this node           */
    struct hg_batch *free;   /* empty ones                                */
    struct hg_slab *slabs;   /* where they were cut from                  */
    uint64_t received;       /* references that came in                   */
    bool dry;                /* no memory for more slabs in this phase    */
    uint32_t inboxed;        /* batches in the inbox (lock; read without) */
    uint32_t offered;        /* batches in the shared list (the same)     */
    uint32_t workers;        /* of this node that take part (atomic)      */
    uint32_t expected;       /* of this node that were called (atomic)    */
    uint32_t tick;           /* futex of its workers: work came, or all is done */
    uint32_t sleepers;       /* of its workers asleep (atomic)            */
} __attribute__((aligned(64)));

struct hg_mail {
    uint64_t work;     /* busy << 32 | pending (atomic)                    */
    uint64_t apart[7]; /* the rest lies in another line                    */
    uint32_t sleepers; /* workers asleep (atomic)                          */
    int nodes;
    struct ha_windows *windows;
    const struct hearth_topology *topology; /* for distances; NULL: all the same      */
    struct hg_queue *queue[HT_MAX_NODES];
};

hearth_status hg_mail_init(struct hg_mail *mail, struct ha_windows *windows, int nodes);
void hg_mail_destroy(struct hg_mail *mail);

/* Begin a phase, nobody else working: the caller, of node `home`, is busy, counters are 0. */
void hg_mail_begin(struct hg_mail *mail, int home);

/* Go on alone after the phase: the same, but counters stay. */
void hg_mail_again(struct hg_mail *mail, int home);

/* An empty batch in the memory of `node`, or of the nearest that has room; NULL: no memory. */
struct hg_batch *hg_batch_take(struct hg_mail *mail, int node);
void hg_batch_give(struct hg_mail *mail, struct hg_batch *batch);

/* Queue a batch for `node`, in its inbox or its shared list; wakes somebody who may take it. */
void hg_mail_post(struct hg_mail *mail, int node, struct hg_batch *batch, bool inbox);
/* Take a batch of the own node, inbox first; NULL: none. The caller is busy. */
struct hg_batch *hg_mail_fetch(struct hg_mail *mail, int home);
/* Take one of another node, if that is allowed. `impatient`: also of one whose workers have not come. */
struct hg_batch *hg_mail_steal(struct hg_mail *mail, int node, bool impatient);

static inline uint32_t hg_mail_pending(const struct hg_mail *mail)
{
    return (uint32_t)__atomic_load_n(&mail->work, __ATOMIC_ACQUIRE);
}

static inline bool hg_mail_done(const struct hg_mail *mail)
{
    return __atomic_load_n(&mail->work, __ATOMIC_ACQUIRE) == 0;
}

/* Batches waiting for the workers of a node. */
static inline uint32_t hg_mail_waiting(const struct hg_mail *mail, int node)
{
    return __atomic_load_n(&mail->queue[node]->inboxed, __ATOMIC_SEQ_CST) +
           __atomic_load_n(&mail->queue[node]->offered, __ATOMIC_SEQ_CST);
}

/* A worker of this node was called and may be waited for (+1), or will not come after all (-1). */
void hg_mail_expect(struct hg_mail *mail, int node, int change);
/* The caller, of node `home`, becomes busy; false: all work is done already, do not begin. */
bool hg_mail_join(struct hg_mail *mail, int home);

enum hg_rest { HG_REST_DONE, HG_REST_WORK, HG_REST_IMPATIENT };
/* The caller, busy, has nothing left. Sleeps until there is something it may take (busy again), also because
 * it has waited long enough for others (impatient); or all is done. */
enum hg_rest hg_mail_idle(struct hg_mail *mail, int home);

#ifdef HEARTH_DEBUG
/* Tests: called at every step of a hand-over, to widen the windows of races. NULL: nothing. */
extern void (*hg_mail_delay)(void);
#endif

bool hg_mail_check(const struct hg_mail *mail);

#endif
