/* tests/victim_fixture.h - a heap that must survive every wrong argument, and how values are written in
 * messages. One thread. */
#ifndef HEARTH_TESTS_VICTIM_FIXTURE_H
#define HEARTH_TESTS_VICTIM_FIXTURE_H

#include "tests/mutator_fixture.h"

/* How a value is written in messages. */
static inline const char *number_text(long long number)
{
    static char text[4][32];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "%lld", number);
    return text[next];
}

static inline const char *pointer_text(const void *pointer)
{
    static char text[4][32];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "%p", pointer);
    return text[next];
}

static inline const char *type_text(hearth_type type)
{
    static char text[4][32];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "0x%x", type);
    return text[next];
}

/* A call that returns 0, NULL, false or -1 instead of a status. */
#define REFUSED(call, wrong, status, text)                                                         \
    do {                                                                                           \
        ck_assert_msg((call) == (wrong), "%s", #call);                                             \
        harness_expect_error(#call, (status), (text));                                             \
    } while (0)

/* A heap with something in all generations, that must survive whatever is done to it. */
struct victim {
    struct fixture f;
    hearth_frame *frames;
    struct {
        hearth_frame head;
        void *ref[3];
    } frame;
};

static inline void victim_open(struct victim *v, const char *options)
{
    v->f = fixture_open(options);
    v->frames = v->f.mutator->frames;
    v->frame.head = (hearth_frame){v->frames, 3};
    memset(v->frame.ref, 0, sizeof v->frame.ref);
    v->f.mutator->frames = &v->frame.head;
    fixture_list(v->f.mutator, v->f.node, 500, &v->frame.ref[0]);
    fixture_collect(v->f.mutator, 1);
    fixture_list(v->f.mutator, v->f.node, 400, &v->frame.ref[1]);
    fixture_collect(v->f.mutator, 0);
    fixture_list(v->f.mutator, v->f.node, 300, &v->frame.ref[2]);
}

/* Unharmed: it verifies, everything is there, and it allocates and collects. */
static inline void victim_check(struct victim *v)
{
    HARNESS_OK(hearth_verify(v->f.mutator));
    fixture_check_list(v->frame.ref[0], 500);
    fixture_check_list(v->frame.ref[1], 400);
    fixture_check_list(v->frame.ref[2], 300);
    ck_assert_ptr_eq(v->f.mutator->frames, &v->frame.head);
    fixture_garbage(v->f.mutator, v->f.node, 100);
    for (int generation = 0; generation < 3; generation++)
        fixture_collect(v->f.mutator, generation);
    fixture_check_list(v->frame.ref[0], 500);
    ck_assert_uint_eq(fixture_stats(v->f.heap).live_objects, 1200);
}

static inline void victim_close(struct victim *v)
{
    victim_check(v);
    v->f.mutator->frames = v->frames;
    fixture_close(&v->f);
}

#endif
