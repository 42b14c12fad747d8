/* tests/soak/soak_thread.c - what a thread of the soak does until it is told to stop.
 *
 * Invariant: between two operations every place of the thread holds a piece whose sum is right. The market
 * has places like a thread's; its lock is held while a piece changes hands, and no safepoint is reached
 * meanwhile. */
#define _GNU_SOURCE
#include "tests/soak/soak.h"

#include <time.h>

const struct soak_feature *soak_feature[SOAK_FEATURES];
int soak_features;

void soak_register(const struct soak_feature *feature)
{
    if (soak_features == SOAK_FEATURES)
        soak_fail("more than %d features", SOAK_FEATURES);
    soak_feature[soak_features++] = feature;
}

#define FEATURES(function, ...)                                                                    \
    for (int f_ = 0; f_ < soak_features; f_++)                                                     \
        if (soak_feature[f_]->function != NULL)                                                    \
    soak_feature[f_]->function(__VA_ARGS__)

uint64_t soak_random(struct soak_thread *self, uint64_t bound)
{
    uint64_t z = self->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

/* --- places -------------------------------------------------------------------------------------- */

void soak_places_create(struct soak_thread *self, struct soak_places *places)
{
    SOAK_OK(hearth_root_add(self->soak->heap, (void **)&places->column));
    places->column = hearth_new_array(self->mutator, self->soak->refs, SOAK_PLACES * SOAK_COLUMNS);
    if (places->column == NULL)
        soak_fail("the places of thread %d: %s", self->number, hearth_last_error());
}

static void check_place(struct soak_thread *self, unsigned place)
{
    struct soak_places *places = &self->places;
    uint64_t sum = soak_piece_sum(self->soak, place, *soak_slot(places, place, SOAK_ROOT));

    if (sum != places->piece[place].sum)
        soak_fail("piece %llu at place %u of thread %d: its sum is %llx, expected %llx",
                  (unsigned long long)places->piece[place].id, place, self->number,
                  (unsigned long long)sum, (unsigned long long)places->piece[place].sum);
    FEATURES(check, self, place);
}

void soak_check_all(struct soak_thread *self)
{
    for (unsigned place = 0; place < SOAK_PLACES; place++)
        if (self->places.piece[place].id != 0)
            check_place(self, place);
}

static void drop(struct soak_thread *self, unsigned place)
{
    FEATURES(drop, self, place);
    soak_set(self, &self->places, place, SOAK_ROOT, NULL);
    self->places.piece[place].id = 0;
}

void soak_rebuild(struct soak_thread *self, unsigned place)
{
    struct soak_piece piece;

    if (self->places.piece[place].id != 0)
        drop(self, place);
    void *root = soak_piece_build(self, place, &piece);
    soak_set(self, &self->places, place, SOAK_ROOT, root);
    self->places.piece[place] = piece;
    FEATURES(made, self, place);
}

void soak_drop_all(struct soak_thread *self)
{
    for (unsigned place = 0; place < SOAK_PLACES; place++)
        if (self->places.piece[place].id != 0)
            drop(self, place);
}

/* --- threads together ---------------------------------------------------------------------------- */

/* Swap a piece with the market's at the same place. */
static void trade(struct soak_thread *self, unsigned place)
{
    struct soak_places *mine = &self->places, *market = &self->soak->market;

    SOAK_OK(hearth_native_begin(self->mutator));
    pthread_mutex_lock(&self->soak->lock);
    SOAK_OK(
        hearth_native_end(self->mutator)); /* a safepoint, but the market is not looked at yet */
    for (unsigned column = 0; column < SOAK_COLUMNS; column++) {
        void *other = *soak_slot(market, place, column);
        soak_set(self, market, place, column, *soak_slot(mine, place, column));
        soak_set(self, mine, place, column, other);
    }
    struct soak_piece piece = market->piece[place];
    market->piece[place] = mine->piece[place];
    mine->piece[place] = piece;
    pthread_mutex_unlock(&self->soak->lock);
    if (piece.id == 0) /* the market had none there */
        soak_rebuild(self, place);
}

static void nap(struct soak_thread *self)
{
    const struct timespec pause = {0, (long)soak_random(self, 2000000)};

    SOAK_OK(hearth_native_begin(self->mutator));
    nanosleep(&pause, NULL);
    SOAK_OK(hearth_native_end(self->mutator));
}

static void step_features(struct soak_thread *self)
{
    FEATURES(step, self);
}

/* Old pieces are dropped too: the collector's generations need garbage of every age. */
static void operation(struct soak_thread *self)
{
    unsigned place = (unsigned)soak_random(self, SOAK_PLACES);
    uint64_t dice = soak_random(self, 1000);

    if (dice < 300)
        soak_rebuild(self, place);
    else if (dice < 700)
        soak_piece_change(self, place);
    else if (dice < 900)
        check_place(self, place);
    else if (dice < 950)
        trade(self, place);
    else if (dice < 995)
        step_features(self);
    else if (dice < 999)
        nap(self);
    else
        SOAK_OK(hearth_gc_collect(self->mutator, (int)soak_random(self, 3)));
    hearth_safepoint(self->mutator);
    soak_fork(self);
    __atomic_fetch_add(&self->operations, 1, __ATOMIC_RELAXED);
}

void soak_begin_features(struct soak_thread *self)
{
    FEATURES(begin, self);
}

void soak_finish_features(struct soak_thread *self)
{
    FEATURES(finish, self);
}

void *soak_thread_main(void *argument)
{
    struct soak_thread *self = argument;

    SOAK_OK(hearth_attach(self->soak->heap, NULL, &self->mutator));
    soak_places_create(self, &self->places);
    soak_begin_features(self);
    for (unsigned place = 0; place < SOAK_PLACES; place++)
        soak_rebuild(self, place);
    while (!__atomic_load_n(&self->soak->stop, __ATOMIC_RELAXED))
        operation(self);
    soak_check_all(self);
    soak_drop_all(self);
    SOAK_OK(hearth_detach(self->mutator));
    return NULL;
}
