/* bench/random.h - random numbers that are the same in every language.
 *
 * Marsaglia's xorshift of 32 bits: OCaml's integers have 63 bits, and what is drawn here must be
 * drawn there. Every thread and every system draws the same sequence.
 *
 * Invariant: the state is never 0. A state belongs to one thread. */
#ifndef HEARTH_BENCH_RANDOM_H
#define HEARTH_BENCH_RANDOM_H

#include <stdint.h>

enum { RANDOM_SEED = 88172645 };

/* 1 .. 2^32 - 1. */
static inline uint32_t random_next(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* 0 .. count - 1, count < 2^28. */
static inline size_t random_index(uint32_t *state, size_t count)
{
    return (size_t)(((uint64_t)random_next(state) * count) >> 32);
}

#endif
