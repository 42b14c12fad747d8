/* tests/soak/soak_finalize.c - a finalizer on every piece; every eighth brings its piece back for a while.
 *
 * Invariant: the record of a piece (in plain memory) says what may happen to it: a finalizer that finds it
 * in a place was run too soon, one that finds none was run twice. At the end every one has been run. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/soak/soak.h"

enum { REVIVED = 64 };

struct soak_end {
    struct soak *soak;
    uint64_t id, sum; /* sum: when it was dropped         */
    unsigned place;
    bool dropped;
};

static uint64_t added, run, revived; /* (atomic)                                          */
static void **revived_array;         /* of REVIVED references to pieces; a global root    */

static hearth_status finalize(hearth_mutator *mutator, void *object, void *data)
{
    struct soak_end *end = data;

    if (!__atomic_load_n(&end->dropped, __ATOMIC_ACQUIRE))
        soak_fail("piece %" PRIu64 " is finalized, and not dropped", end->id);
    uint64_t sum = soak_piece_sum(end->soak, end->place, object);
    if (sum != end->sum)
        soak_fail("finalizer of piece %" PRIu64 ": its sum is %" PRIx64 ", expected %" PRIx64,
                  end->id, sum, end->sum);
    __atomic_fetch_add(&run, 1, __ATOMIC_RELAXED);
    if (end->id % 8 == 0) {
        uint64_t i = __atomic_fetch_add(&revived, 1, __ATOMIC_RELAXED) % REVIVED;
        hearth_store(mutator, revived_array, &revived_array[i], object);
    }
    free(end);
    return HEARTH_OK;
}

static void begin(struct soak_thread *self)
{
    if (revived_array != NULL)
        return;
    SOAK_OK(hearth_root_add(self->soak->heap, (void **)&revived_array));
    revived_array = hearth_new_array(self->mutator, self->soak->refs, REVIVED);
    if (revived_array == NULL)
        soak_fail("the array of revived pieces: %s", hearth_last_error());
}

static void made(struct soak_thread *self, unsigned place)
{
    struct soak_piece *piece = &self->places.piece[place];
    struct soak_end *end = calloc(1, sizeof(*end));

    if (end == NULL)
        soak_fail("no memory for a record (%zu bytes)", sizeof(*end));
    end->soak = self->soak;
    end->id = piece->id;
    end->place = place;
    piece->end = end;
    SOAK_OK(hearth_finalizer_add(self->mutator, *soak_slot(&self->places, place, SOAK_ROOT),
                                 finalize, end, (int)(place % 3)));
    __atomic_fetch_add(&added, 1, __ATOMIC_RELAXED);
}

static void drop(struct soak_thread *self, unsigned place)
{
    struct soak_piece *piece = &self->places.piece[place];

    piece->end->sum = piece->sum;
    __atomic_store_n(&piece->end->dropped, true, __ATOMIC_RELEASE);
    piece->end = NULL; /* the finalizer's now */
}

static void check(struct soak_thread *self, unsigned place)
{
    const void *root = *soak_slot(&self->places, place, SOAK_ROOT);

    if (hearth_is_finalized(self->soak->heap, root))
        soak_fail("piece %" PRIu64 " in a place is finalized", self->places.piece[place].id);
}

static void finish(struct soak_thread *self)
{
    if (revived_array == NULL)
        return;
    for (int i = 0; i < 8 && run != added; i++) {
        SOAK_OK(hearth_gc_collect(self->mutator, 2));
        SOAK_OK(hearth_finalize_run(self->mutator, SIZE_MAX, NULL));
    }
    if (run != added)
        soak_fail("%" PRIu64 " of %" PRIu64 " finalizers were run", run, added);
    SOAK_OK(hearth_root_remove(self->soak->heap, (void **)&revived_array));
    revived_array = NULL;
}

static void line(FILE *out)
{
    fprintf(out, "  %" PRIu64 " finalized, %" PRIu64 " revived",
            __atomic_load_n(&run, __ATOMIC_RELAXED), __atomic_load_n(&revived, __ATOMIC_RELAXED));
}

__attribute__((constructor)) static void register_feature(void)
{
    static const struct soak_feature feature = {.name = "finalizers",
                                                .begin = begin,
                                                .made = made,
                                                .drop = drop,
                                                .check = check,
                                                .finish = finish,
                                                .line = line};
    soak_register(&feature);
}
