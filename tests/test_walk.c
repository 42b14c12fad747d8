/* tests/test_walk.c - walking all objects of a heap, and all slots of one. */
#include "tests/oracle.h"
#include "tests/trace_fixture.h"

struct census {
    struct oracle *oracle;
    uint64_t seen, marked, bytes;
};

static void count_object(void *data, uintptr_t object, uint8_t mark)
{
    struct census *census = data;

    EXPECT(mark == (*ha_meta_of(object) & HA_MARK));
    census->seen++;
    census->marked += mark != 0;
    census->bytes += ha_object_capacity(object);
    for (struct oracle_object *o = census->oracle->objects; o != NULL; o = o->next)
        if ((uintptr_t)o->address == object) {
            EXPECT(!o->reached); /* each once */
            o->reached = true;
            return;
        }
    EXPECT(mark == 0); /* garbage that has not been collected yet */
}

static uint64_t reached(struct oracle *oracle)
{
    uint64_t count = 0;

    for (struct oracle_object *o = oracle->objects; o != NULL; o = o->next) {
        count += o->reached;
        o->reached = false;
    }
    return count;
}

/* The world is this thread's: one mutator. Blocks are given back as before a collection. */
static void walk(struct oracle *oracle, struct census *marked, struct census *allocated)
{
    hearth_heap *heap = oracle->heap->heap;

    HARNESS_OK(hearth_verify(oracle->mutator));
    *marked = *allocated = (struct census){.oracle = oracle};
    hg_walk_marked(heap, count_object, marked);
    EXPECT(marked->seen == marked->marked);
    uint64_t of_model = reached(oracle);
    EXPECT(of_model <= marked->seen);
    hg_walk_allocated(heap, count_object, allocated);
    EXPECT(reached(oracle) == oracle->count);
    EXPECT(allocated->marked == marked->marked);
}

START_TEST(every_object_is_walked_once)
{
    struct oracle_heap heap;
    struct oracle oracle;
    struct census marked, allocated;

    oracle_heap_create(&heap, _i ? "fake-nodes=4,nursery=64m" : "nursery=64m");
    oracle_begin(&oracle, &heap, harness_seed() + (uint64_t)_i, HEARTH_NODE_AUTO);
    HARNESS_OK(hearth_gc_disable(heap.heap)); /* no object is freed unless it is asked for */
    for (int kind = 0; kind < ORACLE_KINDS; kind++) {
        struct oracle_object *object = oracle_new(&oracle, (enum oracle_kind)kind, 5000);
        ck_assert(object != NULL && oracle_hold(&oracle, object));
    }
    walk(&oracle, &marked, &allocated);
    ck_assert_uint_eq(marked.seen, 0);
    ck_assert_uint_eq(allocated.seen, ORACLE_KINDS);
    HARNESS_OK(hearth_gc_collect(oracle.mutator, 2));
    walk(&oracle, &marked, &allocated);
    ck_assert_uint_eq(marked.seen, ORACLE_KINDS);
    ck_assert_uint_eq(allocated.seen, ORACLE_KINDS);
    for (int i = 0; i < 30; i++) { /* half of them are garbage at once */
        struct oracle_object *object = oracle_new(&oracle, ORACLE_NODE, 0);
        if (i % 2)
            oracle_hold(&oracle, object);
    }
    walk(&oracle, &marked, &allocated);
    ck_assert_uint_eq(marked.seen, ORACLE_KINDS);
    ck_assert_uint_eq(allocated.seen, ORACLE_KINDS + 30);
    HARNESS_OK(hearth_gc_collect(oracle.mutator, 0));
    size_t live = oracle_prune(&oracle);
    walk(&oracle, &marked, &allocated);
    ck_assert_uint_eq(marked.seen, live);
    ck_assert_uint_eq(allocated.seen, live);
    oracle_end(&oracle, false);
    oracle_heap_destroy(&heap);
}
END_TEST

/* --- slots --------------------------------------------------------------------------------------- */

struct slot_log {
    hearth_visitor visitor; /* first */
    const struct oracle_object *object;
    size_t count;
    bool *seen;
};

static void log_slot(hearth_visitor *visitor, void **slot)
{
    struct slot_log *log = (struct slot_log *)visitor;

    for (size_t i = 0; i < log->object->slots; i++)
        if (oracle_slot(log->object, i) == slot) {
            EXPECT(!log->seen[i]);
            log->seen[i] = true;
            log->count++;
            return;
        }
    ck_abort_msg("%p is no slot of %p", (void *)slot, log->object->address);
}

START_TEST(every_slot_of_an_object_is_visited_once)
{
    static const size_t counts[] = {0, 1, 7, 1000, 5000};
    struct oracle_heap heap;
    struct oracle oracle;

    oracle_heap_create(&heap, "nursery=64m");
    oracle_begin(&oracle, &heap, 1, 0);
    for (int i = 0; i < 5; i++) {
        size_t count = _i == ORACLE_MODEL ? counts[i] + 8 : counts[i];
        struct oracle_object *object = oracle_new(&oracle, (enum oracle_kind)_i, count);
        ck_assert_ptr_nonnull(object);
        struct slot_log log = {.visitor = {log_slot},
                               .object = object,
                               .seen = calloc(object->slots + 1, sizeof(bool))};
        hg_visit_object(heap.heap, (uintptr_t)object->address, &log.visitor);
        ck_assert_uint_eq(log.count, object->slots);
        free(log.seen);
    }
    oracle_end(&oracle, false);
    oracle_heap_destroy(&heap);
}
END_TEST

HARNESS_SUITE(walk)
{
    Suite *suite = suite_create("walk");
    TCase *tcase = tcase_create("walk");

    tcase_add_loop_test(tcase, every_object_is_walked_once, 0, 2);
    tcase_add_loop_test(tcase, every_slot_of_an_object_is_visited_once, 0, ORACLE_KINDS);
    suite_add_tcase(suite, tcase);
    return suite;
}
