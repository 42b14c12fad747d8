/* tests/cell_fixture.h - what the tests of weak references, ephemerons and weak tables share. */
#ifndef HEARTH_TESTS_CELL_FIXTURE_H
#define HEARTH_TESTS_CELL_FIXTURE_H

#include "gc/ephemeron.h"
#include "tests/mutator_fixture.h"

/* The ways a heap can be collected; small tests run in all of them. */
static const char *const cell_mode[] = {"verify=on",
                                        "verify=on,stress=1",
                                        "verify=on,workers=3,help-after=0",
                                        "verify=on,fake-nodes=2,mode=local,workers=3,help-after=0",
                                        "verify=on,generational=off",
                                        "verify=on,mode=off,workers=1"};
enum { CELL_MODES = sizeof cell_mode / sizeof *cell_mode };

static inline struct fixture cell_open(int mode)
{
    return fixture_open(cell_mode[mode]);
}

/* The same whatever options the runner was given: for tests that count, or that say what is old. */
static inline struct fixture cell_open_alone(void)
{
    fixture_alone();
    return fixture_open("verify=on");
}

/* Collect and have it verified. */
static inline void cell_collect(struct fixture *f, int generation)
{
    hearth_status status = hearth_gc_collect(f->mutator, generation);

    if (status != HEARTH_OK)
        ck_abort_msg("generation %d: %s", generation, hearth_last_error());
}

/* Cells known to the heap's lists. */
static inline size_t cell_young(const struct fixture *f, int group)
{
    return f->heap->cells.young[group].count;
}

static inline size_t cell_old(const struct fixture *f, int group)
{
    return f->heap->cells.old[group].count;
}

static inline size_t cell_known(const struct fixture *f, int group)
{
    return cell_young(f, group) + cell_old(f, group);
}

static inline bool cell_is_old(void *object)
{
    return *hearth_header_of(object) & HEARTH_OBJECT_OLD;
}

static inline void *cell_weak(struct fixture *f, void *target)
{
    void *weak = hearth_weak_new(f->mutator, target, 0, NULL, NULL);

    EXPECT(weak != NULL);
    return weak;
}

static inline void *cell_ephemeron(struct fixture *f, void *key, void *value)
{
    void *ephemeron = hearth_ephemeron_new(f->mutator, key, value);

    EXPECT(ephemeron != NULL);
    return ephemeron;
}

static inline void *cell_refs(struct fixture *f, size_t count)
{
    void *array = hearth_new_array(f->mutator, f->refs, count);

    EXPECT(array != NULL);
    return array;
}

/* An array that is old: what is stored into it is younger. */
static inline void *cell_old_refs(struct fixture *f, size_t count)
{
    HEARTH_FRAME(f->mutator, frame, 1);
    frame.ref[0] = cell_refs(f, count);
    cell_collect(f, 1);
    HEARTH_FRAME_END(f->mutator, frame);
    return frame.ref[0];
}

static inline void cell_set(struct fixture *f, void *array, size_t i, void *value)
{
    EXPECT(hearth_store(f->mutator, array, (void **)array + i, value) == HEARTH_OK);
}

#endif
