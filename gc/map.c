/* gc/map.c - the heap as a map: every chunk and block, what is in it, how old it is and where its pages lie.
 *
 * A text of lines, which hearth-heapmap draws (docs/observability.md has the format). Blocks are judged by their
 * metadata; no object is touched, and asking for residency (move_pages as a question) faults nothing in. World
 * stopped, heap->lock held. */
#include <string.h>

#include "gc/inspect.h"
#include "gc/writer.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_MAP_PAGES = HA_CHUNK / 4096, HG_MAP_PAGE = 4096 };

struct hg_map {
    hearth_heap *heap;
    struct hg_writer writer;
    bool unknown; /* the kernel does not tell where pages are */
    void *page[HG_MAP_PAGES];
    int status[HG_MAP_PAGES];
};

static void hg_map_field(struct hg_map *map, const char *name, uint64_t value)
{
    hg_write_text(&map->writer, " ");
    hg_write_text(&map->writer, name);
    hg_write_text(&map->writer, " ");
    hg_write_number(&map->writer, value);
}

/* " pages WHERE COUNT": the system's node of the resident pages, '-' if there are none, '*' if they lie on
 * several, '?' if the kernel does not tell; and how many are resident. */
static void hg_map_pages(struct hg_map *map, uintptr_t address, size_t bytes)
{
    size_t count = bytes / HG_MAP_PAGE, resident = 0;
    int where = -1;
    bool mixed = false;
    for (size_t i = 0; i < count; i++)
        map->page[i] = (void *)(address + i * HG_MAP_PAGE);
    if (!map->unknown && !ht_os_residency(map->page, map->status, count))
        map->unknown = true;
    for (size_t i = 0; i < count && !map->unknown; i++) {
        if (map->status[i] < 0)
            continue;
        mixed |= resident++ > 0 && map->status[i] != where;
        where = map->status[i];
    }
    hg_write_text(&map->writer, " pages ");
    if (map->unknown || resident == 0 || mixed)
        hg_write_text(&map->writer, map->unknown ? "?" : resident == 0 ? "-" : "*");
    else
        hg_write_number(&map->writer, (uint64_t)where);
    hg_write_text(&map->writer, " ");
    hg_write_number(&map->writer, resident);
    hg_write_text(&map->writer, "\n");
}

/* Objects by age: young, survived once, old, frozen. */
static void hg_map_ages(struct hg_map *map, const struct ha_block *block)
{
    uint64_t age[4] = {0};
    unsigned i = 0;
    for (uintptr_t object; (object = hg_block_next(block, &i)) != 0;)
        age[hg_generation(map->heap, object)]++;
    hg_map_field(map, "young", age[0]);
    hg_map_field(map, "middle", age[1]);
    hg_map_field(map, "old", age[2]);
    hg_map_field(map, "frozen", age[3]);
}

static void hg_map_large(struct hg_map *map, const struct ha_block *block)
{
    hg_write_text(&map->writer, block->kind == HA_LEAF ? " large leaf" : " large scan");
    hg_map_field(map, "blocks", ha_large_blocks(block->size));
    hg_map_field(map, "size", block->size);
    hg_map_field(map, "age", (uint64_t)hg_generation(map->heap, ha_large_object(block)));
}

/* "block INDEX ..." and its line's end. */
static void hg_map_block(struct hg_map *map, const struct ha_block *block, unsigned index)
{
    static const char *const state[] = {" none",  " free",  " cold",  " small",
                                        " small", " small", " large", " tail"};
    hg_write_text(&map->writer, "block ");
    hg_write_number(&map->writer, index);
    if (block->state == HA_LARGE) {
        hg_map_large(map, block);
    } else {
        hg_write_text(&map->writer, state[block->state]);
        if (hg_block_has_cells(block)) {
            hg_write_text(&map->writer, block->kind == HA_LEAF ? " leaf" : " scan");
            hg_map_field(map, "cell", block->cell);
            hg_map_field(map, "cells", block->cells);
            hg_map_ages(map, block);
        }
    }
    hg_map_pages(map, (uintptr_t)ha_block_start(block), HA_BLOCK);
}

static void hg_map_chunk(struct hg_map *map, struct ha_chunk *chunk)
{
    hg_write_text(&map->writer, "chunk ");
    hg_write_number(&map->writer, (uintptr_t)chunk);
    hg_map_pages(map, (uintptr_t)chunk, HA_HEAD_BLOCKS * (size_t)HA_BLOCK);
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        hg_map_block(map, ha_block_at(chunk, i), i);
}

/* Large objects with chunks of their own: "span ADDRESS large ...", then the pages of each 4 MiB. */
static void hg_map_spans(struct hg_map *map, const struct ha_list *list)
{
    for (const struct ha_block *block = list->head; block != NULL; block = block->next) {
        if (!block->span)
            continue;
        struct ha_chunk *chunk = ha_chunk_of(block);
        hg_write_text(&map->writer, "span ");
        hg_write_number(&map->writer, (uintptr_t)chunk);
        hg_map_large(map, block);
        hg_map_field(map, "chunks", chunk->span);
        hg_write_text(&map->writer, "\n");
        for (size_t i = 0; i < chunk->span; i++) {
            hg_write_text(&map->writer, "part ");
            hg_write_number(&map->writer, i);
            hg_map_pages(map, (uintptr_t)chunk + i * HA_CHUNK, HA_CHUNK);
        }
    }
}

static hearth_status hg_map_take(hearth_heap *heap, hearth_write_fn *fn, void *data,
                                 const char *call)
{
    struct hg_map *map = ht_os_alloc(sizeof *map);
    if (map == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for %zu bytes", call, sizeof *map);
    map->heap = heap;
    hg_writer_init(&map->writer, fn, data);
    hg_write_text(&map->writer, "hearth-heap-map 1\n");
    for (int n = 0; n < heap->space.nodes; n++) {
        const struct ha_pool *pool = heap->space.pool[n];
        hg_write_text(&map->writer, "node ");
        hg_write_number(&map->writer, (uint64_t)n);
        hg_map_field(map, "system", (uint64_t)heap->topology->node[n].os_node);
        hg_map_field(map, "live", pool->live_bytes);
        hg_map_field(map, "blocks", pool->used);
        hg_write_text(&map->writer, "\n");
        for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
            hg_map_chunk(map, chunk);
        hg_map_spans(map, &pool->large_young);
        hg_map_spans(map, &pool->large_old);
    }
    hg_write_text(&map->writer, "end\n");
    bool written = hg_writer_flush(&map->writer);
    ht_os_free(map);
    return written ? HEARTH_OK : ht_fail(HEARTH_ESYSTEM, "%s: the function gave up", call);
}

hearth_status hearth_heap_map(hearth_mutator *mutator, hearth_write_fn *fn, void *data)
{
    const char *call = "hearth_heap_map";
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: fn is NULL", call);
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_map_take(mutator->heap, fn, data, call);
    hg_inspect_end(mutator);
    return status;
}

hearth_status hearth_heap_map_file(hearth_mutator *mutator, const char *path)
{
    return hg_text_to_file(mutator, path, hearth_heap_map, "hearth_heap_map_file");
}
