/* tests/test_card.c - exact cards: set, found, cleared; small arrays, blocks of a chunk, chunks. */
#define _GNU_SOURCE
#include <pthread.h>

#include "tests/oracle.h"
#include "tests/trace_fixture.h"

/* Arrays whose cards lie in the metadata of a cell, of adjacent blocks, and behind the payload. */
static const size_t counts[] = {1, 2, 3, 31, 33, 127, 128, 1000, 4093, 5000, 80000, 491000, 700001};
enum { COUNTS = sizeof(counts) / sizeof(counts[0]) };

static uintptr_t array_of(struct fixture *f, size_t count)
{
    return (uintptr_t)fixture_refs(f, count);
}

/* The walk gives exactly the granules whose bit is set in `dirty`, in order, and clears them. */
static void expect_walk(uintptr_t object, size_t size, const bool *dirty)
{
    struct hg_card_walk walk;
    size_t cards = (size + HEARTH_GRANULE - 1) / HEARTH_GRANULE, card = 0;
    bool any = memchr(dirty, true, cards) != NULL;

    EXPECT(hg_cards_any(object, size) == any);
    hg_cards_begin(&walk, object, size);
    for (uintptr_t at; (at = hg_cards_next(&walk)) != 0; card++) {
        while (card < cards && !dirty[card])
            card++;
        EXPECT(card < cards && at == object + card * HEARTH_GRANULE);
    }
    for (; card < cards; card++)
        EXPECT(!dirty[card]);
    EXPECT(!hg_cards_any(object, size));
    hg_cards_begin(&walk, object, size);
    EXPECT(hg_cards_next(&walk) == 0);
}

START_TEST(the_walk_finds_exactly_what_was_set)
{
    size_t count = counts[_i], size = count * sizeof(void *);
    size_t cards = (size + HEARTH_GRANULE - 1) / HEARTH_GRANULE;
    uint64_t random = harness_seed() + (uint64_t)_i;
    bool *dirty = calloc(cards, sizeof(*dirty));
    struct fixture f;

    fixture_open(&f, "nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    uintptr_t object = array_of(&f, count);
    frame.ref[0] = (void *)object;
    uint8_t mark = *ha_meta_of(object);
    expect_walk(object, size, dirty);
    for (int round = 0; round < 40; round++) {
        memset(dirty, 0, cards);
        uint64_t stores =
            round < 3 ? 1 : harness_random_below(&random, 1 + (cards < 500 ? cards : 500));
        for (uint64_t i = 0; i < stores; i++) {
            size_t slot = round == 0   ? 0
                          : round == 1 ? count - 1
                          : round == 2 ? count / 2
                                       : harness_random_below(&random, count);
            hg_card_set(object, object + slot * sizeof(void *));
            dirty[slot / 2] = true;
            EXPECT(hg_card_get(object, object + slot * sizeof(void *)));
        }
        for (size_t i = 0; i < 20; i++) {
            size_t slot = harness_random_below(&random, count);
            EXPECT(hg_card_get(object, object + slot * sizeof(void *)) == dirty[slot / 2]);
        }
        expect_walk(object, size, dirty);
        EXPECT(*ha_meta_of(object) == mark);
    }
    memset(dirty, 1, cards); /* all of them */
    for (size_t card = 0; card < cards; card++)
        hg_card_set(object, object + card * HEARTH_GRANULE);
    expect_walk(object, size, dirty);
    for (size_t i = 0; i < count; i++) /* no slot was touched */
        EXPECT(((void **)object)[i] == NULL);
    free(dirty);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Cards of neighbouring cells do not touch each other. */
START_TEST(neighbours_keep_their_cards)
{
    enum { CELLS = 30, COUNT = 40 };
    uintptr_t object[CELLS];
    bool dirty[COUNT / 2];
    struct fixture f;

    fixture_open(&f, "");
    HEARTH_FRAME(f.m, frame, CELLS);
    for (int i = 0; i < CELLS; i++)
        frame.ref[i] = (void *)(object[i] = array_of(&f, COUNT));
    for (int i = 0; i < CELLS; i += 2) /* every other one, first and last card */
        for (int slot = 0; slot < COUNT; slot += COUNT - 1)
            hg_card_set(object[i], object[i] + (uintptr_t)slot * sizeof(void *));
    for (int i = 0; i < CELLS; i++) {
        memset(dirty, 0, sizeof(dirty));
        dirty[0] = dirty[COUNT / 2 - 1] = i % 2 == 0;
        expect_walk(object[i], COUNT * sizeof(void *), dirty);
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Two threads set cards of one array at the same time: none gets lost. */
struct setter {
    uintptr_t object;
    size_t count, first;
    pthread_barrier_t *begin;
};

static void *set_cards(void *argument)
{
    struct setter *setter = argument;

    pthread_barrier_wait(setter->begin);
    for (size_t card = setter->first; card < setter->count; card += 3)
        hg_card_set(setter->object, setter->object + card * HEARTH_GRANULE);
    return NULL;
}

START_TEST(cards_are_set_without_locks)
{
    enum { COUNT = 4000 };
    static bool dirty[COUNT / 2];
    struct fixture f;
    pthread_barrier_t begin;

    fixture_open(&f, "");
    HEARTH_FRAME(f.m, frame, 1);
    uintptr_t object = array_of(&f, COUNT);
    frame.ref[0] = (void *)object;
    for (uint64_t round = 0; round < harness_scaled(200); round++) {
        struct setter setter[2];
        pthread_t thread;
        pthread_barrier_init(&begin, NULL, 2);
        for (size_t i = 0; i < 2; i++) /* both set every sixth card */
            setter[i] = (struct setter){object, COUNT / 2, round % 2 ? i : 0, &begin};
        ck_assert_int_eq(pthread_create(&thread, NULL, set_cards, &setter[1]), 0);
        set_cards(&setter[0]);
        pthread_join(thread, NULL);
        memset(dirty, 0, sizeof(dirty));
        for (size_t i = 0; i < 2; i++)
            for (size_t card = setter[i].first; card < COUNT / 2; card += 3)
                dirty[card] = true;
        expect_walk(object, COUNT * sizeof(void *), dirty);
        pthread_barrier_destroy(&begin);
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* hg_is_slot agrees with the description for every byte offset of every kind that is not traced by
 * callback. */
START_TEST(slots_are_told_from_data)
{
    enum oracle_kind kind = (enum oracle_kind)_i;
    size_t count = oracle_is_array(kind) ? 70 : 0, size = oracle_size(kind, count);
    struct oracle_heap heap;

    if (kind == ORACLE_MODEL)
        return;
    oracle_heap_create(&heap, "");
    const struct hg_type *type = hg_type_find(&heap.heap->types, heap.type[kind]);
    ck_assert_ptr_nonnull(type);
    if (type->tier < HG_TIER_CALLBACK) {
        bool *slot = calloc(size, sizeof(*slot));
        for (size_t i = 0; i < oracle_slots(kind, count); i++)
            slot[oracle_offset(kind, i)] = true;
        for (size_t offset = 0; offset + sizeof(void *) <= size; offset += sizeof(void *))
            ck_assert_msg(hg_is_slot(type, offset) == slot[offset], "%s: offset %zu", type->name,
                          offset);
        free(slot);
    }
    oracle_heap_destroy(&heap);
}
END_TEST

HARNESS_SUITE(card)
{
    Suite *suite = suite_create("card");
    TCase *tcase = tcase_create("card");

    tcase_add_loop_test(tcase, the_walk_finds_exactly_what_was_set, 0, COUNTS);
    tcase_add_test(tcase, neighbours_keep_their_cards);
    tcase_add_test(tcase, cards_are_set_without_locks);
    tcase_add_loop_test(tcase, slots_are_told_from_data, 0, ORACLE_KINDS);
    suite_add_tcase(suite, tcase);
    return suite;
}
