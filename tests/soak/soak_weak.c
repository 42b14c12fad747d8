/* tests/soak/soak_weak.c - a weak reference with a callback, and an ephemeron, to every piece.
 *
 * While a piece is in a place, its weak reference gives it and its ephemeron has its value. When it is dropped
 * both go to the thread's list of the doomed, and are looked at now and then: what they still give must be
 * whole, until the callback has been called, once, and the key is gone. Invariant: every weak reference made is
 * called at the end. The data object of a weak reference has four words: the piece's id, how often it was
 * called, its sum when it was dropped, and its place. */
#include <inttypes.h>

#include "tests/soak/soak.h"

enum { DATA_ID, DATA_CALLED, DATA_SUM, DATA_PLACE, DATA_WORDS };
enum { DOOMED_WEAK, DOOMED_DATA, DOOMED_EPHEMERON, DOOMED_NEXT, DOOMED_FIELDS };

static uint64_t made_count, called_count; /* (atomic) */

static void called(hearth_mutator *mutator, void *weak, void *data)
{
    uint64_t *word = data;

    if (hearth_weak_get(mutator, weak) != NULL)
        soak_fail("the callback of a weak reference that is not cleared (piece %" PRIu64 ")",
                  word[DATA_ID]);
    if (__atomic_fetch_add(&word[DATA_CALLED], 1, __ATOMIC_RELAXED) != 0)
        soak_fail("a second callback for piece %" PRIu64, word[DATA_ID]);
    if (word[DATA_PLACE] == UINT64_MAX)
        soak_fail("piece %" PRIu64 " was found dead before it was dropped", word[DATA_ID]);
    __atomic_fetch_add(&called_count, 1, __ATOMIC_RELAXED);
}

static void begin(struct soak_thread *self)
{
    SOAK_OK(hearth_root_add(self->soak->heap, (void **)&self->doomed));
}

static void *must(void *object)
{
    if (object == NULL)
        soak_fail("a weak reference: %s", hearth_last_error());
    return object;
}

static void made(struct soak_thread *self, unsigned place)
{
    hearth_mutator *m = self->mutator;
    void *root = *soak_slot(&self->places, place, SOAK_ROOT);
    uint64_t id = self->places.piece[place].id;
    uint64_t *data = must(hearth_new_array(m, self->soak->bytes, DATA_WORDS * sizeof(*data)));

    data[DATA_ID] = id;
    data[DATA_PLACE] = UINT64_MAX;
    soak_set(self, &self->places, place, SOAK_WEAK_DATA, data);
    void *weak = must(hearth_weak_new(m, root, id % 4 == 0 ? HEARTH_WEAK_LONG : 0, called, data));
    soak_set(self, &self->places, place, SOAK_WEAK, weak);
    void *value = must(hearth_new_array(m, self->soak->refs, 3));
    SOAK_OK(hearth_store(m, value, &((void **)value)[0], root)); /* it reaches its key */
    SOAK_OK(hearth_store(m, value, &((void **)value)[1],
                         *soak_slot(&self->places, place, SOAK_WEAK_DATA)));
    soak_set(self, &self->places, place, SOAK_EPHEMERON,
             must(hearth_ephemeron_new(m, root, value)));
    __atomic_fetch_add(&made_count, 1, __ATOMIC_RELAXED);
}

static void check_value(struct soak_thread *self, void *ephemeron, void *root, const uint64_t *data)
{
    void **value = hearth_ephemeron_value(self->mutator, ephemeron);

    if (value == NULL || value[0] != root || value[1] != data)
        soak_fail("the ephemeron of piece %" PRIu64 " has lost its value", data[DATA_ID]);
}

static void check(struct soak_thread *self, unsigned place)
{
    void *root = *soak_slot(&self->places, place, SOAK_ROOT);
    const uint64_t *data = *soak_slot(&self->places, place, SOAK_WEAK_DATA);

    if (data[DATA_ID] != self->places.piece[place].id || data[DATA_CALLED] != 0)
        soak_fail("piece %" PRIu64 ": the data of its weak reference is that of %" PRIu64
                  ", called %" PRIu64 " times",
                  self->places.piece[place].id, data[DATA_ID], data[DATA_CALLED]);
    if (hearth_weak_get(self->mutator, *soak_slot(&self->places, place, SOAK_WEAK)) != root)
        soak_fail("piece %" PRIu64 " lives, its weak reference is cleared", data[DATA_ID]);
    check_value(self, *soak_slot(&self->places, place, SOAK_EPHEMERON), root, data);
}

static void drop(struct soak_thread *self, unsigned place)
{
    hearth_mutator *m = self->mutator;
    void **doomed = must(hearth_new_array(m, self->soak->refs, DOOMED_FIELDS));
    uint64_t *data = *soak_slot(&self->places, place, SOAK_WEAK_DATA);

    hearth_store_init(&doomed[DOOMED_WEAK], *soak_slot(&self->places, place, SOAK_WEAK));
    hearth_store_init(&doomed[DOOMED_DATA], data);
    hearth_store_init(&doomed[DOOMED_EPHEMERON], *soak_slot(&self->places, place, SOAK_EPHEMERON));
    hearth_store_init(&doomed[DOOMED_NEXT], self->doomed);
    self->doomed = doomed;
    data[DATA_SUM] = self->places.piece[place].sum;
    data[DATA_PLACE] = place;
}

/* What is still given must be whole. True when nothing more will come. No safepoint. */
static bool look(struct soak_thread *self, void **doomed)
{
    const uint64_t *data = doomed[DOOMED_DATA];
    void *target = hearth_weak_get(self->mutator, doomed[DOOMED_WEAK]);
    void *key = hearth_ephemeron_key(self->mutator, doomed[DOOMED_EPHEMERON]);
    bool was_called = __atomic_load_n(&data[DATA_CALLED], __ATOMIC_RELAXED) != 0;

    if (target != NULL && soak_random(self, 8) == 0) {
        uint64_t sum = soak_piece_sum(self->soak, (unsigned)data[DATA_PLACE], target);
        if (was_called || sum != data[DATA_SUM])
            soak_fail("dropped piece %" PRIu64 ": its sum is %" PRIx64 ", expected %" PRIx64
                      "; called: %d",
                      data[DATA_ID], sum, data[DATA_SUM], was_called);
    }
    if (key != NULL)
        check_value(self, doomed[DOOMED_EPHEMERON], key, data);
    else if (target != NULL || hearth_ephemeron_value(self->mutator, doomed[DOOMED_EPHEMERON]))
        soak_fail("dropped piece %" PRIu64 ": its ephemeron died too soon, or by half",
                  data[DATA_ID]);
    return was_called && key == NULL;
}

/* Go through the list and unlink what is done. */
static void step(struct soak_thread *self)
{
    hearth_mutator *m = self->mutator;
    void **before = NULL, **doomed = self->doomed;

    for (; doomed != NULL; doomed = doomed[DOOMED_NEXT]) {
        if (!look(self, doomed))
            before = doomed;
        else if (before == NULL)
            self->doomed = doomed[DOOMED_NEXT];
        else
            SOAK_OK(hearth_store(m, before, &before[DOOMED_NEXT], doomed[DOOMED_NEXT]));
    }
}

static void finish(struct soak_thread *self)
{
    for (int i = 0; i < 8 && self->doomed != NULL; i++) {
        SOAK_OK(hearth_gc_collect(self->mutator, 2));
        SOAK_OK(hearth_finalize_run(self->mutator, SIZE_MAX, NULL));
        step(self);
    }
    if (self->doomed != NULL)
        soak_fail("weak references of thread %d were never called", self->number);
    SOAK_OK(hearth_root_remove(self->soak->heap, (void **)&self->doomed));
    if (self->number == 0 && called_count > made_count)
        soak_fail("%" PRIu64 " callbacks of %" PRIu64 " weak references", called_count, made_count);
}

static void line(FILE *out)
{
    fprintf(out, "  %" PRIu64 " weak, %" PRIu64 " called",
            __atomic_load_n(&made_count, __ATOMIC_RELAXED),
            __atomic_load_n(&called_count, __ATOMIC_RELAXED));
}

__attribute__((constructor)) static void register_feature(void)
{
    static const struct soak_feature feature = {.name = "weak",
                                                .begin = begin,
                                                .made = made,
                                                .drop = drop,
                                                .check = check,
                                                .step = step,
                                                .finish = finish,
                                                .line = line};
    soak_register(&feature);
}
