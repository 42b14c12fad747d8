/* alloc/sweep.c - the sweep of a block's metadata; object memory is not touched.
 *
 * Invariant: no card bytes are set while sweeping (cards are consumed with the remembered sets), so
 * every non-zero byte is a mark. No locks: a block is swept by one worker. Node: the block's;
 * workers of that node sweep it first. */
#include "alloc/sweep.h"

#include <emmintrin.h>

enum { HA_SWEEP_STEP = 1024 }; /* bytes whose per-lane counts cannot overflow: 64 vectors */

/* Clear bytes equal to a or b in a step; returns how many are left, *aging gets lanes equal to gen1.
 * Counting by subtracting comparison masks and psadbw: no population count instruction is assumed. */
static inline uint32_t ha_sweep_step(uint8_t *meta, unsigned bytes, __m128i a, __m128i b,
                                     __m128i gen1, __m128i *aging)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i empty = zero, any = *aging;
    for (unsigned i = 0; i < bytes; i += 16) {
        __m128i *at = (__m128i *)(void *)(meta + i);
        __m128i v = _mm_loadu_si128(at);
        __m128i dead = _mm_or_si128(_mm_cmpeq_epi8(v, a), _mm_cmpeq_epi8(v, b));
        if (_mm_movemask_epi8(dead) != 0) {
            v = _mm_andnot_si128(dead, v);
            _mm_storeu_si128(at, v);
        }
        empty = _mm_sub_epi8(empty, _mm_cmpeq_epi8(v, zero));
        any = _mm_or_si128(any, _mm_cmpeq_epi8(v, gen1));
    }
    *aging = any;
    __m128i sum = _mm_sad_epu8(empty, zero);
    uint32_t zeros =
        (uint32_t)_mm_cvtsi128_si32(sum) + (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(sum, 8));
    return bytes - zeros;
}

struct ha_swept ha_sweep_block(struct ha_block *block, uint8_t dead_a, uint8_t dead_b, uint8_t gen1)
{
    struct ha_swept swept = {0, false};
    block->frontier = NULL;
    if (!block->touched && block->live == block->frozen) {
        swept.live = block->live;
        return swept; /* no other mark was there, none was made: its metadata need not be read */
    }
    uint8_t *meta = ha_block_meta(block);
    const __m128i a = _mm_set1_epi8((char)dead_a), b = _mm_set1_epi8((char)dead_b);
    const __m128i g = _mm_set1_epi8((char)gen1);
    __m128i aging = _mm_setzero_si128();
    unsigned end = (block->end + 15u) & ~15u;
    for (unsigned at = 0; at < end; at += HA_SWEEP_STEP)
        swept.live += ha_sweep_step(meta + at, end - at < HA_SWEEP_STEP ? end - at : HA_SWEEP_STEP,
                                    a, b, g, &aging);
    swept.aging = _mm_movemask_epi8(aging) != 0;
    block->live = (uint16_t)swept.live;
    block->touched = 0;
    return swept;
}
