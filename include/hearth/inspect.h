/* hearth/inspect.h - looking into a heap: which objects there are, who refers to whom, why an object is
 * alive, what it retains, and a dump for Chrome's DevTools.
 *
 * Rules for all calls with a mutator: own thread only, and a safepoint (the world is stopped while they
 * look; references must be in roots). Functions given to them run on the calling thread while the world
 * stands still, so every address they get is an object; they must not allocate, store references or call
 * hearth on this heap but for statistics, types (hearth_type_get) and questions about objects (alloc.h),
 * and an address that they keep is no root. Objects that are dead but not collected yet are seen by
 * walks, counts and searches: hearth_gc_collect(m, 2) before rids of them. Paths, retained sizes and
 * snapshots follow references from the roots and never meet them.
 *
 * What refers weakly (weak.h) refers to nothing here, but for the snapshot, which has weak edges. An ephemeron
 * refers to its value; paths and retained sizes go that way only if the key is reachable too. Errors of all: EINVAL, ETHREAD, ESTATE (native section, or
 * called from a callback of the collector), ENOMEM: nothing has changed then; EOBJECT where objects are
 * given: the message names the first that is none. */
#ifndef HEARTH_INSPECT_H
#define HEARTH_INSPECT_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- objects: CPython's gc.get_objects, get_referrers, get_referents, is_tracked ------------------ */

/* Gets one object; false: no more are wanted. */
typedef bool hearth_object_fn(void *data, void *object);

/* Every tracked object (one whose type may have references) of a generation, 0 to 2; -1: of all three.
 * Frozen objects are in none of them, as in CPython; they are found as referrers and by hearth_walk. */
HEARTH_API hearth_status hearth_gc_get_objects(hearth_mutator *mutator, int generation,
                                               hearth_object_fn *fn, void *data);
/* Every object that refers to any of the `count` objects, once. Reads the whole heap, on several threads
 * if that is worth while. */
HEARTH_API hearth_status hearth_gc_get_referrers(hearth_mutator *mutator, void *const *objects,
                                                 size_t count, hearth_object_fn *fn, void *data);
/* Every object that one of the `count` objects refers to: once for each reference, as in CPython. What
 * lies outside the heap is left out. */
HEARTH_API hearth_status hearth_gc_get_referents(hearth_mutator *mutator, void *const *objects,
                                                 size_t count, hearth_object_fn *fn, void *data);

/* The same, as a new array of references of exactly the right length, which is not counted itself:
 * what is found stays alive as long as the array does. `array` is a type of arrays of references
 * (hearth_type_refs). NULL on failure, as an allocation; also ETYPE. May collect. */
HEARTH_API HEARTH_NODISCARD void *hearth_gc_get_objects_array(hearth_mutator *mutator,
                                                              int generation, hearth_type array);
HEARTH_API HEARTH_NODISCARD void *hearth_gc_get_referrers_array(hearth_mutator *mutator,
                                                                void *const *objects, size_t count,
                                                                hearth_type array);
HEARTH_API HEARTH_NODISCARD void *hearth_gc_get_referents_array(hearth_mutator *mutator,
                                                                void *const *objects, size_t count,
                                                                hearth_type array);

/* True if the object's type may have references; false for LEAF types and for what is no object (then
 * EOBJECT is the thread's last status). No safepoint; rules as hearth_is_object. */
HEARTH_API bool hearth_gc_is_tracked(hearth_heap *heap, const void *object);

/* --- the heap walk --------------------------------------------------------------------------------- */

typedef struct hearth_object_info {
    size_t struct_size; /* what the library filled in                                         */
    void *object;
    hearth_type type;
    const char *name; /* of the type; belongs to the heap                                   */
    size_t size;      /* payload bytes, as allocated                                        */
    size_t footprint; /* bytes of its cell with the header, or of its blocks if it is large */
    size_t count;     /* elements; model objects: payload bytes                             */
    int generation;   /* 0 young, 1 survived one collection, 2 old, 3 frozen                */
    int node;         /* logical node of its memory                                         */
    uint32_t flags;   /* HEARTH_OBJECT_*                                                    */
    bool tracked;     /* its type may have references                                       */
} hearth_object_info;

/* Gets one object; the struct belongs to the library and is valid during the call. false: no more. */
typedef bool hearth_walk_fn(void *data, const hearth_object_info *info);

/* Every allocated object, in the order of addresses within the blocks of a node (JVMTI's IterateThroughHeap). */
HEARTH_API hearth_status hearth_walk(hearth_mutator *mutator, hearth_walk_fn *fn, void *data);

/* --- why is this alive? ------------------------------------------------------------------------------ */

/* What kind of root holds an object. */
typedef enum hearth_root_kind {
    HEARTH_ROOT_NONE = 0,      /* none: a step of a path that is no root             */
    HEARTH_ROOT_FRAME = 1,     /* slot of a shadow-stack frame                       */
    HEARTH_ROOT_HANDLE = 2,    /* handle                                             */
    HEARTH_ROOT_GLOBAL = 3,    /* global root slot                                   */
    HEARTH_ROOT_PROVIDER = 4,  /* shown by a root provider                           */
    HEARTH_ROOT_STACK = 5,     /* word of a conservative stack, or a register        */
    HEARTH_ROOT_COLLECTOR = 6, /* the collector itself: pinned, pending, garbage ... */
    HEARTH_ROOT_FROZEN = 7,    /* frozen: alive whatever refers to it                */
    HEARTH_ROOT_KINDS = 8
} hearth_root_kind;
/* "frame", "handle" ...; "unknown" for a number that is none. Static storage. */
HEARTH_API const char *hearth_root_kind_name(hearth_root_kind kind);

/* One step of a path: an object, and what refers to it. */
typedef struct hearth_path_step {
    size_t struct_size;
    void *object;
    hearth_type type;
    const char *name;
    size_t size;           /* payload bytes                                                   */
    size_t index;          /* 0: held by the root; 1, 2 ...                                   */
    size_t length;         /* steps of the whole path                                         */
    size_t offset;         /* index > 0: byte offset of the slot in the step before           */
    hearth_root_kind root; /* index 0: what holds it                                          */
    size_t root_owner;     /* FRAME, HANDLE, STACK: number of the mutator (0: attached last);
                                PROVIDER: its number in order of registration                    */
    size_t root_index; /* FRAME: slot, counted from the innermost frame on; HANDLE: counted from the
                                newest page of handles on; others: 0                             */
    void **root_slot;  /* FRAME, HANDLE, GLOBAL, PROVIDER: address of the slot, else NULL */
} hearth_path_step;
typedef bool hearth_path_fn(void *data, const hearth_path_step *step);

/* A shortest path of references from a root to the object, given step by step from the root on. *length
 * gets the number of steps, 0 if no root reaches it (fn is not called then); it may be NULL.
 * With a conservative stack the caller's own variable is a root as good as any. */
HEARTH_API hearth_status hearth_path_from_roots(hearth_mutator *mutator, void *object,
                                                hearth_path_fn *fn, void *data, size_t *length);

/* --- what an object retains ----------------------------------------------------------------------- */

typedef struct hearth_retained {
    size_t struct_size; /* in: sizeof(hearth_retained), where the caller provides it          */
    void *object;
    hearth_type type;
    const char *name;
    uint64_t bytes;   /* payload bytes that would be free without it, its own among them     */
    uint64_t objects; /* how many objects                                                    */
} hearth_retained;
typedef bool hearth_retained_fn(void *data, const hearth_retained *retained);

/* What the object keeps alive alone: everything it reaches that no root reaches except through it. */
HEARTH_API hearth_status hearth_retained_size(hearth_mutator *mutator, void *object,
                                              hearth_retained *out);
/* The up to `most` objects that retain the most bytes, largest first: nodes of the dominator tree of all
 * reachable objects (Lengauer & Tarjan, TOPLAS 1979), so one may retain another of the list. The value of
 * an ephemeron counts as held by the ephemeron alone here, not by its key: a tree has no place for what dies with
 * either of two. (hearth_retained_size is exact: either retains it.) Needs memory of its own: about
 * 80 bytes per object and 8 per reference. */
HEARTH_API hearth_status hearth_retained_top(hearth_mutator *mutator, size_t most,
                                             hearth_retained_fn *fn, void *data);

/* --- heap snapshots ---------------------------------------------------------------------------------- */

/* Gets the text piece by piece; false: give up (the call returns ESYSTEM). May do input and output. */
typedef bool hearth_write_fn(void *data, const char *text, size_t length);

/* Everything that is reachable, as a V8 heap snapshot: JSON that the Memory tab of Chrome's DevTools opens
 * if the file is named *.heapsnapshot. An object's id is made of its address: the same in every
 * snapshot while it lives, so DevTools can compare two. */
HEARTH_API hearth_status hearth_heap_snapshot(hearth_mutator *mutator, hearth_write_fn *fn,
                                              void *data);
/* The same into a file, which is replaced. ESYSTEM names the path and what the system said; a file that
 * could not be written completely is removed. */
HEARTH_API hearth_status hearth_heap_snapshot_file(hearth_mutator *mutator, const char *path);

/* --- heap maps ---------------------------------------------------------------------------------------- */

/* Every chunk and block as a line of text: what is in it, how full it is, how old its objects are, and on which
 * of the system's nodes its pages lie. The program hearth-heapmap draws it. Objects are not touched.
 * Errors: EINVAL, ENOMEM, ESYSTEM (fn returned false), and as hearth_walk's. */
HEARTH_API hearth_status hearth_heap_map(hearth_mutator *mutator, hearth_write_fn *fn, void *data);
/* The same into a file, as hearth_heap_snapshot_file. */
HEARTH_API hearth_status hearth_heap_map_file(hearth_mutator *mutator, const char *path);

/* --- census: objects by type and node -------------------------------------------------------------- */

/* Counts of one type on one node, or on all; in a difference they may be negative. */
typedef struct hearth_count {
    int64_t objects;
    int64_t bytes; /* footprint: cells with headers, blocks of large objects */
} hearth_count;

typedef struct hearth_census_row {
    size_t struct_size;
    hearth_type type;
    const char *name; /* belongs to the census                        */
    hearth_count all;
    const hearth_count *node; /* of each logical node; belongs to the census  */
} hearth_census_row;

typedef struct hearth_census hearth_census;

/* Count all allocated objects. The caller destroys the census; it does not need the heap. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_census_take(hearth_mutator *mutator,
                                                             hearth_census **out);
/* What changed from one to the other, for finding leaks: rows that did not change are left out. Both of
 * the same heap, else EINVAL; neither changes. No safepoint. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_census_diff(const hearth_census *before,
                                                             const hearth_census *after,
                                                             hearth_census **out);
HEARTH_API void hearth_census_destroy(hearth_census *census);
/* Rows, most bytes first; nodes that each row counts; the sum of all rows (NULL: zero). */
HEARTH_API size_t hearth_census_rows(const hearth_census *census);
HEARTH_API int hearth_census_nodes(const hearth_census *census);
HEARTH_API hearth_count hearth_census_total(const hearth_census *census);
/* NULL beyond the last. */
HEARTH_API const hearth_census_row *hearth_census_row_at(const hearth_census *census, size_t index);

#ifdef __cplusplus
}
#endif
#endif
