/* tests/oracle.c - shadows: allocating, storing, marking, comparing with the heap.
 *
 * Invariant: between two operations the shadow of every reachable object has the references that the
 * object has. Unreachable shadows are kept until the next pruning and never touched. A model is used
 * by its own thread only; no locks. */
#include "gc/guard.h"
#include "tests/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/block.h"
#include "gc/heap.h"

/* --- contents ---------------------------------------------------------------------------------- */

/* Word `i` of the data of an object. */
static uint64_t data_word(const struct oracle_object *object, size_t i)
{
    uint64_t word =
        (object->id * UINT64_C(0x9e3779b97f4a7c15)) ^ (i * UINT64_C(0xff51afd7ed558ccd));

    if (i == 0 && object->kind == ORACLE_MODEL)
        return oracle_model_word(object->size);
    return word ^ ((uint64_t)object->salt << 17);
}

/* What a slot must hold. */
static uintptr_t slot_value(const struct oracle_object *object, size_t i)
{
    const struct oracle_object *target = oracle_target(object, i);

    return target != NULL ? (uintptr_t)target->address : object->ref[i];
}

/* All bytes the object must have; the buffer is the caller's to free. */
static void *image_of(const struct oracle_object *object)
{
    size_t words = (object->size + 7) / 8;
    uint64_t *image = malloc(words * 8);

    for (size_t i = 0; i < words; i++)
        image[i] = data_word(object, i);
    for (size_t i = 0; i < object->slots; i++)
        image[oracle_offset((enum oracle_kind)object->kind, i) / 8] = slot_value(object, i);
    return image;
}

/* Slots are written as they are: that changes no reference, so it needs no barrier. */
void oracle_write(const struct oracle_object *object)
{
    char *image = image_of(object), *to = object->address;
    size_t at = 0;

    for (; at + 8 <= object->size; at += 8)
        __atomic_store_n((uint64_t *)(void *)(to + at), *(uint64_t *)(void *)(image + at),
                         __ATOMIC_RELAXED);
    memcpy(to + at, image + at, object->size - at);
    free(image);
}

/* --- objects ------------------------------------------------------------------------------------- */

/* The ways to ask the heap for an object of this kind. */
static void *allocate(struct oracle *oracle, enum oracle_kind kind, size_t count, int *node)
{
    hearth_type type = oracle->heap->type[kind];
    uint64_t how = oracle_below(oracle, 8);
    size_t size = oracle_size(kind, count);

    if (how == 0 && oracle->heap->nodes > 1) {
        *node = (int)oracle_below(oracle, (uint64_t)oracle->heap->nodes);
        return hearth_new_on(oracle->mutator, type, count, *node);
    }
    if (kind == ORACLE_MODEL)
        return hearth_new_sized(oracle->mutator, type, size);
    if (oracle_is_array(kind))
        return how < 3 ? hearth_new_array(oracle->mutator, type, count)
                       : hearth_alloc_array(oracle->mutator, type, count);
    return how < 3 ? hearth_new(oracle->mutator, type) : hearth_alloc(oracle->mutator, type, size);
}

static void check_zero(struct oracle *oracle, const struct oracle_object *object)
{
    const unsigned char *byte = object->address;

    for (size_t i = 0; i < object->size; i++)
        if (byte[i] != 0)
            ORACLE_FAIL(oracle, "new object %p (kind %u, %zu bytes): byte %zu is 0x%02x",
                        object->address, object->kind, object->size, i, byte[i]);
}

struct oracle_object *oracle_new(struct oracle *oracle, enum oracle_kind kind, size_t count)
{
    int node = -1;
    if (!oracle_is_array(kind) && kind != ORACLE_MODEL)
        count = 0;
    void *address = allocate(oracle, kind, count, &node);

    if (address == NULL) {
        hearth_status status = hearth_last_status();
        if (status != HEARTH_ELIMIT && status != HEARTH_ENOMEM)
            ORACLE_FAIL(oracle, "allocation of kind %d, count %zu: %s: %s", kind, count,
                        hearth_status_name(status), hearth_last_error());
        oracle->failures++;
        return NULL;
    }
    struct oracle_object *object = calloc(1, sizeof(*object));
    object->address = address;
    object->id = __atomic_add_fetch(&oracle->heap->ids, 1, __ATOMIC_RELAXED);
    object->kind = (uint8_t)kind;
    object->node = node;
    object->count = count;
    object->size = oracle_size(kind, count);
    object->slots = oracle_slots(kind, count);
    object->ref = calloc(object->slots + 1, sizeof(*object->ref));
    check_zero(oracle, object);
    oracle_write(object);
    object->next = oracle->objects;
    oracle->objects = object;
    oracle->count++;
    oracle->bytes += object->size;
    return object;
}

void oracle_store(struct oracle *oracle, struct oracle_object *object, size_t slot,
                  struct oracle_object *value)
{
    HARNESS_OK(hearth_store(oracle->mutator, object->address, oracle_slot(object, slot),
                            value != NULL ? value->address : NULL));
    object->ref[slot] = (uintptr_t)value;
}

static void shadow_free(struct oracle_object *object)
{
    free(object->ref);
    free(object);
}

/* --- reachability -------------------------------------------------------------------------------- */

void oracle_mark(struct oracle_marks *stack, struct oracle_object *object)
{
    if (object == NULL || object->reached)
        return;
    object->reached = true;
    stack->reached++;
    if (stack->used == stack->capacity) {
        stack->capacity = stack->capacity * 2 + 256;
        stack->entry = realloc(stack->entry, stack->capacity * sizeof(*stack->entry));
    }
    stack->entry[stack->used++] = object;
}

void oracle_mark_all(struct oracle_marks *stack)
{
    while (stack->used > 0) {
        const struct oracle_object *object = stack->entry[--stack->used];
        for (size_t i = 0; i < object->slots; i++)
            oracle_mark(stack, oracle_target(object, i));
    }
}

static void mark_roots(struct oracle *oracle, struct oracle_marks *stack)
{
    for (struct oracle_frame *frame = oracle->frames; frame != NULL; frame = frame->prev)
        for (size_t i = 0; i < frame->count; i++)
            oracle_mark(stack, frame->object[i]);
    for (size_t i = 0; i < oracle->handles; i++)
        oracle_mark(stack, oracle->handle[i].object);
    for (size_t i = 0; i < ORACLE_GLOBALS; i++)
        oracle_mark(stack, oracle->global_object[i]);
    for (size_t i = 0; i < ORACLE_PROVIDED; i++)
        oracle_mark(stack, oracle->provider.object[i]);
    for (size_t i = 0; i < ORACLE_WORDS; i++)
        oracle_mark(stack, oracle->provider.inside[i]);
}

/* Move the shadows whose mark is `reached` to the list returned, unmarked; the others stay. */
static struct oracle_object *split(struct oracle *oracle, bool reached)
{
    struct oracle_object *out = NULL, **link = &oracle->objects;

    while (*link != NULL) {
        struct oracle_object *object = *link;
        bool moves = object->reached == reached;

        object->reached = false;
        if (!moves) {
            link = &object->next;
            continue;
        }
        *link = object->next;
        object->next = out;
        out = object;
        oracle->count--;
        oracle->bytes -= object->size;
    }
    return out;
}

/* Mark what must live; the others are told by `lingers`. */
size_t oracle_mark_alive(struct oracle *oracle, struct oracle_marks *stack)
{
    mark_roots(oracle, stack);
    oracle_mark_all(stack);
    if (oracle->after == NULL)
        return stack->reached;
    oracle_after_mark(oracle, stack);
    size_t alive = stack->reached;
    for (struct oracle_object *object = oracle->objects; object != NULL; object = object->next)
        object->lingers = !object->reached;
    oracle_after_linger(oracle, stack);
    return alive;
}

size_t oracle_prune(struct oracle *oracle)
{
    struct oracle_marks stack = {NULL, 0, 0, 0};
    size_t alive = oracle_mark_alive(oracle, &stack);

    free(stack.entry);
    struct oracle_object *dead = split(oracle, false);
    while (dead != NULL) {
        struct oracle_object *next = dead->next;
        shadow_free(dead);
        dead = next;
    }
    return alive;
}

struct oracle_object *oracle_export(struct oracle *oracle, struct oracle_object *object)
{
    struct oracle_marks stack = {NULL, 0, 0, 0};

    oracle_mark(&stack, object);
    oracle_mark_all(&stack);
    free(stack.entry);
    struct oracle_object *list = split(oracle, true);
    for (struct oracle_object **link = &list; *link != NULL; link = &(*link)->next)
        if (*link == object) { /* to the front */
            *link = object->next;
            object->next = list;
            list = object;
            break;
        }
    return list;
}

void oracle_import(struct oracle *oracle, struct oracle_object *list)
{
    while (list != NULL) {
        struct oracle_object *next = list->next;
        list->next = oracle->objects;
        oracle->objects = list;
        oracle->count++;
        oracle->bytes += list->size;
        list = next;
    }
}

/* --- comparing ----------------------------------------------------------------------------------- */

static void check_image(struct oracle *oracle, const struct oracle_object *object)
{
    unsigned char *image = image_of(object);
    const unsigned char *byte = object->address;

    if (memcmp(byte, image, object->size) != 0) {
        size_t at = 0;
        while (byte[at] == image[at])
            at++;
        at &= ~(size_t)7;
        uint64_t is = 0, should = 0;
        size_t length = object->size - at < 8 ? object->size - at : 8;
        memcpy(&is, byte + at, length);
        memcpy(&should, image + at, length);
        ORACLE_FAIL(oracle,
                    "object %llu at %p (kind %u, %zu bytes), offset %zu: 0x%llx, expected 0x%llx",
                    (unsigned long long)object->id, object->address, object->kind, object->size, at,
                    (unsigned long long)is, (unsigned long long)should);
    }
    free(image);
}

void oracle_check_object(struct oracle *oracle, const struct oracle_object *object)
{
    hearth_heap *heap = oracle->heap->heap;
    void *address = object->address;
    enum oracle_kind kind = (enum oracle_kind)object->kind;

    if (!hearth_is_object(heap, address))
        ORACLE_FAIL(oracle, "object %llu at %p (kind %d, %zu bytes) is gone",
                    (unsigned long long)object->id, address, kind, object->size);
    if (hearth_type_of(heap, address) != oracle->heap->type[kind])
        ORACLE_FAIL(oracle, "object %p has type 0x%x, not that of kind %d", address,
                    hearth_type_of(heap, address), kind);
    if ((oracle_is_array(kind) || kind == ORACLE_MODEL) &&
        hearth_length(heap, address) != object->count)
        ORACLE_FAIL(oracle, "object %p (kind %d) has length %zu, expected %zu", address, kind,
                    hearth_length(heap, address), object->count);
    if (hearth_usable_size(heap, address) < object->size)
        ORACLE_FAIL(oracle, "object %p (kind %d): %zu bytes usable of %zu", address, kind,
                    hearth_usable_size(heap, address), object->size);
    if (object->node >= 0 && __atomic_load_n(&heap->space.spilled, __ATOMIC_RELAXED) == 0 &&
        hearth_node_of(heap, address) != object->node)
        ORACLE_FAIL(oracle, "object %p (kind %d) lies on node %d, asked for %d", address, kind,
                    hearth_node_of(heap, address), object->node);
    check_image(oracle, object);
}

void oracle_check(struct oracle *oracle)
{
    if (oracle->after != NULL)
        oracle_after_check(oracle);
    oracle_prune(oracle);
    for (struct oracle_object *object = oracle->objects; object != NULL; object = object->next)
        if (!object->lingers)
            oracle_check_object(oracle, object);
}

/* Bytes the heap accounts for an object. Where memory is short it may lie in a larger cell. */
static uint64_t cell_bytes(struct oracle *oracle, const struct oracle_object *object)
{
    const hearth_heap *heap = oracle->heap->heap;
    size_t size = heap->space.guarded ? hg_guarded_size(object->size) : object->size;

    if (size > HA_SMALL_MAX)
        return size;
    size_t least = ha_class_cell(ha_class_of(size));
    size_t cell = ha_object_capacity((uintptr_t)object->address) + HEARTH_HEADER;
    if (cell < least)
        ORACLE_FAIL(oracle, "object %p of %zu bytes lies in a cell of %zu", object->address, size,
                    cell);
    return cell;
}

void oracle_check_exact(struct oracle **oracles, size_t count)
{
    struct oracle *first = oracles[0];
    hearth_heap *heap = first->heap->heap;
    hearth_stats stats = {.struct_size = sizeof(stats)};
    uint64_t objects = 0, bytes = 0, node_objects = 0, node_bytes = 0;

    for (size_t i = 0; i < count; i++) {
        objects += oracle_prune(oracles[i]);
        for (struct oracle_object *o = oracles[i]->objects; o != NULL; o = o->next)
            bytes += o->lingers ? 0 : cell_bytes(oracles[i], o);
        if (oracles[i]->after != NULL)
            oracle_after_count(oracles[i], &objects, &bytes);
    }
    HARNESS_OK(hearth_get_stats(heap, &stats));
    for (int node = 0; node < stats.nodes; node++) {
        hearth_node_stats each = {.struct_size = sizeof(each)};
        HARNESS_OK(hearth_get_node_stats(heap, node, &each));
        node_objects += each.live_objects;
        node_bytes += each.live_bytes;
    }
    if (stats.live_objects != objects || stats.live_bytes != bytes)
        ORACLE_FAIL(first, "%llu objects of %llu bytes live, expected %llu of %llu",
                    (unsigned long long)stats.live_objects, (unsigned long long)stats.live_bytes,
                    (unsigned long long)objects, (unsigned long long)bytes);
    if (node_objects != objects || node_bytes != bytes)
        ORACLE_FAIL(first, "the nodes hold %llu objects of %llu bytes, expected %llu of %llu",
                    (unsigned long long)node_objects, (unsigned long long)node_bytes,
                    (unsigned long long)objects, (unsigned long long)bytes);
}

/* --- heaps ------------------------------------------------------------------------------------- */

void oracle_heap_create(struct oracle_heap *heap, const char *options)
{
    hearth_options *set = NULL;
    hearth_stats stats = {.struct_size = sizeof(stats)};

    memset(heap, 0, sizeof(*heap));
    heap->options = options;
    HARNESS_OK(hearth_options_create(&set));
    HARNESS_OK(harness_parse(set, options));
    HARNESS_OK(hearth_heap_create(&heap->heap, set));
    hearth_options_destroy(set);
    HARNESS_OK(hearth_get_stats(heap->heap, &stats));
    heap->nodes = stats.nodes;
    oracle_types_register(heap);
}

void oracle_heap_destroy(struct oracle_heap *heap)
{
    HARNESS_OK(hearth_heap_destroy(heap->heap));
}
