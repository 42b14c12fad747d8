/* gc/card.h - exact cards: a byte per 16 payload bytes (two slots) of an object that remembers by card.
 *
 * Cards lie in the metadata bytes of the object's interior granules, or behind the payload of an object
 * with chunks of its own. The first granule's byte is the mark, so its card is the header flag
 * HG_OBJECT_FIRST_CARD. Cards are set by mutators without locks (byte stores) and consumed with the
 * world stopped, by one worker: none is set while marks are swept. (Exact 16-byte cards: measured
 * against 128-byte ones on a 1M-slot array, a third of the minor collections' time.) */
#ifndef HEARTH_GC_CARD_H
#define HEARTH_GC_CARD_H

#include "alloc/scan.h"
#include "gc/slots.h"

enum {
    HG_OBJECT_FIRST_CARD = 1u << 8,
    HG_OBJECT_LISTED = 1u << 9 /* found in a remembered set by the verifier; clear otherwise */
};

/* The card bytes of an object with HEARTH_OBJECT_CARDS. */
static inline uint8_t *hg_cards_of(uintptr_t object)
{
    struct ha_block *block = ha_block_of(object);
    uint8_t state =
        __atomic_load_n(&block->state, __ATOMIC_RELAXED); /* another thread may take it */
    return state == HA_LARGE ? block->cards : ha_meta_of(object);
}

/* Set the card of a slot. */
static inline void hg_card_set(uintptr_t object, uintptr_t slot)
{
    size_t card = (slot - object) / HEARTH_GRANULE;
    if (card == 0) {
        uint64_t *header = hearth_header_of((void *)object);
        if (!(__atomic_load_n(header, __ATOMIC_RELAXED) & HG_OBJECT_FIRST_CARD))
            __atomic_fetch_or(header, HG_OBJECT_FIRST_CARD, __ATOMIC_RELAXED);
        return;
    }
    uint8_t *byte = hg_cards_of(object) + card;
    if (__atomic_load_n(byte, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(byte, HA_CARD, __ATOMIC_RELAXED);
}

/* Is the card of this slot set? (Verifier.) */
static inline bool hg_card_get(uintptr_t object, uintptr_t slot)
{
    size_t card = (slot - object) / HEARTH_GRANULE;
    if (card == 0)
        return *hearth_header_of((void *)object) & HG_OBJECT_FIRST_CARD;
    return ha_mark_load(hg_cards_of(object) + card) == HA_CARD;
}

/* Is any card of the object set? (Verifier.) */
static inline bool hg_cards_any(uintptr_t object, size_t size)
{
    const uint8_t *cards = hg_cards_of(object);
    size_t count = (size + HEARTH_GRANULE - 1) / HEARTH_GRANULE;
    if (*hearth_header_of((void *)object) & HG_OBJECT_FIRST_CARD)
        return true;
    for (size_t card = 1; card < count; card++)
        if (ha_mark_load(&cards[card]) != 0)
            return true;
    return false;
}

/* Does a type have a reference slot at this byte offset? */
static inline bool hg_is_slot(const struct hg_type *type, size_t offset)
{
    if (offset >= type->fixed && type->element != 0) {
        size_t inside = (offset - type->fixed) % type->element;
        return inside / sizeof(void *) < 64 &&
               type->element_bitmap >> (inside / sizeof(void *)) & 1;
    }
    for (uint32_t i = 0; i < type->offset_count; i++)
        if (type->offsets[i] == offset)
            return true;
    return offset / sizeof(void *) < 64 && type->bitmap >> (offset / sizeof(void *)) & 1;
}

/* Walks and clears the dirty cards of an object: ranges of granules 64 at a time. */
struct hg_card_walk {
    uintptr_t object;
    uint8_t *cards;
    size_t count;   /* cards of the object                 */
    size_t at;      /* next group                          */
    uint64_t dirty; /* left of the present group           */
};

static inline void hg_cards_begin(struct hg_card_walk *walk, uintptr_t object, size_t size)
{
    walk->object = object;
    walk->cards = hg_cards_of(object);
    walk->count = (size + HEARTH_GRANULE - 1) / HEARTH_GRANULE;
    walk->at = 0;
    walk->dirty = 0;
    uint64_t *header = hearth_header_of((void *)object);
    uint64_t value = __atomic_load_n(header, __ATOMIC_RELAXED);
    if (value & HG_OBJECT_FIRST_CARD) {
        __atomic_store_n(header, value & ~(uint64_t)HG_OBJECT_FIRST_CARD, __ATOMIC_RELAXED);
        walk->dirty = 1;
    }
}

/* Load and clear the next group of cards that has a dirty one; the bits are relative to `at` - 64. */
static inline bool hg_cards_group(struct hg_card_walk *walk)
{
    while (walk->at < walk->count) {
        uint8_t *group = walk->cards + walk->at;
        size_t left = walk->count - walk->at;
        uint64_t dirty = 0;
        if (left >= 64) {
            dirty = ha_nonzero64(group);
        } else {
            for (size_t i = 0; i < left; i++)
                dirty |= (uint64_t)(ha_mark_load(&group[i]) != 0) << i;
        }
        bool first = walk->at == 0;
        if (first)
            dirty &= ~(uint64_t)1; /* the mark */
        walk->at += 64;
        for (uint64_t bits = dirty; bits != 0; bits &= bits - 1)
            __atomic_store_n(&group[__builtin_ctzll(bits)], 0, __ATOMIC_RELAXED);
        walk->dirty |= dirty;
        if (walk->dirty != 0)
            return true;
    }
    return false;
}

/* The next dirty card: its granule's first byte; 0: no more. */
static inline uintptr_t hg_cards_next(struct hg_card_walk *walk)
{
    if (walk->at == 0 || walk->dirty == 0)
        if (!hg_cards_group(walk))
            return 0;
    unsigned bit = (unsigned)__builtin_ctzll(walk->dirty);
    walk->dirty &= walk->dirty - 1;
    return walk->object + (walk->at - 64 + bit) * HEARTH_GRANULE;
}

#endif
