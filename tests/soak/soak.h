/* tests/soak/soak.h - a long run of everything at once, with nothing but the public API.
 *
 * Each thread keeps a fixed number of pieces: structures of heap objects whose contents add up to a sum
 * that is known outside of the heap. It builds, changes, checks, and drops them, and swaps them with
 * other threads. What a place holds has always about the same size, so what lives stays the same and the
 * process must not grow. Features (weak references, finalizers, ...) attach something to every piece and
 * account for it at the end; each is a file of its own that registers itself.
 *
 * Invariant: a piece's sum and its objects belong to the thread in whose places it is, or to the market,
 * whose lock is held to touch it. Lock order: market's lock only, taken inside native sections. */
#ifndef HEARTH_TESTS_SOAK_H
#define HEARTH_TESTS_SOAK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "hearth.h"

enum { SOAK_THREADS = 4, SOAK_PLACES = 48, SOAK_FEATURES = 8 };

/* What a place holds, by its number: place % SOAK_KINDS. */
enum soak_kind { SOAK_LIST, SOAK_TREE, SOAK_ARRAY, SOAK_BLOB, SOAK_KINDS };

/* Columns of references of a place: the piece's first object, and what features attach to it. */
enum soak_column { SOAK_ROOT, SOAK_WEAK, SOAK_WEAK_DATA, SOAK_EPHEMERON, SOAK_COLUMNS };

/* The shadow of a piece. */
struct soak_piece {
    uint64_t id;          /* never 0 for a piece                                    */
    uint64_t sum;         /* of its contents                                        */
    struct soak_end *end; /* what its finalizer looks at                            */
};

/* A node of lists and trees. */
struct soak_node {
    struct soak_node *left, *right;
    uint64_t value;
};

/* SOAK_PLACES places: in the heap an array of references, here what must be in it. */
struct soak_places {
    void **column; /* SOAK_PLACES * SOAK_COLUMNS references; held by a global root */
    struct soak_piece piece[SOAK_PLACES];
};

struct soak_thread {
    struct soak *soak;
    hearth_mutator *mutator;
    uint64_t random; /* state                                        */
    int number;
    uint64_t operations;
    struct soak_places places;
    void **doomed; /* list of weak references to dropped pieces; a global root */
    pthread_t thread;
};

struct soak {
    hearth_heap *heap;
    hearth_type node, refs, bytes;
    uint64_t ids;    /* given out (atomic)                           */
    uint64_t pieces; /* built (atomic)                               */
    uint64_t forks;
    bool stop;            /* (atomic)                                     */
    int fork_turn;        /* number of the thread that shall fork, -1: none (atomic) */
    pthread_mutex_t lock; /* of the market                                */
    struct soak_places market;
    struct soak_thread thread[SOAK_THREADS];
};

/* Any function may be NULL. All but `line` run on an attached thread, with no references held in locals by
 * the caller. `made` follows the building of a piece, `drop` comes before its root is dropped, `check` may
 * come at any time between, `step` now and then. `finish` is called once for every thread, by one that
 * stands in for it, when all pieces of all threads have been dropped. */
struct soak_feature {
    const char *name;
    void (*begin)(struct soak_thread *self);
    void (*made)(struct soak_thread *self, unsigned place);
    void (*drop)(struct soak_thread *self, unsigned place);
    void (*check)(struct soak_thread *self, unsigned place);
    void (*step)(struct soak_thread *self);
    void (*finish)(struct soak_thread *self);
    void (*line)(FILE *out);
};

/* Adds a feature; by a constructor. */
void soak_register(const struct soak_feature *feature);
extern const struct soak_feature *soak_feature[SOAK_FEATURES];
extern int soak_features;

/* Ends the process: something was lost. */
_Noreturn void soak_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SOAK_OK(call)                                                                              \
    do {                                                                                           \
        if ((call) != HEARTH_OK)                                                                   \
            soak_fail("%s: %s", #call, hearth_last_error());                                       \
    } while (0)

uint64_t soak_random(struct soak_thread *self, uint64_t bound);

/* Pieces (soak_piece.c). build gives the first object, not rooted, and fills the shadow; sum walks a piece
 * and ends the process if it is not made as it should be; change alters some of its contents. */
void *soak_piece_build(struct soak_thread *self, unsigned place, struct soak_piece *piece);
uint64_t soak_piece_sum(struct soak *soak, unsigned place, const void *root);
void soak_piece_change(struct soak_thread *self, unsigned place);

/* Fork if it is this thread's turn; wait for the child, which checks all it has (soak_fork.c). */
void soak_fork(struct soak_thread *self);

/* A thread's life (soak_thread.c). */
void *soak_thread_main(void *argument);
void soak_places_create(struct soak_thread *self, struct soak_places *places);
void soak_check_all(struct soak_thread *self);
void soak_rebuild(struct soak_thread *self, unsigned place);
void soak_drop_all(struct soak_thread *self);
void soak_begin_features(struct soak_thread *self);
void soak_finish_features(struct soak_thread *self);

static inline void **soak_slot(struct soak_places *places, unsigned place, enum soak_column column)
{
    return &places->column[place * SOAK_COLUMNS + column];
}

/* Store into a slot of the places. */
static inline void soak_set(struct soak_thread *self, struct soak_places *places, unsigned place,
                            enum soak_column column, void *value)
{
    SOAK_OK(hearth_store(self->mutator, places->column, soak_slot(places, place, column), value));
}

#endif
