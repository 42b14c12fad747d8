/* alloc/block.h - the layout of a chunk: metadata bytes, block headers, blocks.
 *
 *   chunk (4 MiB, aligned)
 *   +0        ha_chunk (512 bytes), then the ha_block headers of blocks 4..63, 128 bytes each
 *   +16 KiB   metadata: one byte per 16-byte granule; that of the granule at p is chunk + (p & mask) / 16
 *             (the bytes that would describe the first 256 KiB hold the headers instead)
 *   +256 KiB  blocks 4..63 of 64 KiB
 *
 * A metadata byte belongs to an object's first granule: its mark (0: young or free). On interior
 * granules of objects with cards, HA_CARD says that a slot there was written. Invariant: the
 * bytes of free memory are zero. Everything of a chunk lies on its window's node.
 * A block header is written by the mutator that holds the block (frontier), under the pool's lock
 * (lists, state), or by one GC worker while the world is stopped. */
#ifndef HEARTH_ALLOC_BLOCK_H
#define HEARTH_ALLOC_BLOCK_H

#include "alloc/class.h"
#include "alloc/window.h"

enum {
    HA_CHUNK_BLOCKS = HA_CHUNK / HA_BLOCK,            /* 64, of which the first are the head   */
    HA_HEAD_BLOCKS = HA_CHUNK / 16 / HA_BLOCK,        /* 4                                     */
    HA_DATA_BLOCKS = HA_CHUNK_BLOCKS - HA_HEAD_BLOCKS /* 60                                    */
};

/* free_mask or cold_mask of a chunk without anything in it. */
#define HA_ALL_BLOCKS (~(uint64_t)0 << HA_HEAD_BLOCKS)

enum { HA_SCAN = 0, HA_LEAF = 1 };

/* What a block is. */
enum ha_state {
    HA_NONE,    /* not a block (chunk head)                                         */
    HA_FREE,    /* free; may hold old bytes                                         */
    HA_COLD,    /* free and zero: fresh, or given back to the system                */
    HA_CURRENT, /* a mutator's                                                      */
    HA_PARTIAL, /* in one of its pool's buckets                                     */
    HA_FULL,    /* in no list: full, or too full to be worth reusing                */
    HA_LARGE,   /* first block of a large object                                    */
    HA_TAIL     /* further block of a large object                                  */
};

enum { HA_CARD = 0x80, HA_MARK = 0x7f };

struct ha_pool;

struct ha_block {
    struct ha_block *next, *prev; /* the list its state says (pool lock)                          */
    struct ha_block *young_next;  /* list of blocks with young or generation-1 objects            */
    char *frontier;      /* cells below it are allocated, marked or not; NULL: only marked */
    uint32_t cell;       /* bytes of a cell                                              */
    uint32_t reciprocal; /* see ha_class                                                 */
    uint16_t cells;      /* in the block                                                 */
    uint16_t end;        /* granule behind the last cell                                 */
    uint16_t live;       /* marked cells at the last sweep                               */
    uint16_t blocks;     /* LARGE: how many; TAIL: distance to the first                 */
    uint8_t size_class;
    uint8_t kind;               /* HA_SCAN or HA_LEAF                                           */
    uint8_t state;              /* enum ha_state                                                */
    uint8_t bucket;             /* PARTIAL: which                                               */
    uint8_t young;              /* is in the young list                                         */
    uint8_t span;               /* LARGE: has chunks of its own                                 */
    uint8_t touched;            /* an object in it was marked since the last sweep (relaxed)    */
    uint8_t keys;               /* holds keys of ephemerons that are watched (atomic)          */
    uint32_t stamp;             /* FREE: ms clock when it became free                           */
    uint32_t scan;              /* LARGE: slots already handed out by the tracer                */
    size_t size;                /* LARGE: payload bytes                                         */
    uint8_t *cards;             /* LARGE: a byte per 16 payload bytes                           */
    struct ha_block *keys_next; /* KEYS: the next one that does                           */
    uint32_t keys_at;           /* KEYS: index of its first cell in the table of the keys  */
    uint16_t frozen;            /* of the live cells, those that no collection looks at   */
    uint16_t run; /* CURRENT: of its mutator's runs, the one that takes cells here (relaxed) */
    uint64_t reserved[4];
};

struct ha_chunk {
    struct ha_chunk *next, *prev; /* of the pool (pool lock)                                      */
    struct ha_pool *pool;         /* whose it is                                                  */
    uint64_t free_mask;           /* bit per block: FREE or COLD                                  */
    uint64_t cold_mask;           /* bit per block: COLD                                          */
    size_t span;                  /* chunks of the span; 1: an ordinary chunk with blocks         */
};

_Static_assert(sizeof(struct ha_block) == 128, "block headers are found by shifting");
_Static_assert(sizeof(struct ha_chunk) <= HA_HEAD_BLOCKS * 128, "chunk header fits before block 4");
_Static_assert(HA_CHUNK_BLOCKS * 128 <= HA_CHUNK / 16 / 16, "headers fit in unused metadata");

static inline uintptr_t ha_chunk_base(uintptr_t p)
{
    return p & ~(uintptr_t)(HA_CHUNK - 1);
}

static inline struct ha_chunk *ha_chunk_of(const void *p)
{
    return (struct ha_chunk *)ha_chunk_base((uintptr_t)p);
}

static inline unsigned ha_block_index(uintptr_t p)
{
    return (unsigned)((p & (HA_CHUNK - 1)) >> HA_BLOCK_SHIFT);
}

static inline struct ha_block *ha_block_at(struct ha_chunk *chunk, unsigned index)
{
    return (struct ha_block *)((uintptr_t)chunk + index * sizeof(struct ha_block));
}

/* The header of the block that the address lies in. */
static inline struct ha_block *ha_block_of(uintptr_t p)
{
    return (struct ha_block *)(ha_chunk_base(p) +
                               ((p & (HA_CHUNK - 1)) >> HA_BLOCK_SHIFT) * sizeof(struct ha_block));
}

static inline unsigned ha_block_number(const struct ha_block *block)
{
    return (unsigned)(((uintptr_t)block & (HA_CHUNK - 1)) / sizeof(struct ha_block));
}

/* First byte of the block's memory. */
static inline char *ha_block_start(const struct ha_block *block)
{
    return (char *)(ha_chunk_base((uintptr_t)block) +
                    ((uintptr_t)ha_block_number(block) << HA_BLOCK_SHIFT));
}

/* The metadata bytes of the block. */
static inline uint8_t *ha_block_meta(const struct ha_block *block)
{
    return (uint8_t *)(ha_chunk_base((uintptr_t)block) +
                       ((uintptr_t)ha_block_number(block) << (HA_BLOCK_SHIFT - 4)));
}

/* The metadata byte of the granule at p. */
static inline uint8_t *ha_meta_of(uintptr_t p)
{
    return (uint8_t *)(ha_chunk_base(p) + ((p & (HA_CHUNK - 1)) >> 4));
}

/* Header address of the cell whose object is at `granule`. */
static inline char *ha_cell_at(const struct ha_block *block, unsigned granule)
{
    return ha_block_start(block) + (size_t)granule * HEARTH_GRANULE - HEARTH_HEADER;
}

static inline uint8_t ha_mark_load(const uint8_t *meta)
{
    return __atomic_load_n(meta, __ATOMIC_RELAXED);
}

/* Object of cell i. */
static inline uintptr_t ha_object_at(const struct ha_block *block, unsigned i)
{
    return (uintptr_t)ha_block_start(block) + HEARTH_GRANULE + (size_t)i * block->cell;
}

/* Set up `count` fresh (zero) block headers of a new chunk; all are COLD. */
void ha_chunk_format(struct ha_chunk *chunk, struct ha_pool *pool, size_t span);

/* Make a free block one of cells. `run` = class * 2 + kind. */
void ha_block_format(struct ha_block *block, const struct ha_classes *classes, unsigned run);

/* Payload bytes of the object's cell, or of a large object. */
size_t ha_object_capacity(uintptr_t object);

/* Invariants of one block with cells, for the verifier (world stopped). Message through ht_fail. */
hearth_status ha_block_check(const struct ha_block *block);

#endif
