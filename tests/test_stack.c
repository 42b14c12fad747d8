/* tests/test_stack.c - conservative stacks: what only a register or a spilled word holds stays alive.
 *
 * Addresses of objects are kept inverted everywhere but in the one place that a test is about, so that
 * nothing else on the stack can hold them. That a dead object goes is a matter of luck with one
 * conservative stack, and is asked of many objects at once, or of precise roots. */
#include "tests/mutator_fixture.h"

/* The address of a new object, inverted. */
static __attribute__((noinline)) uintptr_t make_hidden(struct fixture *f, uint64_t value)
{
    return ~(uintptr_t)fixture_new(f->mutator, f->node, value);
}

static bool hidden_lives(struct fixture *f, uintptr_t hidden)
{
    return hearth_is_object(f->heap, (void *)~hidden);
}

/* Overwrite what earlier calls have left below. */
static __attribute__((noinline)) void wipe_stack(int depth)
{
    volatile char page[2048];

    memset((char *)page, 0, sizeof page);
    if (depth > 0)
        wipe_stack(depth - 1);
    page[0] = 0;
}

static __attribute__((noinline)) void collect_below(hearth_mutator *mutator)
{
    wipe_stack(8);
    fixture_collect(mutator, 2);
}

/* --- registers --------------------------------------------------------------------------------------- */

/* Call `fn(argument)` while the callee-saved register `reg`, and nothing else, has the address. The
 * register `sp` keeps the stack pointer. */
#define CALL_HOLDING(reg, sp, fn, argument, hidden)                                                \
    do {                                                                                           \
        uintptr_t target_ = (uintptr_t)(fn), first_ = (uintptr_t)(argument), hidden_ = (hidden);   \
        __asm__ volatile("mov %%rsp, %%" sp "\n\t"                                                 \
                         "sub $256, %%rsp\n\t"                                                     \
                         "and $-16, %%rsp\n\t"                                                     \
                         "mov %[hidden], %%" reg "\n\t"                                            \
                         "not %%" reg "\n\t"                                                       \
                         "call *%[target]\n\t"                                                     \
                         "mov %%" sp ", %%rsp\n\t"                                                 \
                         "xor %%" reg ", %%" reg                                                   \
                         : [target] "+a"(target_), "+D"(first_), [hidden] "+S"(hidden_)            \
                         :                                                                         \
                         : reg, sp, "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1",        \
                           "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",         \
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");  \
    } while (0)

static __attribute__((noinline)) void call_holding(int reg, void (*fn)(hearth_mutator *),
                                                   hearth_mutator *mutator, uintptr_t hidden)
{
    switch (reg) {
    case 0:
        CALL_HOLDING("rbx", "r12", fn, mutator, hidden);
        break;
    case 1:
        CALL_HOLDING("r12", "rbx", fn, mutator, hidden);
        break;
    case 2:
        CALL_HOLDING("r13", "rbx", fn, mutator, hidden);
        break;
    case 3:
        CALL_HOLDING("r14", "rbx", fn, mutator, hidden);
        break;
    default:
        CALL_HOLDING("r15", "rbx", fn, mutator, hidden);
        break;
    }
}

enum { REGISTERS = 5 };

/* The thread that holds it collects itself. */
START_TEST(register_of_the_collector)
{
    struct fixture f = fixture_open_conservative(NULL);
    uintptr_t hidden = make_hidden(&f, 5);

    call_holding(_i, collect_below, f.mutator, hidden);
    ck_assert(hidden_lives(&f, hidden));
    ck_assert_uint_eq(((struct fixture_node *)~hidden)->value, 5);
    fixture_close(&f);
}
END_TEST

/* It allocates until it has been collected. */
static __attribute__((noinline)) void allocate_below(hearth_mutator *mutator)
{
    hearth_heap *heap = mutator->heap;
    uint64_t before = fixture_stats(heap).minor_count;
    hearth_type type;

    wipe_stack(8);
    EXPECT(hearth_type_leaf(heap, "filler", 100, &type) == HEARTH_OK);
    while (fixture_stats(heap).minor_count < before + 4)
        EXPECT(hearth_alloc(mutator, type, 100) != NULL);
}

START_TEST(register_while_allocating)
{
    struct fixture f = fixture_open_conservative("nursery=256k");
    uintptr_t hidden = make_hidden(&f, 6);

    call_holding(_i, allocate_below, f.mutator, hidden);
    ck_assert(hidden_lives(&f, hidden));
    ck_assert_uint_eq(((struct fixture_node *)~hidden)->value, 6);
    fixture_close(&f);
}
END_TEST

/* --- while another thread collects -------------------------------------------------------------------- */

/* Another, precise mutator: collects a few times on command. */
struct other {
    hearth_heap *heap;
    uint32_t wanted, done; /* atomic */
    pthread_t thread;
};

static struct other other;

static void *collect_on_command(void *unused)
{
    hearth_mutator *mutator = fixture_attach(other.heap);
    uint32_t wanted;

    (void)unused;
    while ((wanted = __atomic_load_n(&other.wanted, __ATOMIC_ACQUIRE)) != UINT32_MAX) {
        if (wanted == other.done) {
            EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
            fixture_sleep_ms(1);
            EXPECT(hearth_native_end(mutator) == HEARTH_OK);
            continue;
        }
        for (int generation = 0; generation < 3; generation++)
            fixture_collect(mutator, generation);
        fixture_collect(mutator, 2);
        __atomic_store_n(&other.done, wanted, __ATOMIC_RELEASE);
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

static void start_other(hearth_heap *heap)
{
    other = (struct other){.heap = heap};
    EXPECT(pthread_create(&other.thread, NULL, collect_on_command, NULL) == 0);
}

static void stop_other(hearth_mutator *mutator)
{
    __atomic_store_n(&other.wanted, UINT32_MAX, __ATOMIC_RELEASE);
    HARNESS_OK(hearth_native_begin(mutator));
    EXPECT(pthread_join(other.thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(mutator));
}

static uint32_t ask_other(void)
{
    return __atomic_add_fetch(&other.wanted, 1, __ATOMIC_ACQ_REL);
}

static bool other_has_done(uint32_t number)
{
    return __atomic_load_n(&other.done, __ATOMIC_ACQUIRE) == number;
}

/* In a loop that only polls. */
static __attribute__((noinline)) void poll_below(hearth_mutator *mutator)
{
    uint32_t number;

    wipe_stack(8);
    number = ask_other();
    while (!other_has_done(number))
        hearth_safepoint(mutator);
}

/* Deep calls that overwrite everything below the caller's frame; then a wait. */
static __attribute__((noinline)) void wait_deep(uint32_t number, int depth)
{
    volatile char page[1024];

    memset((char *)page, 0, sizeof page);
    if (depth > 0)
        wait_deep(number, depth - 1);
    else
        while (!other_has_done(number))
            fixture_sleep_ms(1);
    page[1] = 1;
}

static __attribute__((noinline)) void native_below(hearth_mutator *mutator)
{
    EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
    wipe_stack(8);
    wait_deep(ask_other(), 30);
    EXPECT(hearth_native_end(mutator) == HEARTH_OK);
}

/* Functions of the embedder's around begin and end: their frames, in which the registers of their callers
 * are saved, are gone in between. */
static __attribute__((noinline)) void wrap_begin(hearth_mutator *mutator)
{
    volatile char room[256];

    memset((char *)room, 0, sizeof room);
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
    EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
    room[2] = 0;
}

static __attribute__((noinline)) void wrap_end(hearth_mutator *mutator)
{
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
    EXPECT(hearth_native_end(mutator) == HEARTH_OK);
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
}

static __attribute__((noinline)) void wrapped_native_below(hearth_mutator *mutator)
{
    wrap_begin(mutator);
    wipe_stack(8);
    wait_deep(ask_other(), 30);
    wrap_end(mutator);
}

static void (*const below[])(hearth_mutator *) = {poll_below, native_below, wrapped_native_below};

/* Registers, in each kind of waiting. */
START_TEST(register_while_waiting)
{
    struct fixture f = fixture_open_conservative(NULL);
    uintptr_t hidden;

    start_other(f.heap);
    hidden = make_hidden(&f, 7);
    call_holding(_i % REGISTERS, below[_i / REGISTERS], f.mutator, hidden);
    ck_assert(hidden_lives(&f, hidden));
    ck_assert_uint_eq(((struct fixture_node *)~hidden)->value, 7);
    stop_other(f.mutator);
    fixture_close(&f);
}
END_TEST

/* --- the stack ------------------------------------------------------------------------------------------ */

/* A local that lies in memory, at the object's start or inside it, while `fn` runs below. */
static __attribute__((noinline)) void
hold_spilled(void (*fn)(hearth_mutator *), hearth_mutator *mutator, uintptr_t hidden, size_t offset)
{
    volatile uintptr_t spilled = ~hidden + offset;

    fn(mutator);
    spilled = 0;
    (void)spilled;
}

static const size_t offsets[] = {0, 1, 8, 17, 31};

START_TEST(spilled_local)
{
    static void (*const all[])(hearth_mutator *) = {collect_below, poll_below, native_below,
                                                    wrapped_native_below};
    struct fixture f = fixture_open_conservative(NULL);

    start_other(f.heap);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uintptr_t hidden = make_hidden(&f, i);

        hold_spilled(all[i], f.mutator, hidden, offsets[_i]);
        ck_assert(hidden_lives(&f, hidden));
        ck_assert_uint_eq(((struct fixture_node *)~hidden)->value, i);
    }
    stop_other(f.mutator);
    fixture_close(&f);
}
END_TEST

/* Far inside a large array and a huge one. */
START_TEST(interior_of_large)
{
    static const size_t bytes[] = {40000, 1 << 20, 20 << 20};
    struct fixture f = fixture_open_conservative(NULL);

    for (size_t i = 0; i < 3; i++) {
        uintptr_t hidden = ~(uintptr_t)hearth_new_array(f.mutator, f.bytes, bytes[i]);

        hold_spilled(collect_below, f.mutator, hidden, bytes[i] - 1);
        ck_assert(hidden_lives(&f, hidden));
        hold_spilled(collect_below, f.mutator, hidden, bytes[i] / 2);
        ck_assert(hidden_lives(&f, hidden));
    }
    fixture_close(&f);
}
END_TEST

/* A tree built by recursion with nothing but C locals, as a C program would: the callers' frames hold
 * the halves while the others are allocated. */
static __attribute__((noinline)) struct fixture_node *build(struct fixture *f, int depth)
{
    struct fixture_node *left = depth > 0 ? build(f, depth - 1) : NULL;
    struct fixture_node *right = depth > 0 ? build(f, depth - 1) : NULL;
    struct fixture_node *node = fixture_new(f->mutator, f->node, (uint64_t)depth);

    EXPECT(hearth_store(f->mutator, node, &node->left, left) == HEARTH_OK);
    EXPECT(hearth_store(f->mutator, node, &node->right, right) == HEARTH_OK);
    return node;
}

static size_t count_tree(struct fixture *f, const struct fixture_node *node, int depth)
{
    if (node == NULL)
        return 0;
    EXPECT(node->value == (uint64_t)depth);
    return 1 + count_tree(f, node->left, depth - 1) + count_tree(f, node->right, depth - 1);
}

START_TEST(trees_without_roots)
{
    static const char *const options[] = {
        "conservative=on,nursery=256k", "conservative=on,nursery=256k,fake-nodes=4",
        "conservative=on,stress=5,verify=on",
        "conservative=on,poison=on,generational=off,nursery=256k"};
    struct fixture f = fixture_open(options[_i]); /* by the option, not by the attach call */
    struct fixture_node *volatile kept = build(&f, 12);

    for (uint64_t i = 0; i < 5 + harness_scaled(15); i++)
        EXPECT(count_tree(&f, build(&f, 9), 9) == 1023);
    while (fixture_stats(f.heap).minor_count + fixture_stats(f.heap).full_count < 3)
        EXPECT(count_tree(&f, build(&f, 9), 9) == 1023);
    EXPECT(count_tree(&f, kept, 12) == 8191);
    fixture_close(&f);
}
END_TEST

/* What nothing holds goes, all but the few that old words on the stack may still name. */
START_TEST(garbage_goes)
{
    struct fixture f = fixture_open_conservative(NULL);

    for (uint64_t i = 0; i < 10000; i++)
        (void)make_hidden(&f, i);
    collect_below(f.mutator);
    ck_assert_uint_le(fixture_stats(f.heap).live_objects, 20);
    fixture_close(&f);
}
END_TEST

/* Precise roots: locals keep nothing at all. */
START_TEST(precise_keeps_nothing)
{
    struct fixture f = fixture_open(NULL);
    uintptr_t hidden = make_hidden(&f, 1);

    hold_spilled(collect_below, f.mutator, hidden, 0);
    ck_assert(!hidden_lives(&f, hidden));
    call_holding(0, collect_below, f.mutator, hidden);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* --- several kinds of mutators ----------------------------------------------------------------------------- */

struct holder {
    struct fixture *f;
    bool conservative;
    uintptr_t spilled, framed; /* inverted addresses of objects in a local and in a frame */
    uint32_t state;            /* 1: holds, 2: may let go (atomic)                        */
    pthread_t thread;
};

static __attribute__((noinline)) void hold_until_told(struct holder *h, hearth_mutator *mutator)
{
    volatile uintptr_t spilled = ~h->spilled;

    __atomic_store_n(&h->state, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&h->state, __ATOMIC_ACQUIRE) != 2)
        hearth_safepoint(mutator);
    spilled = 0;
    (void)spilled;
}

static __attribute__((noinline)) uintptr_t make_for(struct holder *h, hearth_mutator *mutator)
{
    return ~(uintptr_t)fixture_new(mutator, h->f->node, 9);
}

static void *hold(void *argument)
{
    struct holder *h = argument;
    hearth_mutator *mutator =
        h->conservative ? fixture_attach_conservative(h->f->heap) : fixture_attach(h->f->heap);

    HEARTH_FRAME(mutator, frame, 1);
    h->framed = make_for(h, mutator);
    frame.ref[0] = (void *)~h->framed;
    h->spilled = make_for(h, mutator);
    hold_until_told(h, mutator);
    HEARTH_FRAME_END(mutator, frame);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

/* A precise and a conservative thread beside each other: each keeps what its kind keeps. */
START_TEST(beside_each_other)
{
    struct fixture f = fixture_open("fake-nodes=2");
    struct holder holders[2] = {{.f = &f, .conservative = true}, {.f = &f}};

    for (int i = 0; i < 2; i++) {
        EXPECT(pthread_create(&holders[i].thread, NULL, hold, &holders[i]) == 0);
        while (__atomic_load_n(&holders[i].state, __ATOMIC_ACQUIRE) != 1)
            hearth_safepoint(f.mutator);
    }
    for (int i = 0; i < 4; i++)
        fixture_collect(f.mutator, i % 3);
    fixture_collect(f.mutator, 2);
    ck_assert(hidden_lives(&f, holders[0].spilled) && hidden_lives(&f, holders[0].framed));
    ck_assert(!hidden_lives(&f, holders[1].spilled) && hidden_lives(&f, holders[1].framed));
    for (int i = 0; i < 2; i++)
        __atomic_store_n(&holders[i].state, 2, __ATOMIC_RELEASE);
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_join(holders[i].thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

enum { OUTSIDE = 100 };

/* Only below the base that was given: a coroutine's stack, or a part of one. */
static __attribute__((noinline)) void use_part(hearth_heap *heap, hearth_type type,
                                               volatile uintptr_t *outside)
{
    volatile uintptr_t inside = 0;
    hearth_attach_options options = {.struct_size = sizeof options,
                                     .node = HEARTH_NODE_AUTO,
                                     .conservative = true,
                                     .stack_base = __builtin_frame_address(0)};
    struct fixture f = {.heap = heap, .node = type};
    int lost = 0;

    HARNESS_OK(hearth_attach(heap, &options, &f.mutator));
    for (uint64_t i = 0; i < OUTSIDE; i++)
        outside[i] = ~make_hidden(&f, i);
    inside = ~make_hidden(&f, 4);
    collect_below(f.mutator);
    for (int i = 0; i < OUTSIDE; i++)
        lost += !hearth_is_object(heap, (void *)outside[i]);
    ck_assert_int_ge(lost, OUTSIDE - 10);
    ck_assert(hidden_lives(&f, ~inside));
    HARNESS_OK(hearth_detach(f.mutator));
}

START_TEST(base_given)
{
    hearth_heap *heap = fixture_heap(NULL);
    volatile uintptr_t outside[OUTSIDE] = {0};
    hearth_type type;

    HARNESS_OK(hearth_type_fixed(heap, "node", sizeof(struct fixture_node), 3, &type));
    use_part(heap, type, outside);
    outside[0] = 0;
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

static void *build_on_small_stack(void *argument)
{
    struct fixture f = *(struct fixture *)argument;

    f.mutator = fixture_attach_conservative(f.heap);
    for (uint64_t i = 0; i < harness_scaled(40); i++)
        EXPECT(count_tree(&f, build(&f, 8), 8) == 511);
    EXPECT(hearth_detach(f.mutator) == HEARTH_OK);
    return NULL;
}

/* Threads with stacks of their own size and place. */
START_TEST(stacks_of_threads)
{
    enum { THREADS = 4, STACK = 2 << 20 };
    struct fixture f = fixture_open("nursery=256k");
    pthread_t threads[THREADS];
    void *stacks[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_attr_t attributes;

        stacks[i] = aligned_alloc(4096, STACK);
        EXPECT(pthread_attr_init(&attributes) == 0);
        EXPECT(pthread_attr_setstack(&attributes, stacks[i], STACK) == 0);
        EXPECT(pthread_create(&threads[i], &attributes, build_on_small_stack, &f) == 0);
        pthread_attr_destroy(&attributes);
    }
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
        free(stacks[i]);
    }
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(stack)
{
    Suite *suite = suite_create("stack");
    TCase *registers = tcase_create("registers"), *stack = tcase_create("stack");
    TCase *mixed = tcase_create("mixed");

    tcase_add_loop_test(registers, register_of_the_collector, 0, REGISTERS);
    tcase_add_loop_test(registers, register_while_allocating, 0, REGISTERS);
    tcase_add_loop_test(registers, register_while_waiting, 0, 3 * REGISTERS);
    suite_add_tcase(suite, registers);
    tcase_add_loop_test(stack, spilled_local, 0, 5);
    tcase_add_test(stack, interior_of_large);
    tcase_add_loop_test(stack, trees_without_roots, 0, 4);
    tcase_add_test(stack, garbage_goes);
    tcase_add_test(stack, precise_keeps_nothing);
    suite_add_tcase(suite, stack);
    tcase_add_test(mixed, beside_each_other);
    tcase_add_test(mixed, base_given);
    tcase_add_test(mixed, stacks_of_threads);
    suite_add_tcase(suite, mixed);
    return suite;
}
