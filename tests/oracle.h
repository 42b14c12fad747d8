/* tests/oracle.h - a shadow model of a heap: what must live, and what it must contain.
 *
 * Every object of the heap under test has a shadow in plain malloc memory with the same references. A
 * program of random operations changes both. The shadows reachable from the shadows of the roots are
 * what must live; after a collection each of them must still be there with its type, length, contents
 * and references, and after a full collection the heap must hold exactly that many objects and bytes.
 *
 * A model belongs to one thread. Its objects refer only to each other; a closed subgraph can be given
 * to another thread's model (oracle_export, oracle_import). Addresses never decide what a program
 * does, so a seed repeats a single-threaded program exactly. */
#ifndef HEARTH_TESTS_ORACLE_H
#define HEARTH_TESTS_ORACLE_H

#include "hearth.h"
#include "tests/harness.h"

enum oracle_kind {
    ORACLE_LEAF,       /* 24 bytes without references                                       */
    ORACLE_PAIR,       /* 16 bytes, two references: no room for anything else               */
    ORACLE_NODE,       /* 40 bytes, bitmap                                                  */
    ORACLE_WIDE,       /* 512 bytes, bitmap with all 64 bits                                */
    ORACLE_OFFSETS,    /* 1000 bytes, a list of offsets beyond the 64th word                */
    ORACLE_HUGE,       /* 40000 bytes, offsets: a large object that is no array             */
    ORACLE_STRUCTS,    /* fixed part and elements of 24 bytes, bitmaps for both             */
    ORACLE_TAILED,     /* offsets in the fixed part, references as elements                 */
    ORACLE_REFS,       /* array of references                                               */
    ORACLE_BYTES,      /* array of bytes                                                    */
    ORACLE_CALLBACK,   /* 56 bytes, trace callback                                          */
    ORACLE_CALLBACKS,  /* elements of 16 bytes, trace callback                              */
    ORACLE_CARDS,      /* 160 bytes, bitmap, HEARTH_TYPE_CARDS                              */
    ORACLE_CARDS_CALL, /* 400 bytes, callback, HEARTH_TYPE_CARDS                            */
    ORACLE_CARDS_REFS, /* elements that are references, HEARTH_TYPE_CARDS at every length   */
    ORACLE_MODEL,      /* the object model's                                                */
    ORACLE_KINDS
};

struct oracle_object {
    struct oracle_object *next; /* of the model                                              */
    void *address;              /* of the object in the heap                                 */
    uint64_t id;                /* its data is computed from id and salt                     */
    uint32_t salt;              /* changes when the data is written again                    */
    uint8_t kind;               /* enum oracle_kind                                          */
    bool reached;               /* while marking                                             */
    bool lingers;               /* not alive; something weak may still give it               */
    uint8_t finalizer;          /* enum oracle_finalizer                                     */
    int node;                   /* asked for, -1: none                                       */
    size_t count;               /* elements; bytes of a model object                         */
    size_t size;                /* payload bytes                                             */
    size_t slots;               /* references                                                */
    uintptr_t *ref;             /* of each slot: a shadow, an odd number, or 0               */
};

/* What is known of an object's finalizer. */
enum oracle_finalizer { ORACLE_NO_FINALIZER, ORACLE_HAS_FINALIZER, ORACLE_FINALIZED };

/* A heap and its types; shared by the models of all threads. */
struct oracle_heap {
    hearth_heap *heap;
    hearth_type type[ORACLE_KINDS];
    const char *options;
    int nodes;
    bool big;     /* objects above 4 MiB are allowed                          */
    uint64_t ids; /* given out (atomic)                                       */
};

/* A shadow-stack frame in malloc memory; its slots follow `head`. */
struct oracle_frame {
    struct oracle_frame *prev;
    size_t count;
    struct oracle_object **object;
    hearth_frame head;
};

enum { ORACLE_GLOBALS = 24, ORACLE_PROVIDED = 16, ORACLE_WORDS = 8, ORACLE_SCOPES = 6 };

/* One slot that holds an object alive. */
struct oracle_root {
    void **slot;
    struct oracle_object *object;
};

struct oracle_provider {
    void *slot[ORACLE_PROVIDED];
    struct oracle_object *object[ORACLE_PROVIDED];
    uintptr_t word[ORACLE_WORDS]; /* ambiguous: addresses inside objects */
    struct oracle_object *inside[ORACLE_WORDS];
    bool added;
};

struct oracle {
    struct oracle_heap *heap;
    hearth_mutator *mutator;
    uint64_t random; /* state of the program's random numbers                     */
    const uint8_t *input, *input_end; /* bytes that decide before those do; NULL: none        */
    uint64_t step; /* operations done                                           */
    struct oracle_object *objects;
    size_t count, bytes;             /* of objects, also unreachable ones not yet dropped         */
    size_t most;                     /* bytes above which the program drops roots                 */
    struct oracle_frame *frames;     /* innermost                                                 */
    size_t frame_count;              /* open frames                                               */
    struct oracle_root *handle;      /* of all scopes                                             */
    size_t handles, handle_capacity; /* used, allocated                                           */
    hearth_scope scope[ORACLE_SCOPES];
    size_t scope_handles[ORACLE_SCOPES]; /* handles at the opening of each                        */
    size_t scopes;
    void *global[ORACLE_GLOBALS];
    struct oracle_object *global_object[ORACLE_GLOBALS];
    bool global_added[ORACLE_GLOBALS];
    struct oracle_provider provider;
    bool disabled;              /* hearth_gc_disable was called                              */
    uint64_t failures;          /* allocations that found no memory                          */
    struct oracle_after *after; /* weak references, finalizers; NULL: not used          */
};

/* Objects being marked. */
struct oracle_marks {
    struct oracle_object **entry;
    size_t used, capacity, reached;
};

/* Mark an object, and then all that it reaches. */
void oracle_mark(struct oracle_marks *marks, struct oracle_object *object);
void oracle_mark_all(struct oracle_marks *marks);
/* Mark what must live, then what lingers; how many must live. The caller takes the marks away. */
size_t oracle_mark_alive(struct oracle *oracle, struct oracle_marks *marks);

/* Create a heap with these options and register all types; destroy it. */
void oracle_heap_create(struct oracle_heap *heap, const char *options);
void oracle_heap_destroy(struct oracle_heap *heap);

/* Begin a model of the calling thread, attached at `node` (-1: anywhere), and end it: all roots are
 * removed, frames and scopes closed, the thread detached. `exit_attached`: it stays attached, for a
 * thread that exits so. */
void oracle_begin(struct oracle *oracle, struct oracle_heap *heap, uint64_t seed, int node);
void oracle_end(struct oracle *oracle, bool exit_attached);

/* The program's next choice, in [0, bound): from the bytes if some are left (one, two or four of them,
 * little-endian, by what the bound needs), else a random number. bound < 2^32. */
uint64_t oracle_below(struct oracle *oracle, uint64_t bound);

/* One random operation. Returns the generation if it was a collection, else -1. */
int oracle_step(struct oracle *oracle);

/* Drop the shadows that are not reachable, and that nothing weak may give; returns how many must live. */
size_t oracle_prune(struct oracle *oracle);
/* Every object that must live is right. */
void oracle_check(struct oracle *oracle);
/* This object is right. */
void oracle_check_object(struct oracle *oracle, const struct oracle_object *object);
/* The heap holds exactly the `objects` and bytes of these models, right after a full collection. */
void oracle_check_exact(struct oracle **oracles, size_t count);

/* Allocate an object of a kind with its data; NULL if there is no memory. It is not rooted. */
struct oracle_object *oracle_new(struct oracle *oracle, enum oracle_kind kind, size_t count);
/* Write its data again, after a change of its salt. */
void oracle_write(const struct oracle_object *object);
void oracle_store(struct oracle *oracle, struct oracle_object *object, size_t slot,
                  struct oracle_object *value);
/* A reachable object; NULL if none was found. */
struct oracle_object *oracle_pick(struct oracle *oracle);
/* Hold it by a new global root slot; false: all are in use. */
bool oracle_hold(struct oracle *oracle, struct oracle_object *object);

/* Take everything reachable from `object` out of the model; nothing else may refer to it. */
struct oracle_object *oracle_export(struct oracle *oracle, struct oracle_object *object);
/* Add the list that oracle_export returned; its first element is the object. */
void oracle_import(struct oracle *oracle, struct oracle_object *list);

/* Let a random root hold the object, or nothing. */
void oracle_root_set(struct oracle *oracle, struct oracle_object *object);

/* Weak references, ephemerons, weak tables, finalizers, pins, freezing (oracle_after.c), for a model that is alone on its
 * heap. After begin, steps may be mixed with oracle_step. settle collects fully until no finalizer ran: true if
 * oracle_check_exact holds then; it does not if there may be a `table`, or something is frozen. clear takes everything weak and every finalizer away; end does, too. */
void oracle_after_begin(struct oracle *oracle, bool table);
void oracle_after_end(struct oracle *oracle);
void oracle_after_step(struct oracle *oracle);
bool oracle_after_settle(struct oracle *oracle);
void oracle_after_clear(struct oracle *oracle);
/* For marking: what follows from what is reached (and roots of its own); then what may still be given. */
void oracle_after_mark(struct oracle *oracle, struct oracle_marks *marks);
void oracle_after_linger(struct oracle *oracle, struct oracle_marks *marks);
/* See what was cleared; nothing that must live may have been. And what it adds to the heap's counts. */
void oracle_after_check(struct oracle *oracle);
void oracle_after_count(struct oracle *oracle, uint64_t *objects, uint64_t *bytes);

/* Layout (oracle_types.c). Payload bytes, reference slots, and the byte offset of slot `i` of an object;
 * `count` as in struct oracle_object. */
size_t oracle_size(enum oracle_kind kind, size_t count);
size_t oracle_slots(enum oracle_kind kind, size_t count);
size_t oracle_offset(enum oracle_kind kind, size_t i);
bool oracle_is_array(enum oracle_kind kind);
void oracle_types_register(struct oracle_heap *heap);
/* The first word of a model object: its bytes in use and its slots, for the object model's hooks. */
uint64_t oracle_model_word(size_t size);

/* Address of slot `i`. */
static inline void **oracle_slot(const struct oracle_object *object, size_t i)
{
    return (void **)(void *)((char *)object->address +
                             oracle_offset((enum oracle_kind)object->kind, i));
}

/* The shadow that slot `i` refers to, NULL if it holds none. */
static inline struct oracle_object *oracle_target(const struct oracle_object *object, size_t i)
{
    return object->ref[i] & 1 ? NULL : (struct oracle_object *)object->ref[i];
}

/* End the test with what is needed to repeat it. */
#define ORACLE_FAIL(oracle, format, ...)                                                           \
    ck_abort_msg("options %s, step %llu: " format, (oracle)->heap->options,                        \
                 (unsigned long long)(oracle)->step, __VA_ARGS__)

#endif
