/* alloc/sweep.c - the sweep of a block's metadata; object memory is not touched.
 *
 * Invariant: no card bytes are set while sweeping (cards are consumed with the remembered sets), so
 * every non-zero byte is a mark. No locks: a block is swept by one worker. Node: the block's;
 * workers of that node sweep it first. */
#include "alloc/sweep.h"

#include <string.h>

#include "alloc/scan.h"

/* Clear bytes equal to a or b in 64 bytes; returns the bits of those left, *gen1_bits of gen1. */
static inline uint64_t ha_sweep64(uint8_t *meta, __m128i a, __m128i b, __m128i gen1,
                                  uint64_t *gen1_bits)
{
    const __m128i zero = _mm_setzero_si128();
    uint64_t empty = 0, aging = 0;
    for (int i = 0; i < 4; i++) {
        __m128i *at = (__m128i *)(void *)(meta + 16 * i);
        __m128i v = _mm_loadu_si128(at);
        __m128i dead = _mm_or_si128(_mm_cmpeq_epi8(v, a), _mm_cmpeq_epi8(v, b));
        if (_mm_movemask_epi8(dead) != 0) {
            v = _mm_andnot_si128(dead, v);
            _mm_storeu_si128(at, v);
        }
        empty |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, zero)) << (16 * i);
        aging |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, gen1)) << (16 * i);
    }
    *gen1_bits = aging;
    return ~empty;
}

struct ha_swept ha_sweep_block(struct ha_block *block, uint8_t dead_a, uint8_t dead_b, uint8_t gen1)
{
    uint8_t *meta = ha_block_meta(block);
    const __m128i a = _mm_set1_epi8((char)dead_a), b = _mm_set1_epi8((char)dead_b);
    const __m128i g = _mm_set1_epi8((char)gen1);
    struct ha_swept swept = {0, false};
    uint64_t any = 0;
    unsigned words = (block->end + 63u) / 64u;
    for (unsigned w = 0; w < words; w++) {
        uint64_t aging;
        swept.live += (uint32_t)__builtin_popcountll(ha_sweep64(meta + 64 * w, a, b, g, &aging));
        any |= aging;
    }
    swept.aging = any != 0;
    block->live = (uint16_t)swept.live;
    block->frontier = NULL;
    return swept;
}

void ha_poison_block(struct ha_block *block)
{
    for (unsigned i = 0; i < block->cells; i++) {
        uintptr_t object = ha_object_at(block, i);
        if (ha_mark_load(ha_meta_of(object)) == 0)
            memset((char *)object - HEARTH_HEADER, 0xfb, block->cell);
    }
}
