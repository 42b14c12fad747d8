/* gc/trace.h - marking everything that is reachable, in parallel, node by node.
 *
 * A worker owns a fixed stack of references; what does not fit goes to batches (mailbox.h). In mode
 * `local` it traces only objects of the node it acts for: references to other nodes are collected
 * per node and sent in batches. When it has nothing left it takes work of its own node, then acts for the
 * nearest node that has some (thief mode), and returns to its own when enough work waits there.
 * World stopped throughout. Node: a worker's stack and buffers lie on its home node. */
#ifndef HEARTH_GC_TRACE_H
#define HEARTH_GC_TRACE_H

#include "gc/heap.h"
#include "gc/mailbox.h"

enum {
    HG_TAG_PROMOTE = 1,    /* found in an old object                                        */
    HG_TAG_REMEMBERED = 2, /* an old object of a remembered set: visit its slots            */
    HG_TAG_SLICE = 4,      /* a large array: go on with its next slice                      */
    HG_TAG_VISIT = 8,      /* visit its slots as an old object's, whatever its mark says    */
    HG_TAG_SPECIAL = 14,   /* any of the three                                              */
    HG_TAGS = 15
};

enum {
    HG_STACK = 32768,      /* references on a worker's own stack                            */
    HG_SLICE = 1024,       /* slots of a large array visited at a time                      */
    HG_TICK = 512,         /* objects between looks at the other workers                    */
    HG_LATE = 64,          /* slots an object with a bitmap has at most                    */
    HG_MET = 16,           /* ephemerons met whose keys' marks are being asked for          */
    HG_FOLLOW = 8,         /* references that are followed rather than sent               */
    HG_FOREIGN_TICKS = 16, /* ticks from one offer to other nodes' workers to the next      */
    HG_FOREIGN = 2048,     /* traced by worker 0 before it calls helpers for other nodes      */
    HG_TICK_EAGER = 16,    /* the same if help-after is below HG_TICK                       */
    HG_WORKERS_MAX = 256   /* as many as the crew has                                       */
};

struct hg_trace;

struct hg_worker {
    hearth_visitor visitor; /* first: trace callbacks get it                             */
    struct hg_trace *trace;
    uintptr_t *stack;
    size_t top;
    uintptr_t base, bytes;         /* of the window of `acting`; of all windows if not routed    */
    uintptr_t all_base, all_bytes; /* of all windows                                      */
    unsigned shift;
    int number;
    int home;          /* node it is bound to                                       */
    int acting;        /* node whose objects it traces                              */
    bool routed;       /* references to other nodes are sent                        */
    bool set_old;      /* write HEARTH_OBJECT_OLD                                   */
    bool parallel;     /* others may mark at the same time                          */
    bool returns;      /* a thief whose own node has work: leave the loop           */
    bool joined;       /* took part in this collection                              */
    uint32_t period;   /* objects between ticks                                     */
    uint32_t ticks;    /* since it last offered work to other nodes                 */
    uint8_t old;       /* the mark of old objects                                   */
    uint8_t gen1;      /* of generation 1                                           */
    uintptr_t promote; /* tag for slots of the object being traced (callbacks)      */
    const struct hg_type *types;
    const hearth_object_model *model;
    uint32_t lates;          /* in `late`                                                 */
    uintptr_t late[HG_LATE]; /* of the present object: no room in `out`             */
    uintptr_t
        *out[HT_MAX_NODES]; /* where the next entry of a batch for that node goes; NULL: none  */
    uint32_t mets;          /* ever put into `met`                                       */
    uintptr_t met[HG_MET];  /* ephemerons, a ring; 0: none. Empty when the loop is left   */
    uint64_t survived;      /* bytes of young objects marked                             */
    uint64_t traced, local; /* objects marked; of them while acting for its home         */
    uint64_t again;         /* of the marked ones: marked before, now promoted           */
    uint64_t sent, stolen;
    uint64_t node_local[HT_MAX_NODES], node_remote[HT_MAX_NODES];
    uint64_t last_traced; /* at the last change of `acting`                            */
    void (*report)(void *data, uintptr_t object); /* roots are reported, not traced (rootset.c) */
    void *report_data;
};

/* Push every root of the heap once more. */
typedef void hg_roots_fn(hearth_heap *heap, struct hg_worker *worker);

struct hg_trace {
    hearth_heap *heap;
    struct hg_mail mail;
    struct hg_worker
        *worker[HG_WORKERS_MAX];            /* NULL: never joined; [0]: master of this collection */
    struct hg_worker *master[HT_MAX_NODES]; /* worker 0, by the node it collects on              */
    const uint8_t *next; /* marks.next                                                */
    hg_roots_fn *roots;  /* to push them again if references were dropped             */
    bool full;
    bool lost;         /* a reference was dropped for want of memory (atomic)       */
    uint64_t survived; /* bytes of young objects marked by all workers                         */
    int depth;         /* of the prefetch ring                                      */
    bool watch;        /* newly marked objects may be keys of ephemerons            */
};

hearth_status hg_trace_create(struct hg_trace **out, hearth_heap *heap);
void hg_trace_destroy(struct hg_trace *trace);

/* Begin: marks have been turned. Returns worker 0, for pushing roots. `roots` pushes them again. */
struct hg_worker *hg_trace_begin(struct hg_trace *trace, bool full, int node, hg_roots_fn *roots);
/* A root, or a reference found in old memory (tags HG_TAG_PROMOTE); also REMEMBERED objects. May trace
 * when the stack is full; remembered sets must have been forgotten before (full collections). */
void hg_trace_push(struct hg_worker *worker, uintptr_t object, uintptr_t tags);
/* Trace until nothing is left. */
void hg_trace_run(struct hg_trace *trace);
/* Go on after a run, with what else is to be kept alive: returns worker 0, for pushing it. Then run again. */
struct hg_worker *hg_trace_more(struct hg_trace *trace);
/* Objects that this collection has reached so far, each counted once. Between runs. */
uint64_t hg_trace_reached(const struct hg_trace *trace);
/* No more runs: adds the counts to *collection. */
void hg_trace_end(struct hg_trace *trace, hearth_collection *collection);

/* Has this collection's tracing reached the object (or is it frozen, or old and this collection minor)? */
static inline bool hg_reached(const hearth_heap *heap, uintptr_t object)
{
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    return hg_mark_is_live(&heap->marks, mark);
}

/* Visit every slot of one object through a visitor: for the verifier and the interface. Weak slots are not
 * visited; the value of an ephemeron is, unless its key has died. */
void hg_visit_object(hearth_heap *heap, uintptr_t object, hearth_visitor *visitor);

#endif
