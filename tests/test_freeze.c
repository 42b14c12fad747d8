/* tests/test_freeze.c - frozen objects: kept, not traced, not swept, not written; found again when written to. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gc/freeze.h"
#include "tests/oracle.h"
#include "tests/trace_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FREEZE_SANITIZED 1 /* what a process dirties is not the heap's doing alone */
#else
#define FREEZE_SANITIZED 0
#endif

static const char *const modes[] = {
    "verify=on",
    "verify=on,workers=3,help-after=0,fake-nodes=2,mode=local",
    "verify=on,generational=off",
    "verify=on,poison=on,workers=2,help-after=0",
    "verify=on,nursery-adaptive=off,fake-nodes=2,mode=off",
};
enum { MODES = sizeof(modes) / sizeof(modes[0]) };

static void push_many(struct fixture *f, void **list, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        fixture_push(f, list, i);
}

/* A slot of an object holds a new item, which nothing else does. */
static void store_item(struct fixture *f, void *object, void **slot, uint64_t number)
{
    void *list = NULL;
    EXPECT(hearth_store(f->m, object, slot, fixture_push(f, &list, number)) == HEARTH_OK);
}

/* After a full collection so many objects live, frozen or not. */
static void expect_live(struct fixture *f, uint64_t live)
{
    HARNESS_OK(hearth_gc_collect(f->m, 2));
    ck_assert_uint_eq(fixture_stats(f).live_objects, live);
}

/* Young, aging and old objects, a large one, leaves, and garbage: all that there are. */
START_TEST(everything_is_frozen_and_kept)
{
    struct fixture f;
    size_t count;

    fixture_open(&f, modes[_i]);
    HEARTH_FRAME(f.m, frame, 2);
    push_many(&f, &frame.ref[0], 3000);
    HARNESS_OK(hearth_gc_collect(f.m, 1));
    push_many(&f, &frame.ref[0], 2000);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    push_many(&f, &frame.ref[0], 1000);
    frame.ref[1] = fixture_refs(&f, 50000);
    for (int i = 0; i < 500; i++)
        EXPECT(hearth_new(f.m, f.leaf) != NULL); /* garbage */
    ck_assert_uint_eq(hearth_gc_get_freeze_count(f.heap), 0);
    HARNESS_OK(hearth_gc_freeze(f.m));
    ck_assert_uint_eq(hearth_gc_get_freeze_count(f.heap), 6501);
    size_t counts[3];
    HARNESS_OK(hearth_gc_get_count(f.heap, counts));
    ck_assert(counts[0] == 0 && counts[1] == 0 && counts[2] == 0);
    HARNESS_OK(hearth_verify(f.m));
    for (int generation = 0; generation < 3; generation++) {
        HARNESS_OK(hearth_gc_collect_count(f.m, generation, &count));
        ck_assert_uint_eq(count, 0);
        ck_assert_uint_eq(fixture_last(&f).objects_traced, 0);
    }
    frame.ref[0] = frame.ref[1] = NULL; /* no root is needed */
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 6501);
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    ck_assert_uint_eq(hearth_gc_get_freeze_count(f.heap), 0);
    HARNESS_OK(hearth_verify(f.m));
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_uint_eq(count, 6501);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* References stored into frozen objects: small ones, arrays, a large array, a type with cards. */
START_TEST(what_is_stored_into_frozen_objects_lives)
{
    struct fixture f;
    enum { LARGE = 40000 };

    fixture_open(&f, modes[_i]);
    hearth_type carded;
    const hearth_type_info info = {.struct_size = sizeof(info),
                                   .name = "carded",
                                   .size = 160,
                                   .flags = HEARTH_TYPE_CARDS,
                                   .ref_bitmap = 0xfffff};
    HARNESS_OK(hearth_type_register(f.heap, &info, &carded));
    HEARTH_FRAME(f.m, frame, 4);
    push_many(&f, &frame.ref[0], 100);
    frame.ref[1] = fixture_refs(&f, 20);
    frame.ref[2] = fixture_refs(&f, LARGE);
    frame.ref[3] = hearth_new(f.m, carded);
    ck_assert_ptr_nonnull(frame.ref[3]);
    HARNESS_OK(hearth_gc_freeze(f.m));
    for (int round = 0; round < 4; round++) {
        struct item *item = frame.ref[0];
        HARNESS_OK(hearth_store(f.m, item, &item->other,
                                hearth_new_array(f.m, f.bytes, 100 + (size_t)round)));
        void **small = frame.ref[1], **large = frame.ref[2], **cards = frame.ref[3];
        HARNESS_OK(hearth_store(f.m, small, &small[round], fixture_refs(&f, 3)));
        void **child = small[round];
        HARNESS_OK(hearth_store(f.m, child, &child[1], hearth_new_array(f.m, f.bytes, 77)));
        store_item(&f, large, &large[LARGE - 1 - round * 9999], 5);
        store_item(&f, cards, &cards[round * 5], 6);
        for (int k = 0; k < 4; k++)
            HARNESS_OK(hearth_gc_collect(f.m, (k * 2 + round) % 3));
        for (int i = 0; i <= round; i++) {
            void **part = small[i];
            EXPECT(hearth_is_object(f.heap, part) && hearth_length(f.heap, part[1]) == 77);
            EXPECT(((struct item *)large[LARGE - 1 - i * 9999])->number == 5);
            EXPECT(((struct item *)cards[i * 5])->number == 6);
        }
        EXPECT(hearth_length(f.heap, item->other) == 100 + (size_t)round);
    }
    /* 100 + 3 frozen; 4 x (array, bytes, item, item) and the last of the 4 byte arrays */
    expect_live(&f, 103 + 17);
    ck_assert_uint_eq(hearth_gc_get_freeze_count(f.heap), 103);
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    expect_live(&f, 103 + 17);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Freezing again takes in what came since, and forgets what was written. */
START_TEST(freezing_twice_adds_up)
{
    struct fixture f;

    fixture_open(&f, modes[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    push_many(&f, &frame.ref[0], 50);
    HARNESS_OK(hearth_gc_freeze(f.m));
    struct item *old = frame.ref[0];
    store_item(&f, old, &old->other, 9);
    ck_assert(fixture_header(old) & HG_OBJECT_THAWED);
    HARNESS_OK(hearth_gc_freeze(f.m));
    ck_assert_uint_eq(hearth_gc_get_freeze_count(f.heap), 51);
    ck_assert(!(fixture_header(old) & HG_OBJECT_THAWED));
    HARNESS_OK(hearth_verify(f.m));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    EXPECT(((struct item *)old->other)->number == 9);
    HARNESS_OK(hearth_store(f.m, old, &old->other, NULL));
    store_item(&f, old, &old->other, 10);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    EXPECT(((struct item *)old->other)->number == 10);
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    HARNESS_OK(hearth_gc_unfreeze(f.m)); /* nothing is frozen: nothing to do */
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* The list of what was written can not grow: full collections look at all that is frozen. */
START_TEST(without_memory_nothing_is_lost)
{
    struct fixture f;

    fixture_open(&f, modes[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    push_many(&f, &frame.ref[0], 2000);
    HARNESS_OK(hearth_gc_freeze(f.m));
    for (struct item *item = frame.ref[0]; item != NULL; item = item->next) {
        void *list = NULL;
        fixture_push(&f, &list, item->number);
        ht_fault_arm(HT_FAULT_ALLOC, 1, true);
        HARNESS_OK(hearth_store(f.m, item, &item->other, list));
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        if (item->number % 500 == 0)
            HARNESS_OK(hearth_gc_collect(f.m, (int)(item->number / 500 % 3)));
    }
    ck_assert(f.heap->control.thaw_lost);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    for (const struct item *item = frame.ref[0]; item != NULL; item = item->next)
        EXPECT(((struct item *)item->other)->number == item->number);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 4000);
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    ck_assert(!f.heap->control.thaw_lost);
    expect_live(&f, 4000);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

static void visit_all(void *object, size_t size, hearth_visitor *visitor)
{
    for (size_t i = 0; i < size / sizeof(void *); i++)
        hearth_visit(visitor, (void **)object + i);
}

/* The mark stack overflows without memory for batches, in minor and full collections: a frozen object shows
 * more references at once than the stack has room for. */
START_TEST(a_dropped_reference_is_found_again)
{
    struct fixture f;
    hearth_type called;
    const hearth_type_info info = {
        .struct_size = sizeof(info), .name = "called", .element_size = 8, .trace = visit_all};
    enum { WIDE = 100000 };

    fixture_open(&f, "workers=1");
    HARNESS_OK(hearth_type_register(f.heap, &info, &called));
    HEARTH_FRAME(f.m, frame, 1);
    frame.ref[0] = hearth_new_array(f.m, called, WIDE);
    HARNESS_OK(hearth_gc_freeze(f.m));
    for (int i = 0; i < 3; i++) {
        void **wide = frame.ref[0];
        for (size_t k = 0; k < WIDE; k++)
            store_item(&f, wide, &wide[k], k);
        fixture_exhaust(&f);
        HARNESS_OK(hearth_gc_collect(f.m, i % 2 == 0 ? 0 : 2));
        ht_fault_arm(HT_FAULT_RESERVE, 0, false);
        HARNESS_OK(hearth_verify(f.m));
        for (size_t k = 0; k < WIDE; k++)
            EXPECT(((struct item *)wide[k])->number == k);
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* New objects go elsewhere as long as there is room; at the limit the holes are taken. */
START_TEST(holes_between_frozen_objects_are_the_last_resort)
{
    struct fixture f;

    fixture_open(&f, "heap-limit=8m,verify=off");
    HEARTH_FRAME(f.m, frame, 2);
    for (int i = 0; i < 60000; i++) {
        void *list = NULL;
        fixture_push(&f, i % 2 ? &frame.ref[0] : &list, 1); /* each second one dies */
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_freeze(f.m));
    size_t taken = 0;
    fixture_push(&f, &frame.ref[1], 0);
    ck_assert_uint_eq(ha_block_of((uintptr_t)frame.ref[1])->frozen, 0);
    while (taken < 1000000) {
        struct item *item = hearth_alloc(f.m, f.item, sizeof(*item));
        if (item == NULL)
            break;
        hearth_store_init(&item->next, frame.ref[1]);
        frame.ref[1] = item;
        taken += ha_block_of((uintptr_t)item)->frozen != 0;
    }
    ck_assert_int_eq(hearth_last_status(), HEARTH_ELIMIT);
    ck_assert_uint_gt(taken, 20000);
    HARNESS_OK(hearth_verify(f.m));
    frame.ref[1] = NULL;
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, hearth_gc_get_freeze_count(f.heap));
    HARNESS_OK(hearth_verify(f.m));
    for (uint64_t i = 0; i < 205000; i++) /* some find room only in holes of frozen blocks */
        fixture_push(&f, &frame.ref[1], i);
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    HARNESS_OK(hearth_verify(f.m));
    for (int i = 0; i < 50000; i++)
        EXPECT(hearth_alloc(f.m, f.item, sizeof(struct item)) != NULL);
    fixture_expect_list(frame.ref[1], 205000);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Weak references, ephemerons and weak tables among frozen objects: frozen targets and keys live, what comes
 * later is weak as ever. */
START_TEST(weak_references_and_ephemerons)
{
    struct fixture f;

    fixture_open(&f, modes[_i]);
    HEARTH_FRAME(f.m, frame, 5);
    frame.ref[0] = hearth_weak_new(f.m, fixture_push(&f, &(void *){NULL}, 1), 0, NULL, NULL);
    fixture_push(&f, &frame.ref[1], 2);
    frame.ref[2] = hearth_ephemeron_new(f.m, frame.ref[1], NULL);
    frame.ref[3] = hearth_table_new(f.m, HEARTH_TABLE_EPHEMERON);
    HARNESS_OK(hearth_table_put(f.m, frame.ref[3], frame.ref[1], frame.ref[1]));
    HARNESS_OK(hearth_gc_freeze(f.m));
    HARNESS_OK(hearth_verify(f.m));
    frame.ref[1] = NULL;
    for (int round = 0; round < 3; round++) {
        HARNESS_OK(hearth_ephemeron_set_value(f.m, frame.ref[2], fixture_refs(&f, 10)));
        for (size_t i = 0; i < 300; i++) {
            fixture_push(&f, &frame.ref[4], i);
            HARNESS_OK(hearth_table_put(f.m, frame.ref[3], frame.ref[4], fixture_refs(&f, i)));
        }
        for (int generation = 0; generation < 3; generation++)
            HARNESS_OK(hearth_gc_collect(f.m, (generation + round) % 3));
        EXPECT(((struct item *)hearth_weak_get(f.m, frame.ref[0]))->number == 1);
        EXPECT(hearth_length(f.heap, hearth_ephemeron_value(f.m, frame.ref[2])) == 10);
        EXPECT(hearth_table_count(f.m, frame.ref[3]) == 301);
        void *value;
        for (const struct item *item = frame.ref[4]; item != NULL; item = item->next)
            EXPECT(hearth_table_get(f.m, frame.ref[3], item, &value) &&
                   hearth_length(f.heap, value) == item->number);
        frame.ref[4] = NULL;
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        EXPECT(hearth_table_count(f.m, frame.ref[3]) == 1);
    }
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_ptr_null(hearth_weak_get(f.m, frame.ref[0]));
    ck_assert_ptr_null(hearth_ephemeron_key(f.m, frame.ref[2]));
    ck_assert_uint_eq(hearth_table_count(f.m, frame.ref[3]), 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

static hearth_status count_call(hearth_mutator *m, void *object, void *data)
{
    (void)m;
    (void)object;
    ++*(int *)data;
    return HEARTH_OK;
}

static bool count_object(void *data, void *object)
{
    (void)object;
    ++*(size_t *)data;
    return true;
}

/* Finalizers of frozen objects wait; gc.get_objects does not show them; afterwards all is as before. */
START_TEST(finalizers_and_generations)
{
    struct fixture f;
    int calls = 0;
    size_t seen = 0;

    fixture_open(&f, modes[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 20; i++) {
        fixture_push(&f, &frame.ref[0], i);
        HARNESS_OK(hearth_finalizer_add(f.m, frame.ref[0], count_call, &calls, 0));
    }
    HARNESS_OK(hearth_gc_freeze(f.m));
    frame.ref[0] = NULL;
    fixture_push(&f, &frame.ref[0], 1);
    HARNESS_OK(hearth_gc_get_objects(f.m, -1, count_object, &seen));
    ck_assert_uint_eq(seen, 1);
    for (int generation = 0; generation < 3; generation++)
        HARNESS_OK(hearth_gc_collect(f.m, generation));
    ck_assert_int_eq(calls, 0);
    HARNESS_OK(hearth_gc_unfreeze(f.m));
    seen = 0;
    HARNESS_OK(hearth_gc_get_objects(f.m, 2, count_object, &seen));
    ck_assert_uint_eq(seen, 21);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(calls, 20);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* The pages of objects, as the kernel sees them after a fork: a child that collects copies few. */
static size_t private_dirty(const void *low, const void *high)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[256];
    size_t sum = 0;
    bool inside = false;

    EXPECT(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long from, to;
        size_t kb;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from < (uintptr_t)high && to > (uintptr_t)low;
        else if (inside && sscanf(line, "Private_Dirty: %zu kB", &kb) == 1)
            sum += kb << 10;
    }
    fclose(file);
    return sum;
}

/* The collector of a child of fork() is not what is tested here: only this thread exists. */
static void child_collects(struct fixture *f, int pipe_end)
{
    const void *low, *high;
    HARNESS_OK(hearth_heap_range(f->heap, &low, &high));
    size_t before = private_dirty(low, high), dirty;
    for (int i = 0; i < 3; i++)
        HARNESS_OK(hearth_gc_collect(f->m, 2));
    dirty = private_dirty(low, high) - before;
    EXPECT(write(pipe_end, &dirty, sizeof(dirty)) == sizeof(dirty));
    _exit(0);
}

START_TEST(a_child_shares_frozen_pages)
{
    struct fixture f;
    int ends[2];
    size_t dirty = SIZE_MAX;

    fixture_open(&f, "workers=1,release-after=0");
    HEARTH_FRAME(f.m, frame, 1);
    push_many(&f, &frame.ref[0], 1000000); /* 32 MB */
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_freeze(f.m));
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        child_collects(&f, ends[1]);
    ck_assert_int_eq((int)read(ends[0], &dirty, sizeof(dirty)), (int)sizeof(dirty));
    waitpid(child, NULL, 0);
    ck_assert_uint_lt(dirty, 2u << 20);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- damage ------------------------------------------------------------------------------------------ */

START_TEST(the_verifier_sees_damage)
{
    struct fixture f;

    fixture_open(&f, "");
    HEARTH_FRAME(f.m, frame, 2);
    push_many(&f, &frame.ref[0], 10);
    HARNESS_OK(hearth_gc_freeze(f.m));
    fixture_push(&f, &frame.ref[1], 1);
    HARNESS_OK(hearth_verify(f.m));
    struct item *item = frame.ref[0];
    item->other = frame.ref[1]; /* without the barrier */
    HARNESS_STATUS_NAMES(hearth_verify(f.m), HEARTH_ECORRUPT, "in no list of what was written");
    item->other = NULL;
    f.heap->control.frozen++;
    HARNESS_STATUS_NAMES(hearth_verify(f.m), HEARTH_ECORRUPT, "10 objects are frozen, 11");
    f.heap->control.frozen--;
    *hearth_header_of(item) |= HG_OBJECT_THAWED;
    HARNESS_STATUS_NAMES(hearth_verify(f.m), HEARTH_ECORRUPT, "1 frozen objects were written, 0");
    *hearth_header_of(item) &= ~(uint64_t)HG_OBJECT_THAWED;
    ha_block_of((uintptr_t)item)->frozen--;
    HARNESS_STATUS_NAMES(hearth_verify(f.m), HEARTH_ECORRUPT, "9 by blocks");
    ha_block_of((uintptr_t)item)->frozen++;
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_input)
{
    struct fixture f;

    fixture_open(&f, "");
    HARNESS_STATUS(hearth_gc_freeze(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_unfreeze(NULL), HEARTH_EINVAL);
    ck_assert_uint_eq(hearth_gc_get_freeze_count(NULL), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    HARNESS_STATUS(hearth_gc_freeze(f.m), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_gc_unfreeze(f.m), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(f.m));
    HARNESS_OK(hearth_gc_freeze(f.m)); /* an empty heap */
    ck_assert_uint_eq(hearth_gc_get_freeze_count(f.heap), 0);
    fixture_close(&f);
}
END_TEST

/* --- threads ----------------------------------------------------------------------------------------- */

struct shared {
    struct fixture f;
    void **array; /* frozen */
    uint32_t stop;
    uint32_t number;
};

enum { EACH = 64, WRITERS = 3 };

/* Each writer has its own part of a frozen array and finds in it what it put there. */
static void *write_frozen(void *argument)
{
    struct shared *s = argument;
    hearth_mutator *m = NULL;
    size_t first = EACH * (size_t)__atomic_fetch_add(&s->number, 1, __ATOMIC_RELAXED);
    uint64_t value = 0;

    HARNESS_OK(hearth_attach(s->f.heap, NULL, &m));
    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        for (size_t i = first; i < first + EACH; i++) {
            struct item *item = hearth_alloc(m, s->f.item, sizeof(*item));
            EXPECT(item != NULL);
            item->number = value++;
            EXPECT(hearth_store(m, s->array, &s->array[i], item) == HEARTH_OK);
        }
        for (size_t i = first; i < first + EACH; i++)
            EXPECT(((struct item *)s->array[i])->number == value - EACH + (i - first));
    }
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

START_TEST(threads_write_frozen_objects)
{
    struct shared s = {.stop = 0};
    pthread_t thread[WRITERS];

    fixture_open(&s.f, _i == 0 ? "verify=on,nursery=256k"
                               : "verify=on,nursery=256k,workers=3,help-after=0,fake-nodes=2");
    HEARTH_FRAME(s.f.m, frame, 1);
    frame.ref[0] = fixture_refs(&s.f, EACH * WRITERS);
    s.array = frame.ref[0];
    HARNESS_OK(hearth_gc_freeze(s.f.m));
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, write_frozen, &s), 0);
    for (int i = 0; i < (int)harness_scaled(30); i++) {
        HARNESS_OK(hearth_gc_collect(s.f.m, i % 3));
        if (i % 7 == 3)
            HARNESS_OK(i % 2 ? hearth_gc_unfreeze(s.f.m) : hearth_gc_freeze(s.f.m));
    }
    __atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
    HARNESS_OK(hearth_native_begin(s.f.m));
    for (int i = 0; i < WRITERS; i++)
        pthread_join(thread[i], NULL);
    HARNESS_OK(hearth_native_end(s.f.m));
    HARNESS_OK(hearth_gc_collect(s.f.m, 2));
    HEARTH_FRAME_END(s.f.m, frame);
    fixture_close(&s.f);
}
END_TEST

/* --- random programs --------------------------------------------------------------------------------- */

/* The heap agrees with a shadow model while everything is frozen and unfrozen now and then. */
START_TEST(random_programs_with_freezing)
{
    struct oracle_heap heap;
    struct oracle oracle, *one = &oracle;
    uint64_t random = harness_seed() + (uint64_t)_i;
    int steps = (int)harness_scaled(1500);

    oracle_heap_create(&heap, modes[_i]);
    oracle_begin(&oracle, &heap, random, -1);
    for (int i = 0; i < steps; i++) {
        oracle_step(&oracle);
        if (harness_random_below(&random, 150) == 0)
            HARNESS_OK(hearth_gc_freeze(oracle.mutator));
        else if (harness_random_below(&random, 300) == 0)
            HARNESS_OK(hearth_gc_unfreeze(oracle.mutator));
        else if (harness_random_below(&random, 40) == 0)
            HARNESS_OK(hearth_gc_collect(oracle.mutator, i % 3));
        if (i % 50 == 0)
            oracle_check(&oracle);
    }
    HARNESS_OK(hearth_gc_unfreeze(oracle.mutator));
    HARNESS_OK(hearth_gc_collect(oracle.mutator, 2));
    oracle_prune(&oracle);
    oracle_check(&oracle);
    oracle_check_exact(&one, 1);
    oracle_end(&oracle, false);
    oracle_heap_destroy(&heap);
}
END_TEST

HARNESS_SUITE(freeze)
{
    Suite *suite = suite_create("freeze");
    TCase *frozen = tcase_create("frozen");
    tcase_add_loop_test(frozen, everything_is_frozen_and_kept, 0, MODES);
    tcase_add_loop_test(frozen, what_is_stored_into_frozen_objects_lives, 0, MODES);
    tcase_add_loop_test(frozen, freezing_twice_adds_up, 0, MODES);
    tcase_add_loop_test(frozen, without_memory_nothing_is_lost, 0, MODES);
    tcase_add_loop_test(frozen, weak_references_and_ephemerons, 0, MODES);
    tcase_add_loop_test(frozen, finalizers_and_generations, 0, MODES);
    tcase_add_test(frozen, a_dropped_reference_is_found_again);
    tcase_add_test(frozen, holes_between_frozen_objects_are_the_last_resort);
    if (!FREEZE_SANITIZED)
        tcase_add_test(frozen, a_child_shares_frozen_pages);
    tcase_add_test(frozen, the_verifier_sees_damage);
    tcase_add_test(frozen, bad_input);
    suite_add_tcase(suite, frozen);
    TCase *programs = tcase_create("programs");
    tcase_add_loop_test(programs, threads_write_frozen_objects, 0, 2);
    tcase_add_loop_test(programs, random_programs_with_freezing, 0, MODES);
    suite_add_tcase(suite, programs);
    return suite;
}
