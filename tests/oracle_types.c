/* tests/oracle_types.c - the types of the oracle's objects: every tier, with and without cards.
 *
 * One table says where each kind has its references; the descriptions given to the heap are made from
 * it, and the shadow computes offsets from it. Only the trace callbacks know their layout by
 * themselves, as an embedder's would. No state. */
#include "tests/oracle.h"

#include <string.h>

struct oracle_shape {
    const char *name;
    size_t fixed, element;   /* bytes                                                   */
    uint64_t bitmap;         /* words of the fixed part that are references             */
    uint64_t element_bitmap; /* words of an element                                     */
    const uint32_t *offset;  /* more references of the fixed part                       */
    size_t offsets;          /* how many                                                */
    uint32_t flags;          /* HEARTH_TYPE_*                                           */
    hearth_trace_fn *trace;  /* then the bitmaps are for the shadow only                */
};

static const uint32_t offsets_far[] = {0, 8, 504, 512, 520, 984};
static const uint32_t offsets_huge[] = {16, 8192, 32760, 39992};
static const uint32_t offsets_tailed[] = {24, 8};

/* Words 1 and 4 of 7. */
static void trace_callback(void *object, size_t size, hearth_visitor *visitor)
{
    void **word = object;

    if (size == 56) {
        hearth_visit(visitor, &word[1]);
        hearth_visit(visitor, &word[4]);
    }
}

/* The second word of each 16 bytes. */
static void trace_callbacks(void *object, size_t size, hearth_visitor *visitor)
{
    void **word = object;

    for (size_t i = 1; i < size / sizeof(*word); i += 2)
        hearth_visit(visitor, &word[i]);
}

/* Words 0, 20 and 49 of 50. */
static void trace_cards(void *object, size_t size, hearth_visitor *visitor)
{
    void **word = object;

    hearth_visit(visitor, &word[0]);
    hearth_visit(visitor, &word[20]);
    hearth_visit(visitor, &word[size / sizeof(*word) - 1]);
}

/* Object model: bytes in the low half of the first word, the number of slots behind it in the upper. */
static size_t model_size(void *object)
{
    return (uint32_t) * (uint64_t *)object;
}

static void trace_model(void *object, size_t size, hearth_visitor *visitor)
{
    void **word = object;
    size_t slots = *(uint64_t *)object >> 32;

    for (size_t i = 1; i <= slots && (i + 1) * sizeof(*word) <= size; i++)
        hearth_visit(visitor, &word[i]);
}

static const struct oracle_shape shapes[ORACLE_KINDS] = {
    [ORACLE_LEAF] = {.name = "leaf", .fixed = 24, .flags = HEARTH_TYPE_LEAF},
    [ORACLE_PAIR] = {.name = "pair", .fixed = 16, .bitmap = 0x3},
    [ORACLE_NODE] = {.name = "node", .fixed = 40, .bitmap = 0x15},
    [ORACLE_WIDE] = {.name = "wide", .fixed = 512, .bitmap = UINT64_MAX},
    [ORACLE_OFFSETS] = {.name = "offsets", .fixed = 1000, .offset = offsets_far, .offsets = 6},
    [ORACLE_HUGE] = {.name = "huge", .fixed = 40000, .offset = offsets_huge, .offsets = 4},
    [ORACLE_STRUCTS] =
        {.name = "structs", .fixed = 24, .bitmap = 0x2, .element = 24, .element_bitmap = 0x5},
    [ORACLE_TAILED] = {.name = "tailed",
                       .fixed = 32,
                       .offset = offsets_tailed,
                       .offsets = 2,
                       .element = 8,
                       .element_bitmap = 1},
    [ORACLE_REFS] = {.name = "refs", .element = 8, .element_bitmap = 1},
    [ORACLE_BYTES] = {.name = "bytes", .element = 1, .flags = HEARTH_TYPE_LEAF},
    [ORACLE_CALLBACK] = {.name = "callback", .fixed = 56, .bitmap = 0x12, .trace = trace_callback},
    [ORACLE_CALLBACKS] = {.name = "callbacks",
                          .element = 16,
                          .element_bitmap = 0x2,
                          .trace = trace_callbacks},
    [ORACLE_CARDS] = {.name = "cards", .fixed = 160, .bitmap = 0xf000f, .flags = HEARTH_TYPE_CARDS},
    [ORACLE_CARDS_CALL] = {.name = "cards by callback",
                           .fixed = 400,
                           .bitmap = 1 | (uint64_t)1 << 20 | (uint64_t)1 << 49,
                           .flags = HEARTH_TYPE_CARDS,
                           .trace = trace_cards},
    [ORACLE_CARDS_REFS] = {.name = "refs by card",
                           .fixed = 8,
                           .element = 8,
                           .element_bitmap = 1,
                           .flags = HEARTH_TYPE_CARDS},
    [ORACLE_MODEL] = {.name = "model"},
};

/* A model object's words are half references, half data; all of them if it is larger than 32 KiB. */
static size_t model_slots(size_t size)
{
    size_t words = size / sizeof(void *);

    if (words < 2)
        return 0;
    return size > 32768 ? words - 1 : words / 2;
}

uint64_t oracle_model_word(size_t size)
{
    return (uint64_t)model_slots(size) << 32 | (uint32_t)size;
}

bool oracle_is_array(enum oracle_kind kind)
{
    return shapes[kind].element != 0;
}

size_t oracle_size(enum oracle_kind kind, size_t count)
{
    if (kind == ORACLE_MODEL)
        return count;
    size_t size = shapes[kind].fixed + shapes[kind].element * count;
    return size == 0 ? 1 : size;
}

size_t oracle_slots(enum oracle_kind kind, size_t count)
{
    const struct oracle_shape *shape = &shapes[kind];

    if (kind == ORACLE_MODEL)
        return model_slots(count);
    return (size_t)__builtin_popcountll(shape->bitmap) + shape->offsets +
           count * (size_t)__builtin_popcountll(shape->element_bitmap);
}

/* Byte offset of the i-th bit that is set. */
static size_t offset_of_bit(uint64_t bitmap, size_t i)
{
    while (i-- > 0)
        bitmap &= bitmap - 1;
    return (size_t)__builtin_ctzll(bitmap) * sizeof(void *);
}

size_t oracle_offset(enum oracle_kind kind, size_t i)
{
    const struct oracle_shape *shape = &shapes[kind];
    size_t bits = (size_t)__builtin_popcountll(shape->bitmap);

    if (kind == ORACLE_MODEL)
        return (i + 1) * sizeof(void *);
    if (i < bits)
        return offset_of_bit(shape->bitmap, i);
    i -= bits;
    if (i < shape->offsets)
        return shape->offset[i];
    i -= shape->offsets;
    if (shape->element == sizeof(void *))
        return shape->fixed + i * sizeof(void *);
    size_t each = (size_t)__builtin_popcountll(shape->element_bitmap);
    return shape->fixed + i / each * shape->element +
           offset_of_bit(shape->element_bitmap, i % each);
}

void oracle_types_register(struct oracle_heap *heap)
{
    for (int kind = 0; kind < ORACLE_MODEL; kind++) {
        const struct oracle_shape *shape = &shapes[kind];
        hearth_type_info info = {.struct_size = sizeof(info),
                                 .name = shape->name,
                                 .size = shape->fixed,
                                 .element_size = shape->element,
                                 .flags = shape->flags,
                                 .trace = shape->trace};

        if (shape->trace == NULL) {
            info.ref_bitmap = shape->bitmap;
            info.element_bitmap = shape->element_bitmap;
            info.ref_offsets = shape->offset;
            info.ref_count = shape->offsets;
        }
        HARNESS_OK(hearth_type_register(heap->heap, &info, &heap->type[kind]));
    }
    const hearth_object_model model = {
        .struct_size = sizeof(model), .size_of = model_size, .trace = trace_model};
    HARNESS_OK(hearth_set_object_model(heap->heap, &model, &heap->type[ORACLE_MODEL]));
}
