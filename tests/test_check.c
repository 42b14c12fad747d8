/* tests/test_check.c - what gc/check.c finds: each kind of damage is named, undone, and all is well again. */
#define _GNU_SOURCE
#include "alloc/window_state.h"
#include "gc/crew.h"
#include "gc/trace.h"
#include "tests/mutator_fixture.h"

/* Everything a damage may need. */
struct place {
    struct fixture f;
    struct hg_mutator *m, *other; /* of this thread; of one in a native section */
};

static void marks(struct place *p, bool on)
{
    p->f.heap->marks.gen1_before =
        on ? p->f.heap->marks.gen1 : (uint8_t)(HG_GEN1_A + HG_GEN1_B - p->f.heap->marks.gen1);
}

static void old_marks(struct place *p, bool on)
{
    p->f.heap->marks.old_before = on ? 3 : (uint8_t)(HG_OLD_A + HG_OLD_B - p->f.heap->marks.old);
}

static void back_link(struct place *p, bool on)
{
    struct hg_mutator *second = p->f.heap->mutators->next;

    second->prev = on ? second : p->f.heap->mutators;
}

static void home(struct place *p, bool on)
{
    p->other->home = on ? HT_MAX_NODES : 0;
}

static void stack_left(struct place *p, bool on)
{
    p->f.heap->trace->worker[0]->top = on;
}

static void outbox_left(struct place *p, bool on)
{
    p->f.heap->trace->worker[0]->out[1] = on ? (uintptr_t *)(void *)p : NULL;
}

static void helper_inside(struct place *p, bool on)
{
    p->f.heap->crew->inside = on;
}

static void pause_lost(struct place *p, bool on)
{
    p->f.heap->stats.pauses[HEARTH_GC_FULL].bucket[0] += on ? 1 : -1u;
}

static void elsewhere(struct place *p, bool on)
{
    for (int n = 0; n < p->f.heap->space.nodes;
         n++) /* the blocks lie on whichever the thread ran on */
        p->f.heap->space.windows->state->layout.os_node[n] += on ? 1 : -1;
}

static void chunks_lost(struct place *p, bool on)
{
    p->f.heap->space.windows->state->node[0].chunks += on ? 1 : -1ul;
}

static const struct {
    void (*damage)(struct place *p, bool on);
    const char *says;
} damages[] = {
    {marks, "marks"},         {old_marks, "marks"},
    {back_link, "mutator"},   {home, "mutator"},
    {stack_left, "worker 0"}, {outbox_left, "to be sent"},
    {helper_inside, "phase"}, {pause_lost, "histograms"},
    {chunks_lost, ""},        {elsewhere, "bound to system node"},
};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

struct guest {
    hearth_heap *heap;
    hearth_mutator *mutator;
    pthread_barrier_t *meet;
};

static void *stay(void *data)
{
    struct guest *guest = data;

    guest->mutator = fixture_attach(guest->heap);
    EXPECT(hearth_native_begin(guest->mutator) == HEARTH_OK);
    pthread_barrier_wait(guest->meet);
    pthread_barrier_wait(guest->meet);
    EXPECT(hearth_native_end(guest->mutator) == HEARTH_OK);
    EXPECT(hearth_detach(guest->mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(damage_is_found)
{
    fixture_alone();
    struct place p = {.f = fixture_open("policy=strict,release-after=0")};
    pthread_barrier_t meet;
    struct guest guest = {.heap = p.f.heap, .meet = &meet};
    pthread_t thread;
    HEARTH_FRAME(p.f.mutator, frame, 1);

    ck_assert_int_eq(pthread_barrier_init(&meet, NULL, 2), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, stay, &guest), 0);
    pthread_barrier_wait(&meet);
    p.m = hg_mutator_of(p.f.mutator);
    p.other = hg_mutator_of(guest.mutator);
    fixture_list(p.f.mutator, p.f.node, 5000, &frame.ref[0]);
    HARNESS_OK(hearth_gc_collect(p.f.mutator, 2));
    HARNESS_OK(hearth_verify(p.f.mutator));
    bool told = damages[_i].damage != elsewhere || p.f.heap->space.windows->bound;
    for (int round = 0; round < 2 && told; round++) {
        damages[_i].damage(&p, true);
        hearth_status status = hearth_verify(p.f.mutator);
        damages[_i].damage(&p, false);
        ck_assert_int_eq(status, HEARTH_ECORRUPT);
        harness_expect_error("hearth_verify", HEARTH_ECORRUPT, damages[_i].says);
        HARNESS_OK(hearth_verify(p.f.mutator));
    }
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&meet);
    HEARTH_FRAME_END(p.f.mutator, frame);
    fixture_close(&p.f);
}
END_TEST

HARNESS_SUITE(check)
{
    Suite *suite = suite_create("check");
    TCase *all = tcase_create("all");

    tcase_add_loop_test(all, damage_is_found, 0, DAMAGES);
    suite_add_tcase(suite, all);
    return suite;
}
