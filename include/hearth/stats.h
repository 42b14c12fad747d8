/* hearth/stats.h - what the heap did and holds. Counters are exact after a collection; between
 * collections bytes are counted when a mutator has used up a block (64 KiB), objects not at all. */
#ifndef HEARTH_STATS_H
#define HEARTH_STATS_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hearth_gc_kind { HEARTH_GC_MINOR = 0, HEARTH_GC_FULL = 1 } hearth_gc_kind;

typedef enum hearth_gc_reason {
    HEARTH_REASON_NURSERY = 0,   /* the nursery was used up                    */
    HEARTH_REASON_BUDGET = 1,    /* the heap reached its present budget        */
    HEARTH_REASON_EXPLICIT = 2,  /* hearth_gc_collect                          */
    HEARTH_REASON_STRESS = 3,    /* option stress=N                            */
    HEARTH_REASON_EMERGENCY = 4, /* an allocation would have failed            */
    HEARTH_REASON_LARGE = 5,     /* large objects used the nursery's allowance */
    HEARTH_REASON_EXTERNAL = 6,  /* external memory used it, or the budget     */
    HEARTH_REASON_THRESHOLD = 7  /* objects: hearth_gc_set_threshold           */
} hearth_gc_reason;

/* One collection. Times in nanoseconds of wall clock. Edges and objects are counts. */
typedef struct hearth_collection {
    size_t struct_size;      /* in: sizeof(hearth_collection)                             */
    uint64_t number;         /* 1, 2, ... within the heap                                 */
    hearth_gc_kind kind;     /* minor (generations 0 and 1) or full                       */
    hearth_gc_reason reason; /* why                                                       */
    uint64_t stop_ns;        /* from the request until every mutator stood                */
    uint64_t roots_ns;       /* scanning roots and remembered sets                        */
    uint64_t trace_ns;       /* tracing                                                   */
    uint64_t sweep_ns;       /* sweeping                                                  */
    uint64_t pause_ns;       /* from the request until the world ran again                */
    uint64_t objects_traced; /* marked by this collection                                 */
    uint64_t local;          /* of them, by a worker of the object's node                 */
    uint64_t sent;           /* references handed to another node's inbox                 */
    uint64_t stolen;         /* batches taken by workers of another node (thief mode)     */
    uint64_t live_bytes;     /* in cells and large objects after it                       */
    uint64_t freed_bytes;    /* cells and large objects reclaimed                         */
    uint64_t heap_bytes;     /* blocks and large objects in use after it                  */
    uint32_t workers;        /* threads that took part                                    */
    uint32_t generation;     /* 0: survivors aged; 1: all became old; 2: full             */
    uint64_t unreachable;    /* objects not reached from roots, whatever became of them   */
    uint64_t collected;      /* of them reclaimed, or saved in garbage (DEBUG_SAVEALL)    */
    uint64_t uncollectable;  /* of them kept because of a legacy finalizer                */
} hearth_collection;

/* One logical node. */
typedef struct hearth_node_stats {
    size_t struct_size;       /* in: sizeof(hearth_node_stats)                           */
    int node;                 /* logical number                                          */
    int os_node;              /* the system's number                                     */
    uint64_t allocated_bytes; /* ever, in its memory                                     */
    uint64_t live_bytes;      /* at the last collection                                  */
    uint64_t live_objects;    /* at the last collection                                  */
    uint64_t blocks;          /* 64 KiB blocks in use                                    */
    uint64_t free_blocks;     /* blocks kept free                                        */
    uint64_t chunks;          /* 4 MiB chunks held                                       */
    uint64_t large_bytes;     /* in large objects                                        */
    uint64_t spilled_in;      /* blocks given to mutators of other nodes                 */
    uint64_t released_bytes;  /* given back to the system so far                         */
    uint64_t traced_local;    /* objects of this node traced by its own workers          */
    uint64_t traced_remote;   /* ... by workers of other nodes                           */
    uint64_t received;        /* references that arrived in its inbox                    */
} hearth_node_stats;

/* The whole heap. */
typedef struct hearth_stats {
    size_t struct_size;         /* in: sizeof(hearth_stats)                                */
    int nodes;                  /* logical nodes                                           */
    int mutators;               /* attached now                                            */
    uint64_t allocated_bytes;   /* ever                                                    */
    uint64_t allocated_objects; /* ever; exact after a collection                          */
    uint64_t live_bytes;        /* at the last collection                                  */
    uint64_t live_objects;      /* at the last collection                                  */
    uint64_t heap_bytes;        /* blocks and large objects in use now                     */
    uint64_t peak_heap_bytes;   /* most of that ever                                       */
    uint64_t limit_bytes;       /* hard limit                                              */
    uint64_t budget_bytes;      /* what it may reach before a full collection              */
    uint64_t nursery_bytes;     /* present size of the nursery                             */
    uint64_t metadata_bytes;    /* heads of chunks: marks and block headers                */
    uint64_t minor_count;       /* collections                                             */
    uint64_t full_count;
    uint64_t pause_total_ns; /* all pauses                                              */
    uint64_t pause_max_ns;   /* longest                                                 */
    uint64_t pause_p50_ns;   /* from the histogram (bounds within 6 %)                  */
    uint64_t pause_p99_ns;
    uint64_t spilled_blocks;   /* blocks that came from another node than wished          */
    uint64_t external_bytes;   /* outside of the heap: hearth_external_add                */
    uint64_t soft_limit_bytes; /* 0: none                                               */
    uint64_t finalizers;       /* objects that have one that is not due, now              */
    uint64_t finalizers_due;   /* and callbacks of weak references that are due, now      */
    uint64_t finalizers_run;   /* and callbacks, ever                                     */
    uint64_t finalizer_errors; /* of them: reported (hearth_on_error)                    */
} hearth_stats;

/* Fill the struct whose struct_size the caller set. Any thread, no safepoint. Errors: EINVAL, ENODE;
 * hearth_last_collection: ESTATE before the first collection. */
HEARTH_API hearth_status hearth_get_stats(hearth_heap *heap, hearth_stats *out);
HEARTH_API hearth_status hearth_get_node_stats(hearth_heap *heap, int node, hearth_node_stats *out);
HEARTH_API hearth_status hearth_last_collection(hearth_heap *heap, hearth_collection *out);

/* Pause of a percentile in 0..100, in nanoseconds, over all collections of a kind or (kind < 0) all. */
HEARTH_API uint64_t hearth_pause_percentile(hearth_heap *heap, int kind, double percent);

HEARTH_API const char *hearth_gc_reason_name(hearth_gc_reason reason);

#ifdef __cplusplus
}
#endif
#endif
