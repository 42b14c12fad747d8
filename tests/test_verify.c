/* tests/test_verify.c - the verifier finds every kind of damage it claims to look for, and nothing in a
 * heap that is whole.
 *
 * Each damage is done to the heap's memory from outside, found, and undone; then the heap is whole
 * again. World: one mutator, which verifies. */
#define _GNU_SOURCE
#include "tests/trace_fixture.h"

/* A heap with an object of each kind and age. All are held by the frame. */
struct body {
    struct fixture f;
    hearth_type called; /* traced by callback                   */
    hearth_frame *frame;
    void **ref; /* the frame's slots                    */
    struct item *old, *young, *gen1;
    void **old_array, **large, **young_array;
    void *leaf;
    struct item *old_called;
    void *dead; /* address of a cell that is free       */
    uint64_t saved, saved2;
};

enum { REFS = 9, ARRAY = 200 };

static void trace_item(void *object, size_t size, hearth_visitor *visitor)
{
    (void)size;
    hearth_visit(visitor, &((struct item *)object)->next);
    hearth_visit(visitor, &((struct item *)object)->other);
}

static void body_open(struct body *b, const char *options)
{
    const hearth_type_info info = {.struct_size = sizeof(info),
                                   .name = "called",
                                   .size = sizeof(struct item),
                                   .trace = trace_item};
    struct fixture *f = &b->f;

    memset(b, 0, sizeof(*b));
    fixture_open(f, options);
    HARNESS_OK(hearth_type_register(f->heap, &info, &b->called));
    b->frame = calloc(1, sizeof(*b->frame) + REFS * sizeof(void *));
    b->frame->count = REFS;
    b->frame->prev = f->m->frames;
    b->ref = (void **)(b->frame + 1);
    f->m->frames = b->frame;
    b->old = fixture_push(f, &b->ref[0], 1);
    b->ref[1] = b->old_array = fixture_refs(f, ARRAY);
    b->ref[2] = b->large = fixture_refs(f, 600000);
    b->ref[3] = b->old_called = hearth_new(f->m, b->called);
    fixture_collect(f, 1);
    b->gen1 = fixture_push(f, &b->ref[4], 2);
    b->dead = fixture_push(f, &b->ref[5], 3);
    b->ref[5] = NULL;
    fixture_collect(f, 0);
    HARNESS_OK(hearth_gc_disable(f->heap));
    b->ref[5] = b->leaf = hearth_new(f->m, f->leaf);
    b->ref[7] = b->young_array = fixture_refs(f, ARRAY);
    for (int i = 0; i < 3; i++) /* until the dead cell is not the next one */
        b->young = fixture_push(f, &b->ref[6], 4);
    if (b->dead == b->young || hearth_is_object(f->heap, b->dead))
        b->dead = (char *)b->young + 32 * 1000;
    HARNESS_OK(hearth_verify(f->m));
}

static void body_close(struct body *b)
{
    b->f.m->frames = b->frame->prev;
    free(b->frame);
    fixture_close(&b->f);
}

static uint64_t *header(const void *object)
{
    return hearth_header_of(object);
}

static struct hg_remembered *set_of(struct body *b)
{
    return &hg_mutator_of(b->f.m)->remembered;
}

/* --- damages: done when `on`, undone when not ------------------------------------------------------ */

static void slot_to_dead(struct body *b, bool on)
{
    b->old->next = on ? b->dead : NULL;
}
static void slot_inside(struct body *b, bool on)
{
    b->old->next = on ? (char *)b->gen1 + 16 : NULL;
}
static void slot_of_gen1(struct body *b, bool on)
{
    b->gen1->other = on ? b->dead : NULL;
}
static void slot_of_young(struct body *b, bool on)
{
    b->young->other = on ? b->dead : NULL;
}
static void slot_of_array(struct body *b, bool on)
{
    b->young_array[ARRAY - 1] = on ? b->dead : NULL;
}
static void slot_of_large(struct body *b, bool on)
{
    b->large[599999] = on ? b->dead : NULL;
}
static void slot_of_called(struct body *b, bool on)
{
    b->old_called->other = on ? b->dead : NULL;
}
static void old_to_young(struct body *b, bool on)
{
    b->old->other = on ? b->young : NULL;
}
static void old_to_gen1(struct body *b, bool on)
{
    b->old->other = on ? b->gen1 : NULL;
}
static void array_to_young(struct body *b, bool on)
{
    b->old_array[77] = on ? b->young : NULL;
}
static void large_to_young(struct body *b, bool on)
{
    b->large[0] = on ? b->young : NULL;
}
static void called_to_young(struct body *b, bool on)
{
    b->old_called->next = on ? b->young : NULL;
}
/* The array is remembered, but for another card. */
static void wrong_card(struct body *b, bool on)
{
    if (on) {
        HARNESS_OK(hearth_store(b->f.m, b->old_array, &b->old_array[4], b->young));
        b->old_array[6] = b->young;
    } else {
        b->old_array[6] = NULL;
    }
}
static void flag_on_young(struct body *b, bool on)
{
    *header(b->young) ^= HEARTH_OBJECT_OLD;
    (void)on;
}
static void flag_on_gen1(struct body *b, bool on)
{
    *header(b->gen1) ^= HEARTH_OBJECT_OLD;
    (void)on;
}
static void no_flag_on_old(struct body *b, bool on)
{
    *header(b->old) ^= HEARTH_OBJECT_OLD;
    (void)on;
}
static void large_flag(struct body *b, bool on)
{
    *header(b->large) ^= HEARTH_OBJECT_LARGE;
    (void)on;
}
static void small_flag(struct body *b, bool on)
{
    *header(b->gen1) ^= HEARTH_OBJECT_LARGE;
    (void)on;
}
static void unknown_type(struct body *b, bool on)
{
    if (on)
        b->saved = *header(b->young);
    *header(b->young) = on ? (b->saved & ~(uint64_t)0xffff0000) | (uint64_t)0x7ffe0000 : b->saved;
}
static void no_type(struct body *b, bool on)
{
    if (on)
        b->saved = *header(b->gen1);
    *header(b->gen1) = on ? 0 : b->saved;
}
static void leaf_type(struct body *b, bool on)
{
    if (on)
        b->saved = *header(b->leaf);
    *header(b->leaf) = on ? hearth_header_make(b->f.item, 0) : b->saved;
}
static void scan_type(struct body *b, bool on)
{
    if (on)
        b->saved = *header(b->young);
    *header(b->young) = on ? hearth_header_make(b->f.leaf, 0) : b->saved;
}
static void too_long(struct body *b, bool on)
{
    if (on)
        b->saved = *header(b->young_array);
    *header(b->young_array) = on ? (b->saved & UINT32_MAX) | (uint64_t)(ARRAY * 2) << 32 : b->saved;
}
static void stale_mark(struct body *b, bool on)
{
    *ha_meta_of((uintptr_t)b->gen1) = on ? b->f.heap->marks.gen1_before : b->f.heap->marks.gen1;
}
static void strange_mark(struct body *b, bool on)
{
    *ha_meta_of((uintptr_t)b->old) = on ? 0x20 : b->f.heap->marks.old;
}
static void mark_on_free(struct body *b, bool on)
{
    *ha_meta_of((uintptr_t)b->young + 32 * 500) = on ? b->f.heap->marks.old : 0;
}
static void mark_off_grid(struct body *b, bool on)
{
    *ha_meta_of((uintptr_t)b->old + 16) = on ? b->f.heap->marks.old : 0;
}
static void card_without_set(struct body *b, bool on)
{
    *(hg_cards_of((uintptr_t)b->old_array) + 30) = on ? HA_CARD : 0;
}
static void first_card_without_set(struct body *b, bool on)
{
    *header(b->old_array) ^= HG_OBJECT_FIRST_CARD;
    (void)on;
}
static void card_behind_span(struct body *b, bool on)
{
    *(hg_cards_of((uintptr_t)b->large) + 299999) = on ? HA_CARD : 0;
}
static void flagged_not_listed(struct body *b, bool on)
{
    *header(b->old) ^= HEARTH_OBJECT_REMEMBERED;
    (void)on;
}
static void dirty_not_listed(struct body *b, bool on)
{
    *header(b->old_array) ^= HEARTH_OBJECT_DIRTY;
    (void)on;
}
static void listed_not_flagged(struct body *b, bool on)
{
    if (on)
        HARNESS_OK(hearth_store(b->f.m, b->old, &b->old->other, NULL));
    *header(b->old) ^= HEARTH_OBJECT_REMEMBERED;
}
static void listed_twice(struct body *b, bool on)
{
    if (on) {
        HARNESS_OK(hearth_store(b->f.m, b->old, &b->old->other, NULL));
        ck_assert(hg_remember_room(set_of(b)));
        hg_remember_add(set_of(b), (uintptr_t)b->old);
    } else {
        set_of(b)->first->count--;
        set_of(b)->count--;
    }
}
static void young_listed(struct body *b, bool on)
{
    *header(b->young) ^= HEARTH_OBJECT_REMEMBERED;
    if (on) {
        ck_assert(hg_remember_room(set_of(b)));
        hg_remember_add(set_of(b), (uintptr_t)b->young);
    } else {
        set_of(b)->first->count--;
        set_of(b)->count--;
    }
}
static void nothing_listed(struct body *b, bool on)
{
    if (on) {
        ck_assert(hg_remember_room(set_of(b)));
        hg_remember_add(set_of(b), (uintptr_t)b->dead);
    } else {
        set_of(b)->first->count--;
        set_of(b)->count--;
    }
}
static void set_count(struct body *b, bool on)
{
    set_of(b)->count = on ? 3 : 0;
}
static void orphan_count(struct body *b, bool on)
{
    b->f.heap->orphans.count = on ? 1 : 0;
}
static void frame_slot(struct body *b, bool on)
{
    b->ref[8] = on ? b->dead : NULL;
}
static void handle_slot(struct body *b, bool on)
{
    static hearth_scope scope;
    if (on) {
        HARNESS_OK(hearth_scope_open(b->f.m, &scope));
        ck_assert_ptr_nonnull(hearth_handle(b->f.m, b->dead));
    } else {
        HARNESS_OK(hearth_scope_close(b->f.m, &scope));
    }
}
static void global_slot(struct body *b, bool on)
{
    static void *slot;
    slot = b->dead;
    HARNESS_OK(on ? hearth_root_add(b->f.heap, &slot) : hearth_root_remove(b->f.heap, &slot));
}
static void provide(void *data, hearth_visitor *visitor)
{
    hearth_visit(visitor, data);
}
static void provider_slot(struct body *b, bool on)
{
    HARNESS_OK(on ? hearth_root_provider_add(b->f.heap, provide, &b->dead)
                  : hearth_root_provider_remove(b->f.heap, provide, &b->dead));
}
static void roots_count(struct body *b, bool on)
{
    b->f.heap->roots.count = on ? 1 : 0;
}
static void mutator_count(struct body *b, bool on)
{
    b->f.heap->mutator_count = on ? 2 : 1;
}
static void scope_count(struct body *b, bool on)
{
    hg_mutator_of(b->f.m)->scopes = on ? 1 : 0;
}
static void type_row(struct body *b, bool on)
{
    b->f.heap->types.row[1].leaf = on;
}
static void mail_left(struct body *b, bool on)
{
    struct hg_mail *mail = &b->f.heap->trace->mail;
    mail->work = on ? 1 : 0;
}
static void live_count(struct body *b, bool on)
{
    ha_block_of((uintptr_t)b->leaf)->live += on ? 1 : -1;
}
static void pool_used(struct body *b, bool on)
{
    b->f.heap->space.pool[0]->used += on ? 1 : (size_t)-1;
}
static void space_used(struct body *b, bool on)
{
    b->f.heap->space.used += on ? 1 : (size_t)-1;
}
static void chunk_pool(struct body *b, bool on)
{
    struct hearth_heap *heap = b->f.heap;
    ha_chunk_of(b->old)->pool = heap->space.pool[on ? 1 : 0];
}
static void topology_nodes(struct body *b, bool on)
{
    b->f.heap->topology->distance[0][0] = on ? 11 : 10;
}

static const struct {
    const char *name;
    void (*damage)(struct body *b, bool on);
    const char *says; /* part of the message */
} damages[] = {
#define DAMAGE(name, says)                                                                         \
    {                                                                                              \
#name, name, says                                                                          \
    }
    DAMAGE(slot_to_dead, "no object"),
    DAMAGE(slot_inside, "no object"),
    DAMAGE(slot_of_gen1, "no object"),
    DAMAGE(slot_of_young, "no object"),
    DAMAGE(slot_of_array, "no object"),
    DAMAGE(slot_of_large, "no object"),
    DAMAGE(slot_of_called, "no object"),
    DAMAGE(old_to_young, "unremembered"),
    DAMAGE(old_to_gen1, "unremembered"),
    DAMAGE(array_to_young, "unremembered"),
    DAMAGE(large_to_young, "unremembered"),
    DAMAGE(called_to_young, "unremembered"),
    DAMAGE(wrong_card, "unremembered"),
    DAMAGE(flag_on_young, "header"),
    DAMAGE(flag_on_gen1, "header"),
    DAMAGE(no_flag_on_old, "header"),
    DAMAGE(large_flag, "state"),
    DAMAGE(small_flag, "state"),
    DAMAGE(unknown_type, "unknown type"),
    DAMAGE(no_type, "unknown type"),
    DAMAGE(leaf_type, "block of kind"),
    DAMAGE(scan_type, "block of kind"),
    DAMAGE(too_long, "in a cell for"),
    DAMAGE(stale_mark, "mark"),
    DAMAGE(strange_mark, "mark"),
    DAMAGE(mark_on_free, "marked"),
    DAMAGE(mark_off_grid, ""),
    DAMAGE(card_without_set, "dirty cards"),
    DAMAGE(first_card_without_set, "dirty cards"),
    DAMAGE(card_behind_span, "dirty cards"),
    DAMAGE(flagged_not_listed, "in no remembered set"),
    DAMAGE(dirty_not_listed, "in no remembered set"),
    DAMAGE(listed_not_flagged, "in a remembered set"),
    DAMAGE(listed_twice, "twice"),
    DAMAGE(young_listed, "not old"),
    DAMAGE(nothing_listed, "no object"),
    DAMAGE(set_count, "count"),
    DAMAGE(orphan_count, "count"),
    DAMAGE(frame_slot, "no object"),
    DAMAGE(handle_slot, "no object"),
    DAMAGE(global_slot, "no object"),
    DAMAGE(provider_slot, "no object"),
    DAMAGE(roots_count, "roots"),
    DAMAGE(mutator_count, "mutators"),
    DAMAGE(scope_count, "scope"),
    DAMAGE(type_row, "types"),
    DAMAGE(mail_left, "inbox"),
    DAMAGE(live_count, "header says"),
    DAMAGE(pool_used, ""),
    DAMAGE(space_used, "blocks"),
    DAMAGE(chunk_pool, ""),
    DAMAGE(topology_nodes, ""),
#undef DAMAGE
};
enum { DAMAGES = sizeof(damages) / sizeof(damages[0]) };

START_TEST(damage_is_found_and_named)
{
    struct body b;

    body_open(&b, "fake-nodes=2");
    for (int round = 0; round < 2; round++) {
        damages[_i].damage(&b, true);
        hearth_status status = hearth_verify(b.f.m);
        ck_assert_msg(status == HEARTH_ECORRUPT, "%s: %s", damages[_i].name,
                      hearth_status_name(status));
        ck_assert_msg(strstr(hearth_last_error(), damages[_i].says) != NULL, "%s: \"%s\"",
                      damages[_i].name, hearth_last_error());
        damages[_i].damage(&b, false);
        status = hearth_verify(b.f.m);
        ck_assert_msg(status == HEARTH_OK, "%s undone: %s", damages[_i].name, hearth_last_error());
    }
    body_close(&b);
}
END_TEST

/* Option verify: what is found before or after a collection is kept and told by every later call. */
START_TEST(collections_verify_if_asked_to)
{
    struct body b;

    body_open(&b, "verify=on");
    b.old->next = b.dead;
    HARNESS_STATUS_NAMES(hearth_gc_collect(b.f.m, 0), HEARTH_ECORRUPT, "before");
    b.old->next = NULL;
    HARNESS_STATUS_NAMES(hearth_gc_collect(b.f.m, 0), HEARTH_ECORRUPT, "before");
    HARNESS_STATUS_NAMES(hearth_verify(b.f.m), HEARTH_ECORRUPT, "before");
    body_close(&b);
}
END_TEST

START_TEST(verifying_changes_nothing)
{
    struct body b;

    body_open(&b, "");
    HARNESS_OK(hearth_store(b.f.m, b.old, &b.old->other, b.young));
    HARNESS_OK(hearth_store(b.f.m, b.old_array, b.old_array, b.young));
    hearth_stats before = fixture_stats(&b.f);
    uint64_t flags[] = {*header(b.old), *header(b.old_array), *header(b.young), *header(b.large)};
    for (int i = 0; i < 3; i++)
        HARNESS_OK(hearth_verify(b.f.m));
    hearth_stats after = fixture_stats(&b.f);
    ck_assert_uint_eq(flags[0], *header(b.old));
    ck_assert_uint_eq(flags[1], *header(b.old_array));
    ck_assert_uint_eq(flags[2], *header(b.young));
    ck_assert_uint_eq(flags[3], *header(b.large));
    ck_assert_uint_eq(after.minor_count + after.full_count, before.minor_count + before.full_count);
    ck_assert_uint_eq(set_of(&b)->count, 2);
    fixture_push(&b.f, &b.ref[6], 5); /* and allocation goes on */
    HARNESS_OK(hearth_gc_collect(b.f.m, 0));
    ck_assert(fixture_is_old(b.young));
    HARNESS_OK(hearth_verify(b.f.m));
    body_close(&b);
}
END_TEST

HARNESS_SUITE(verify)
{
    Suite *suite = suite_create("verify");
    TCase *tcase = tcase_create("verify");

    tcase_add_loop_test(tcase, damage_is_found_and_named, 0, DAMAGES);
    tcase_add_test(tcase, collections_verify_if_asked_to);
    tcase_add_test(tcase, verifying_changes_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
