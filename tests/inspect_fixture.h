/* tests/inspect_fixture.h - a random heap and its shadow as a graph of numbers, for the tests of
 * introspection.
 *
 * A program of the oracle makes the heap; a full collection and a pruning leave exactly the same objects in
 * heap and shadow. Objects are numbered in the order of their addresses. Answers are then worked out
 * from the shadow by the plainest method there is. One thread. */
#ifndef HEARTH_TESTS_INSPECT_FIXTURE_H
#define HEARTH_TESTS_INSPECT_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "gc/heap.h"
#include "gc/inspect.h"
#include "tests/oracle.h"

/* Modes in which everything is tried. */
static const char *const shadow_options[] = {
    "verify=on,heap-limit=64m",
    "generational=off,heap-limit=64m",
    "fake-nodes=2,mode=local,workers=3,help-after=0,heap-limit=64m",
    "fake-nodes=4,mode=place,stress=7,verify=on,heap-limit=64m",
    "nursery=64k,heap-min=1m,poison=on,heap-limit=64m",
};
enum { SHADOW_OPTIONS = sizeof(shadow_options) / sizeof(shadow_options[0]) };

struct shadow {
    struct oracle_heap heap;
    struct oracle oracle;
    hearth_mutator *m;
    hearth_type refs;              /* arrays of references                    */
    size_t count;                  /* objects                                 */
    struct oracle_object **object; /* by number, in the order of addresses    */
    bool *rooted;                  /* by number: a root holds it              */
    size_t *work;                  /* room for a queue                        */
};

static inline int shadow_order(const void *a, const void *b)
{
    const struct oracle_object *const *x = a, *const *y = b;

    return (*x)->address < (*y)->address ? -1 : (*x)->address > (*y)->address;
}

/* The object's number. */
static inline size_t shadow_at(const struct shadow *s, const void *address)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uintptr_t)s->object[middle]->address < (uintptr_t)address)
            low = middle + 1;
        else
            high = middle;
    }
    EXPECT(low < s->count && s->object[low]->address == address);
    return low;
}

static inline size_t shadow_number(const struct shadow *s, const struct oracle_object *object)
{
    return shadow_at(s, object->address);
}

static inline void shadow_root(struct shadow *s, const struct oracle_object *object)
{
    if (object != NULL)
        s->rooted[shadow_number(s, object)] = true;
}

/* Take the graph again from the shadows, after a full collection. */
static inline void shadow_take(struct shadow *s)
{
    struct oracle *o = &s->oracle;
    size_t i = 0;

    HARNESS_OK(hearth_gc_collect(s->m, 2));
    s->count = oracle_prune(o);
    free(s->object);
    free(s->rooted);
    free(s->work);
    s->object = calloc(s->count + 1, sizeof(*s->object));
    s->rooted = calloc(s->count + 1, sizeof(*s->rooted));
    s->work = calloc(s->count + 1, sizeof(*s->work));
    for (struct oracle_object *object = o->objects; object != NULL; object = object->next)
        s->object[i++] = object;
    EXPECT(i == s->count);
    qsort(s->object, s->count, sizeof(*s->object), shadow_order);
    for (struct oracle_frame *frame = o->frames; frame != NULL; frame = frame->prev)
        for (i = 0; i < frame->count; i++)
            shadow_root(s, frame->object[i]);
    for (i = 0; i < o->handles; i++)
        shadow_root(s, o->handle[i].object);
    for (i = 0; i < ORACLE_GLOBALS; i++)
        shadow_root(s, o->global_object[i]);
    for (i = 0; i < ORACLE_PROVIDED; i++)
        shadow_root(s, o->provider.object[i]);
    for (i = 0; i < ORACLE_WORDS; i++)
        shadow_root(s, o->provider.inside[i]);
}

static inline void shadow_open(struct shadow *s, const char *options, uint64_t seed, unsigned steps)
{
    memset(s, 0, sizeof(*s));
    oracle_heap_create(&s->heap, options);
    oracle_begin(&s->oracle, &s->heap, seed, HEARTH_NODE_AUTO);
    s->m = s->oracle.mutator;
    s->refs = s->heap.type[ORACLE_REFS];
    for (unsigned i = 0; i < steps; i++)
        oracle_step(&s->oracle);
    HARNESS_OK(hearth_gc_enable(s->heap.heap));
    shadow_take(s);
}

/* A heap of its own for each mode and seed. */
static inline void shadow_open_mode(struct shadow *s, int mode)
{
    shadow_open(s, shadow_options[mode], harness_seed() + (uint64_t)mode, 1500);
}

static inline void shadow_close(struct shadow *s)
{
    HARNESS_OK(hearth_verify(s->m));
    free(s->object);
    free(s->rooted);
    free(s->work);
    oracle_end(&s->oracle, false);
    oracle_heap_destroy(&s->heap);
}

/* Distance of every object from the roots by way of others than `barred` (SIZE_MAX: none), 0 for
 * rooted ones, SIZE_MAX if there is no way. */
static inline void shadow_distances(struct shadow *s, size_t barred, size_t *distance)
{
    size_t head = 0, tail = 0;

    for (size_t i = 0; i < s->count; i++) {
        distance[i] = SIZE_MAX;
        if (s->rooted[i] && i != barred) {
            distance[i] = 0;
            s->work[tail++] = i;
        }
    }
    while (head < tail) {
        size_t from = s->work[head++];
        const struct oracle_object *object = s->object[from];
        for (size_t i = 0; i < object->slots; i++) {
            if (oracle_target(object, i) == NULL)
                continue;
            size_t to = shadow_number(s, oracle_target(object, i));
            if (to != barred && distance[to] == SIZE_MAX) {
                distance[to] = distance[from] + 1;
                s->work[tail++] = to;
            }
        }
    }
}

/* A random object's number. */
static inline size_t shadow_pick(struct shadow *s)
{
    return (size_t)harness_random_below(&s->oracle.random, s->count);
}

/* Addresses that a callback of the library gave. */
struct addresses {
    uintptr_t *at;
    size_t count, capacity, most; /* most: stop there; 0: never */
};

static inline bool addresses_add(void *data, void *object)
{
    struct addresses *list = data;

    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->at = realloc(list->at, list->capacity * sizeof(*list->at));
    }
    list->at[list->count++] = (uintptr_t)object;
    return list->most == 0 || list->count < list->most;
}

static inline int addresses_order(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

    return x < y ? -1 : x > y;
}

static inline void addresses_sort(struct addresses *list)
{
    if (list->count > 0)
        qsort(list->at, list->count, sizeof(*list->at), addresses_order);
}

/* The same, whatever the order; both are sorted. */
static inline void addresses_expect(struct addresses *is, struct addresses *should)
{
    addresses_sort(is);
    addresses_sort(should);
    ck_assert_uint_eq(is->count, should->count);
    for (size_t i = 0; i < is->count; i++)
        EXPECT(is->at[i] == should->at[i]);
}

/* What an array of the heap holds. */
static inline void addresses_of_array(struct addresses *list, hearth_heap *heap, void *const *array)
{
    list->count = 0;
    for (size_t i = 0; i < hearth_length(heap, array); i++)
        addresses_add(list, array[i]);
}

#endif
