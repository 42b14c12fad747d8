/* tests/test_roots.c - global roots and providers, alone and while other threads change them.
 *
 * What must hold: a slot keeps its object exactly while it is registered; adding and removing is
 * possible from native sections during a collection, and afterwards the slot's memory may go. */
#include "tests/mutator_fixture.h"

START_TEST(root_keeps)
{
    struct fixture f = fixture_open("verify=on");
    static void *slot;
    uintptr_t object;

    slot = fixture_new(f.mutator, f.node, 7);
    object = ~(uintptr_t)slot;
    HARNESS_OK(hearth_root_add(f.heap, &slot));
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, generation);
        ck_assert_ptr_eq(slot, (void *)~object);
        ck_assert_uint_eq(((struct fixture_node *)slot)->value, 7);
    }
    slot = fixture_new(f.mutator, f.node, 8); /* no barrier */
    fixture_collect(f.mutator, 0);
    ck_assert_uint_eq(((struct fixture_node *)slot)->value, 8);
    object = ~(uintptr_t)slot;
    HARNESS_OK(hearth_root_remove(f.heap, &slot));
    fixture_collect(f.mutator, 2);
    ck_assert(!hearth_is_object(f.heap, (void *)~object));
    slot = NULL;
    fixture_close(&f);
}
END_TEST

START_TEST(twice_and_unknown)
{
    struct fixture f = fixture_open(NULL);
    void *slot = NULL, *other = NULL;
    char text[32];

    snprintf(text, sizeof text, "%p", (void *)&slot);
    HARNESS_STATUS_NAMES(hearth_root_remove(f.heap, &slot), HEARTH_ESTATE, text);
    HARNESS_OK(hearth_root_add(f.heap, &slot));
    HARNESS_STATUS_NAMES(hearth_root_add(f.heap, &slot), HEARTH_ESTATE, text);
    HARNESS_STATUS(hearth_root_remove(f.heap, &other), HEARTH_ESTATE);
    HARNESS_OK(hearth_root_remove(f.heap, &slot));
    HARNESS_STATUS_NAMES(hearth_root_remove(f.heap, &slot), HEARTH_ESTATE, text);
    HARNESS_OK(hearth_root_add(f.heap, &slot));
    HARNESS_OK(hearth_root_remove(f.heap, &slot));
    fixture_close(&f);
}
END_TEST

/* No slot: the addresses that the set itself gives a meaning, and all that are not aligned. */
START_TEST(odd_slots)
{
    struct fixture f = fixture_open(NULL);
    void *slots[4] = {NULL};

    for (uintptr_t odd = 1; odd < 8; odd++) {
        HARNESS_STATUS(hearth_root_add(f.heap, (void **)odd), HEARTH_EINVAL);
        HARNESS_STATUS(hearth_root_remove(f.heap, (void **)odd), HEARTH_ESTATE);
        HARNESS_STATUS_NAMES(hearth_root_add(f.heap, (void **)((char *)slots + odd)), HEARTH_EINVAL,
                             "not aligned");
    }
    HARNESS_OK(hearth_root_add(f.heap, &slots[0]));
    HARNESS_OK(hearth_root_remove(f.heap, &slots[0])); /* leaves a tomb */
    HARNESS_STATUS(hearth_root_remove(f.heap, (void **)1), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_root_add(f.heap, (void **)1), HEARTH_EINVAL);
    ck_assert(hg_roots_check(&f.heap->roots));
    fixture_close(&f);
}
END_TEST

/* Random adding and removing against a plain table; the set does not grow without end. */
START_TEST(against_a_table)
{
    enum { SLOTS = 3000 };
    struct fixture f = fixture_open(NULL);
    void **slots = calloc(SLOTS, sizeof *slots);
    bool *added = calloc(SLOTS, sizeof *added);
    uint64_t state = harness_seed();
    size_t count = 0;

    for (uint64_t step = 0; step < harness_scaled(200000); step++) {
        size_t limit = step % 40000 < 20000 ? SLOTS : 50;
        size_t i = harness_random_below(&state, limit);
        hearth_status status;

        if (harness_random(&state) & 1) {
            status = hearth_root_add(f.heap, &slots[i]);
            EXPECT(status == (added[i] ? HEARTH_ESTATE : HEARTH_OK));
            count += !added[i];
            added[i] = true;
        } else {
            status = hearth_root_remove(f.heap, &slots[i]);
            EXPECT(status == (added[i] ? HEARTH_OK : HEARTH_ESTATE));
            count -= added[i];
            added[i] = false;
        }
        EXPECT(f.heap->roots.count == count);
        if (step % 5000 == 0) {
            ck_assert(hg_roots_check(&f.heap->roots));
            fixture_collect(f.mutator, 0);
        }
    }
    ck_assert_uint_le(f.heap->roots.capacity, 8 * SLOTS);
    for (size_t i = 0; i < SLOTS; i++)
        EXPECT(!added[i] || hearth_root_remove(f.heap, &slots[i]) == HEARTH_OK);
    ck_assert_uint_eq(f.heap->roots.count, 0);
    free(slots);
    free(added);
    fixture_close(&f);
}
END_TEST

/* Many roots at once, each keeps its own. */
START_TEST(many)
{
    enum { SLOTS = 20000 };
    struct fixture f = fixture_open(NULL);
    void **slots = calloc(SLOTS, sizeof *slots);

    for (size_t i = 0; i < SLOTS; i++) {
        EXPECT(hearth_root_add(f.heap, &slots[i]) == HEARTH_OK);
        slots[i] = fixture_new(f.mutator, f.node, i);
    }
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, SLOTS);
    for (size_t i = 0; i < SLOTS; i++)
        EXPECT(((struct fixture_node *)slots[i])->value == i);
    for (size_t i = 0; i < SLOTS; i += 2)
        EXPECT(hearth_root_remove(f.heap, &slots[i]) == HEARTH_OK);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, SLOTS / 2);
    HARNESS_OK(hearth_verify(f.mutator));
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(f.heap)); /* with roots still there */
    free(slots);
}
END_TEST

/* --- while others collect ----------------------------------------------------------------------------- */

struct changer {
    struct fixture *f;
    uint64_t rounds;
    bool done; /* atomic */
    pthread_t thread;
};

/* In a native section all the time, but for making objects: adds slots in memory that it frees again. */
static void *change_roots(void *argument)
{
    struct changer *changer = argument;
    hearth_heap *heap = changer->f->heap;
    hearth_mutator *mutator = fixture_attach(heap);

    for (uint64_t round = 0; round < changer->rounds; round++) {
        void **slots = calloc(40, sizeof *slots);

        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
        for (int i = 0; i < 40; i++)
            EXPECT(hearth_root_add(heap, &slots[i]) == HEARTH_OK);
        EXPECT(hearth_native_end(mutator) == HEARTH_OK);
        for (size_t i = 0; i < 40; i++)
            slots[i] = fixture_new(mutator, changer->f->node, i + round);
        hearth_safepoint(mutator);
        for (size_t i = 0; i < 40; i++)
            EXPECT(((struct fixture_node *)slots[i])->value == i + round);
        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
        for (int i = 0; i < 40; i++)
            EXPECT(hearth_root_remove(heap, &slots[i]) == HEARTH_OK);
        memset(slots, 0x5a, 40 * sizeof *slots); /* no address of hearth's */
        free(slots);
        EXPECT(hearth_native_end(mutator) == HEARTH_OK);
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    __atomic_store_n(&changer->done, true, __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(changed_in_native_sections)
{
    struct fixture f = fixture_open("fake-nodes=2,nursery=256k");
    struct changer changers[3];
    int collections = 0;

    for (int i = 0; i < 3; i++) {
        changers[i] = (struct changer){.f = &f, .rounds = harness_scaled(1500)};
        EXPECT(pthread_create(&changers[i].thread, NULL, change_roots, &changers[i]) == 0);
    }
    for (int i = 0; i < 3; i++)
        while (!__atomic_load_n(&changers[i].done, __ATOMIC_ACQUIRE))
            fixture_collect(f.mutator, collections++ % 3);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_join(changers[i].thread, NULL) == 0);
    ck_assert_uint_eq(f.heap->roots.count, 0);
    ck_assert(hg_roots_check(&f.heap->roots));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* --- providers ------------------------------------------------------------------------------------------ */

/* A machine's stack of references, and some that it only may have. */
struct machine {
    hearth_heap *heap;
    hearth_mutator *mutator;
    void *stack[100];
    int depth, calls;
    uintptr_t words[64]; /* ambiguous */
    int count;
};

static void visit_machine(void *data, hearth_visitor *visitor)
{
    struct machine *machine = data;

    machine->calls++;
    for (int i = 0; i < machine->depth; i++)
        hearth_visit(visitor, &machine->stack[i]);
    hearth_visit_ambiguous(visitor, machine->words, machine->words + machine->count);
}

static void visit_other(void *data, hearth_visitor *visitor)
{
    hearth_visit(visitor, data);
}

START_TEST(provider_keeps)
{
    struct fixture f = fixture_open(NULL);
    struct machine machine = {.heap = f.heap, .depth = 100};
    void *other = NULL;
    int calls;

    HARNESS_OK(hearth_root_provider_add(f.heap, visit_machine, &machine));
    HARNESS_OK(hearth_root_provider_add(f.heap, visit_other, &other));
    HARNESS_STATUS(hearth_root_provider_add(f.heap, visit_other, &other), HEARTH_ESTATE);
    HARNESS_OK(hearth_root_provider_add(f.heap, visit_other, &machine.stack[0]));
    for (uint64_t i = 0; i < 100; i++)
        machine.stack[i] = fixture_new(f.mutator, f.node, i);
    other = fixture_new(f.mutator, f.node, 1000);
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, generation);
        for (uint64_t i = 0; i < 100; i++)
            EXPECT(((struct fixture_node *)machine.stack[i])->value == i);
        ck_assert_uint_eq(((struct fixture_node *)other)->value, 1000);
    }
    ck_assert_int_ge(machine.calls, 3);
    machine.depth = 10;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 11);
    HARNESS_OK(hearth_root_provider_remove(f.heap, visit_machine, &machine));
    HARNESS_STATUS(hearth_root_provider_remove(f.heap, visit_machine, &machine), HEARTH_ESTATE);
    calls = machine.calls;
    fixture_collect(f.mutator, 2);
    ck_assert_int_eq(machine.calls, calls);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 2);
    HARNESS_OK(hearth_root_provider_remove(f.heap, visit_other, &machine.stack[0]));
    HARNESS_OK(hearth_root_provider_remove(f.heap, visit_other, &other));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* Where in an object an ambiguous word may point, and still keep it. */
static uintptr_t ambiguous(char *object, size_t bytes, int where)
{
    switch (where) {
    case 0:
        return (uintptr_t)object;
    case 1:
        return (uintptr_t)object + 1;
    case 2:
        return (uintptr_t)object + bytes / 2;
    case 3:
        return (uintptr_t)object + bytes - 1;
    default:
        return (uintptr_t)object - HEARTH_HEADER;
    }
}

/* Ambiguous words, also into the middle: small, every class, large, chunks. Others keep nothing. */
START_TEST(ambiguous_words)
{
    static const size_t sizes[] = {8,     40,    248,     600,     4000,    9000,
                                   30000, 65000, 1 << 20, 3 << 20, 5 << 20, 9 << 20};
    int count = sizeof sizes / sizeof sizes[0];
    struct fixture f = fixture_open("verify=on");
    struct machine machine = {.heap = f.heap, .count = count};
    bool large_only = _i == 4; /* a header's address: large objects have none of their own cell */

    HARNESS_OK(hearth_root_provider_add(f.heap, visit_machine, &machine));
    for (int i = 0; i < count; i++) {
        char *object = hearth_new_array(f.mutator, f.bytes, sizes[i]);

        EXPECT(object != NULL);
        memset(object, i, sizes[i]);
        machine.words[i] = ambiguous(object, sizes[i], large_only && i > 6 ? 0 : _i);
    }
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, generation);
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, (uint64_t)count);
    }
    for (int i = 0; i < count; i++) /* one past the end, or in the free rest of a chunk */
        machine.words[i] = (machine.words[i] & ~UINT64_C(0xffff)) + 65536 * 70 + (uintptr_t)i * 999;
    machine.count = 0;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    machine.count = count;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    HARNESS_OK(hearth_root_provider_remove(f.heap, visit_machine, &machine));
    fixture_close(&f);
}
END_TEST

/* Any bits at all, over all of the windows, and ranges that are empty, odd or reversed. */
START_TEST(ambiguous_garbage)
{
    struct fixture f = fixture_open("fake-nodes=2,verify=on");
    const struct ha_windows *windows = f.heap->space.windows;
    struct machine machine = {.heap = f.heap, .count = 64};
    uint64_t state = harness_seed();

    HARNESS_OK(hearth_root_provider_add(f.heap, visit_machine, &machine));
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = hearth_new_array(f.mutator, f.refs, 1 << 20);
    for (uint64_t round = 0; round < harness_scaled(150); round++) {
        struct fixture_node *node = fixture_new(f.mutator, f.node, round);

        hearth_store_init(&node->left, frame.ref[1]);
        frame.ref[1] = node;
        fixture_garbage(f.mutator, f.node, 3000);
        for (int i = 0; i < 64; i++) {
            machine.words[i] = windows->base + harness_random_below(&state, windows->bytes);
            if (i % 2) /* near something */
                machine.words[i] =
                    (uintptr_t)node + harness_random_below(&state, 1 << 21) - (1 << 20);
        }
        fixture_collect(f.mutator, (int)(round % 3));
    }
    HEARTH_FRAME_END(f.mutator, frame);
    HARNESS_OK(hearth_root_provider_remove(f.heap, visit_machine, &machine));
    fixture_close(&f);
}
END_TEST

static void visit_odd_ranges(void *data, hearth_visitor *visitor)
{
    struct machine *machine = data;
    const char *words = (const char *)machine->words;

    machine->calls++;
    hearth_visit_ambiguous(visitor, NULL, NULL);
    hearth_visit_ambiguous(visitor, words + 8, words);
    hearth_visit_ambiguous(visitor, words, words + 7);
    hearth_visit_ambiguous(visitor, words + 1, words + 15); /* no aligned word inside */
    hearth_visit_ambiguous(visitor, words + 1, words + 16); /* the second one */
}

START_TEST(ambiguous_ranges)
{
    struct fixture f = fixture_open(NULL);
    struct machine machine = {.heap = f.heap};

    HARNESS_OK(hearth_root_provider_add(f.heap, visit_odd_ranges, &machine));
    machine.words[0] = (uintptr_t)fixture_new(f.mutator, f.node, 1);
    machine.words[1] = (uintptr_t)fixture_new(f.mutator, f.node, 2);
    fixture_collect(f.mutator, 2);
    ck_assert_int_ge(machine.calls, 1);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 1);
    ck_assert(hearth_is_object(f.heap, (void *)machine.words[1]));
    HARNESS_OK(hearth_root_provider_remove(f.heap, visit_odd_ranges, &machine));
    fixture_close(&f);
}
END_TEST

/* A provider must not call back: it is told so, instead of waiting for itself. */
static void call_back(void *data, hearth_visitor *visitor)
{
    struct machine *machine = data;
    hearth_mutator *other = NULL;
    hearth_scope scope;
    hearth_type_info info = {.struct_size = sizeof info, .name = "late", .size = 8};
    hearth_type type;

    (void)visitor;
    machine->calls++;
    HARNESS_STATUS_NAMES(hearth_gc_collect(machine->mutator, 0), HEARTH_ESTATE, "callback");
    HARNESS_STATUS(hearth_verify(machine->mutator), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_attach(machine->heap, NULL, &other), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_detach(machine->mutator), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_heap_destroy(machine->heap), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_native_begin(machine->mutator), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_native_end(machine->mutator), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_root_add(machine->heap, &machine->stack[5]), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_root_remove(machine->heap, &machine->stack[0]), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_root_provider_add(machine->heap, visit_other, NULL), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_root_provider_remove(machine->heap, call_back, data), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_scope_open(machine->mutator, &scope), HEARTH_ESTATE);
    HARNESS_NULL(hearth_handle(machine->mutator, NULL), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_set_heap_limit(machine->heap, 1 << 30), HEARTH_ESTATE);
    HARNESS_NULL(hearth_new(machine->mutator, 3), HEARTH_ESTATE);
    HARNESS_NULL(hearth_alloc(machine->mutator, 0x30002, 40), HEARTH_ESTATE);
    HARNESS_STATUS(
        hearth_store_checked(machine->mutator, machine->stack[0], machine->stack[0], NULL),
        HEARTH_ESTATE);
    hearth_safepoint_slow(machine->mutator);
    HARNESS_OK(hearth_type_register(machine->heap, &info, &type));
    ck_assert_int_eq(fixture_stats(machine->heap).mutators, 1);
}

START_TEST(provider_calls_back)
{
    struct fixture f = fixture_open(NULL);
    struct machine machine = {.heap = f.heap, .mutator = f.mutator};

    machine.stack[0] = fixture_new(f.mutator, f.node, 1);
    HARNESS_OK(hearth_root_add(f.heap, &machine.stack[0]));
    HARNESS_OK(hearth_root_provider_add(f.heap, call_back, &machine));
    fixture_collect(f.mutator, 0);
    fixture_collect(f.mutator, 2);
    ck_assert_int_ge(machine.calls, 2);
    HARNESS_OK(hearth_root_provider_remove(f.heap, call_back, &machine));
    ck_assert_uint_eq(((struct fixture_node *)machine.stack[0])->value, 1);
    HARNESS_OK(hearth_root_remove(f.heap, &machine.stack[0]));
    fixture_close(&f);
}
END_TEST

static void add_and_remove(struct fixture *f, uint64_t rounds)
{
    void *slot = NULL;

    for (uint64_t i = 0; i < rounds; i++) {
        EXPECT(hearth_root_provider_add(f->heap, visit_other, &slot) == HEARTH_OK);
        EXPECT(hearth_root_provider_remove(f->heap, visit_other, &slot) == HEARTH_OK);
    }
}

/* Not attached; its slot lies on its stack. */
static void *change_providers(void *argument)
{
    struct changer *changer = argument;

    add_and_remove(changer->f, changer->rounds);
    __atomic_store_n(&changer->done, true, __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(providers_change_while_collecting)
{
    struct fixture f = fixture_open(NULL);
    struct changer changer = {.f = &f, .rounds = harness_scaled(20000)};
    int collections = 0;

    EXPECT(pthread_create(&changer.thread, NULL, change_providers, &changer) == 0);
    while (!__atomic_load_n(&changer.done, __ATOMIC_ACQUIRE))
        fixture_collect(f.mutator, collections++ % 3);
    EXPECT(pthread_join(changer.thread, NULL) == 0);
    ck_assert_uint_eq(f.heap->roots.providers, 0);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(roots)
{
    Suite *suite = suite_create("roots");
    TCase *global = tcase_create("global"), *providers = tcase_create("providers");

    tcase_add_test(global, root_keeps);
    tcase_add_test(global, twice_and_unknown);
    tcase_add_test(global, odd_slots);
    tcase_add_test(global, against_a_table);
    tcase_add_test(global, many);
    tcase_add_test(global, changed_in_native_sections);
    suite_add_tcase(suite, global);
    tcase_add_test(providers, provider_keeps);
    tcase_add_loop_test(providers, ambiguous_words, 0, 5);
    tcase_add_test(providers, ambiguous_garbage);
    tcase_add_test(providers, ambiguous_ranges);
    tcase_add_test(providers, provider_calls_back);
    tcase_add_test(providers, providers_change_while_collecting);
    suite_add_tcase(suite, providers);
    return suite;
}
