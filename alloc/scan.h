/* alloc/scan.h - testing 64 metadata bytes at once, with SSE2, which every x86-64 has. */
#ifndef HEARTH_ALLOC_SCAN_H
#define HEARTH_ALLOC_SCAN_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>

/* Bit i set: byte i is not 0. */
__attribute__((no_sanitize("thread"))) static inline uint64_t ha_nonzero64(const uint8_t *bytes)
{
    const __m128i zero = _mm_setzero_si128();
    uint64_t equal = 0;
    for (int i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * i));
        equal |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, zero)) << (16 * i);
    }
    return ~equal;
}
#else
#error "hearth scans metadata with SSE2; another architecture needs its version of these functions"
#endif

#endif
