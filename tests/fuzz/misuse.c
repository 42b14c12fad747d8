/* tests/fuzz/misuse.c - every call with wrong arguments: a status, a message, and nothing changed.
 *
 * Values are the program's choices: addresses near objects, sizes near limits, numbers of types and
 * nodes. What may be right by chance (a number that is a type) may also succeed; what comes back is not
 * used. That nothing changed is what the model checks after the next collection. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define REFUSED(call, expected)                                                                    \
    do {                                                                                           \
        HARNESS_STATUS(call, expected);                                                            \
        fuzz_count(&fuzz_counts->refused);                                                         \
    } while (0)

#define REFUSED_NULL(call, expected)                                                               \
    do {                                                                                           \
        HARNESS_NULL(call, expected);                                                              \
        fuzz_count(&fuzz_counts->refused);                                                         \
    } while (0)

static uint64_t below(struct oracle *oracle, uint64_t bound)
{
    return oracle_below(oracle, bound);
}

/* A size near a power of two. */
static size_t odd_size(struct oracle *oracle)
{
    return ((size_t)1 << below(oracle, 64)) + below(oracle, 33) - 16;
}

/* An address that is no object: inside one, near one, or anywhere. */
static void *odd_address(struct oracle *oracle)
{
    struct oracle_object *object = oracle_pick(oracle);
    static char outside[64];

    switch (below(oracle, 4)) {
    case 0:
        return &outside[below(oracle, sizeof(outside))];
    case 1:
        return (void *)(uintptr_t)odd_size(oracle);
    default:
        if (object == NULL || object->size < 2)
            return outside;
        return (char *)object->address + 1 + below(oracle, object->size - 1);
    }
}

/* --- objects and slots --------------------------------------------------------------------------- */

/* Slots outside of the object; a NULL among the arguments. */
static void misuse_store(struct oracle *oracle)
{
    struct oracle_object *object = oracle_pick(oracle);
    void *value[2] = {NULL, NULL}, *odd = odd_address(oracle);

    if (object == NULL)
        return;
    hearth_mutator *m = oracle->mutator;
    void *holder = object->address;
    void **before = (void **)holder - 1, **slot = holder;
    void **behind = (void **)(void *)((char *)holder + ((object->size + 7) & ~(size_t)7));
    switch (below(oracle, 10)) {
    case 0:
        REFUSED(hearth_store_checked(m, holder, before, value), HEARTH_ESLOT);
        break;
    case 1:
        REFUSED(hearth_store_checked(m, holder, behind, value), HEARTH_ESLOT);
        break;
    case 2:
        REFUSED(hearth_store_checked(m, NULL, slot, NULL), HEARTH_EINVAL);
        break;
    case 3:
        REFUSED(hearth_store_checked(NULL, holder, slot, NULL), HEARTH_EINVAL);
        break;
    case 4:
        REFUSED(hearth_store_checked(m, odd, slot, NULL),
                odd == NULL ? HEARTH_EINVAL : HEARTH_EOBJECT);
        break;
    case 5:
        REFUSED(
            hearth_barrier_range(m, holder, slot, object->size / 8 + 1 + odd_size(oracle) % 4096),
            HEARTH_ESLOT);
        break;
    case 6:
        REFUSED(hearth_store_range(m, holder, slot, value, SIZE_MAX - below(oracle, 8)),
                HEARTH_ESLOT);
        break;
    case 7:
        REFUSED(hearth_copy(m, holder, before, holder, slot, 1), HEARTH_ESLOT);
        break;
    case 8:
        REFUSED(hearth_copy(m, holder, slot, NULL, slot, 1),
                object->size < 8 ? HEARTH_ESLOT : HEARTH_EINVAL);
        break;
    default:
        if (object->size < 8)
            return;
        REFUSED(hearth_store_range(m, holder, slot, NULL, 1), HEARTH_EINVAL);
        break;
    }
}

static void misuse_look(struct oracle *oracle)
{
    hearth_heap *heap = oracle->heap->heap;
    void *odd = odd_address(oracle);

    ck_assert_msg(!hearth_is_object(heap, odd), "%p is taken for an object", odd);
    ck_assert_msg(hearth_usable_size(heap, odd) == 0, "%p has a usable size", odd);
    ck_assert_uint_eq(hearth_usable_size(heap, NULL), 0);
    ck_assert_uint_eq(hearth_type_of(heap, NULL), 0);
    ck_assert_int_eq(hearth_node_of(heap, NULL), -1);
    fuzz_count(&fuzz_counts->refused);
}

/* --- allocation ---------------------------------------------------------------------------------- */

/* A call that may be right by chance, or finds no memory; the object is garbage at once. */
static void may_fail(struct oracle *oracle, const char *call, const void *object)
{
    static const hearth_status right[] = {HEARTH_ETYPE,  HEARTH_ESIZE,  HEARTH_ELIMIT,
                                          HEARTH_ENOMEM, HEARTH_EINVAL, HEARTH_ENODE};
    hearth_status status = hearth_last_status();

    if (object != NULL)
        return;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        if (status == right[i]) {
            harness_expect_error(call, status, NULL);
            fuzz_count(&fuzz_counts->refused);
            return;
        }
    ORACLE_FAIL(oracle, "%s: %s: %s", call, hearth_status_name(status), hearth_last_error());
}

static void misuse_allocate(struct oracle *oracle)
{
    hearth_mutator *m = oracle->mutator;
    const hearth_type *type = oracle->heap->type;
    hearth_type random = (hearth_type)(below(oracle, 256) << 16 | below(oracle, 65536));
    enum oracle_kind kind = (enum oracle_kind)below(oracle, ORACLE_KINDS);
    size_t huge = ((size_t)1 << (44 + below(oracle, 20))) - below(oracle, 3);

    switch (below(oracle, 10)) {
    case 0:
        may_fail(oracle, "hearth_new", hearth_new(m, random));
        break;
    case 1:
        may_fail(oracle, "hearth_new_array", hearth_new_array(m, random, below(oracle, 300)));
        break;
    case 2:
        may_fail(oracle, "hearth_new_sized", hearth_new_sized(m, random, below(oracle, 300)));
        break;
    case 3:
        may_fail(oracle, "hearth_alloc", hearth_alloc(m, random, below(oracle, 300)));
        break;
    case 4:
        may_fail(oracle, "hearth_alloc_array", hearth_alloc_array(m, type[ORACLE_REFS], huge));
        break;
    case 5:
        may_fail(oracle, "hearth_new_on", hearth_new_on(m, type[kind], below(oracle, 9), -2));
        break;
    case 6:
        REFUSED_NULL(
            hearth_new_on(m, type[ORACLE_REFS], 3, oracle->heap->nodes + (int)below(oracle, 200)),
            HEARTH_ENODE);
        break;
    case 7:
        REFUSED_NULL(hearth_new_array(NULL, type[kind], 1), HEARTH_EINVAL);
        break;
    case 8: /* a size that is not the type's */
        REFUSED_NULL(hearth_alloc(m, type[ORACLE_NODE], 400 + below(oracle, 100000)), HEARTH_ESIZE);
        break;
    default:
        may_fail(oracle, "hearth_new_sized", hearth_new_sized(m, type[ORACLE_MODEL], huge));
        break;
    }
}

/* --- roots, threads, heaps ----------------------------------------------------------------------- */

static void misuse_roots(struct oracle *oracle)
{
    hearth_heap *heap = oracle->heap->heap;
    hearth_mutator *m = oracle->mutator;
    size_t i = below(oracle, ORACLE_GLOBALS);
    hearth_scope scope = {{NULL, NULL}};

    switch (below(oracle, 8)) {
    case 0:
        if (oracle->global_added[i])
            REFUSED(hearth_root_add(heap, &oracle->global[i]), HEARTH_ESTATE);
        else
            REFUSED(hearth_root_remove(heap, &oracle->global[i]), HEARTH_ESTATE);
        break;
    case 1:
        REFUSED(hearth_root_add(heap, NULL), HEARTH_EINVAL);
        break;
    case 2:
        REFUSED(
            hearth_root_add(heap, (void **)(void *)((char *)oracle->global + 1 + below(oracle, 7))),
            HEARTH_EINVAL);
        break;
    case 3:
        REFUSED(hearth_scope_close(m, &scope), HEARTH_ESTATE);
        break;
    case 4:
        if (oracle->scopes > 1)
            REFUSED(hearth_scope_close(m, &oracle->scope[below(oracle, oracle->scopes - 1)]),
                    HEARTH_ESTATE);
        break;
    case 5:
        REFUSED(hearth_scope_open(m, NULL), HEARTH_EINVAL);
        break;
    case 6:
        REFUSED(hearth_root_provider_add(heap, NULL, NULL), HEARTH_EINVAL);
        break;
    default:
        if (oracle->scopes == 0)
            REFUSED_NULL(hearth_handle(m, NULL), HEARTH_ESTATE);
        break;
    }
}

static void misuse_threads(struct oracle *oracle)
{
    hearth_heap *heap = oracle->heap->heap;
    hearth_mutator *m = oracle->mutator, *second = NULL;
    hearth_attach_options options = {.struct_size = sizeof(options), .node = HEARTH_NODE_AUTO};

    switch (below(oracle, 7)) {
    case 0:
        REFUSED(hearth_attach(heap, NULL, &second), HEARTH_ESTATE);
        break;
    case 1:
        options.struct_size = below(oracle, 256);
        if (options.struct_size != sizeof(options))
            REFUSED(hearth_attach(heap, &options, &second), HEARTH_EINVAL);
        break;
    case 2:
        if (oracle->frames != NULL || oracle->scopes > 0)
            REFUSED(hearth_detach(m), HEARTH_ESTATE);
        break;
    case 3:
        REFUSED(hearth_heap_destroy(heap), HEARTH_ESTATE);
        break;
    case 4:
        REFUSED(hearth_native_end(m), HEARTH_ESTATE);
        break;
    case 5:
        HARNESS_OK(hearth_native_begin(m));
        REFUSED(hearth_native_begin(m), HEARTH_ESTATE);
        REFUSED(hearth_gc_collect(m, 2), HEARTH_ESTATE);
        REFUSED_NULL(hearth_new(m, oracle->heap->type[ORACLE_NODE]), HEARTH_ESTATE);
        HARNESS_OK(hearth_native_end(m));
        break;
    default:
        REFUSED(hearth_attach(NULL, NULL, &second), HEARTH_EINVAL);
        break;
    }
    ck_assert_ptr_null(second);
}

static void misuse_heap(struct oracle *oracle)
{
    hearth_heap *heap = oracle->heap->heap;
    hearth_mutator *m = oracle->mutator;
    hearth_stats stats = {.struct_size = sizeof(stats)};
    hearth_node_stats node = {.struct_size = sizeof(node)};
    int number = (int)below(oracle, 256) - 128;

    switch (below(oracle, 6)) {
    case 0:
        if (number < 0 || number > 2)
            REFUSED(hearth_gc_collect(m, number), HEARTH_EINVAL);
        break;
    case 1:
        REFUSED(hearth_gc_collect(NULL, 0), HEARTH_EINVAL);
        break;
    case 2:
        stats.struct_size = below(oracle, 8);
        REFUSED(hearth_get_stats(heap, &stats), HEARTH_EINVAL);
        break;
    case 3:
        if (number < 0 || number >= oracle->heap->nodes)
            REFUSED(hearth_get_node_stats(heap, number, &node), HEARTH_ENODE);
        break;
    case 4:
        REFUSED(hearth_set_heap_limit(heap, below(oracle, 65536)), HEARTH_ESIZE);
        break;
    default:
        REFUSED(hearth_verify(NULL), HEARTH_EINVAL);
        break;
    }
}

/* --- types and options --------------------------------------------------------------------------- */

/* Descriptions that contradict themselves, then registers nothing. */
static void misuse_type(struct oracle *oracle)
{
    hearth_type_info info = {.struct_size = sizeof(info), .name = "odd", .size = 16};
    hearth_type type = 0;
    hearth_status expected = HEARTH_EINVAL;

    switch (below(oracle, 6)) {
    case 0:
        info.struct_size = below(oracle, 8);
        break;
    case 1:
        info.ref_bitmap = ((uint64_t)4 << below(oracle, 62)) | below(oracle, 4);
        break;
    case 2:
        info.flags = 1u << (2 + below(oracle, 2) * 13 + 12);
        break;
    case 3:
        info.size = 0;
        expected = HEARTH_ESIZE;
        break;
    case 4:
        info.flags = HEARTH_TYPE_LEAF;
        info.ref_bitmap = 1 + below(oracle, 3);
        break;
    default:
        info.ref_count = 1 + below(oracle, 100);
        break;
    }
    REFUSED(hearth_type_register(oracle->heap->heap, &info, &type), expected);
    ck_assert_uint_eq(type, 0);
}

static void misuse_options(struct oracle *oracle)
{
    static const char *const names[] = {"nursery", "mode", "workers", "verify", "growth", "", "x"};
    static const char *const values[] = {"-1", "1x", "", "99999999999999999999", "perhaps", "0x"};
    const char *name = names[below(oracle, 7)], *value = values[below(oracle, 6)];
    hearth_options *options = NULL;

    HARNESS_OK(hearth_options_create(&options));
    REFUSED(hearth_options_set(options, name, value), HEARTH_EOPTION);
    hearth_options_destroy(options);
}

void fuzz_misuse(struct oracle *oracle)
{
    static void (*const misuse[])(struct oracle *) = {
        misuse_store,   misuse_look, misuse_allocate, misuse_roots,
        misuse_threads, misuse_heap, misuse_type,     misuse_options,
    };

    misuse[below(oracle, sizeof(misuse) / sizeof(misuse[0]))](oracle);
}
