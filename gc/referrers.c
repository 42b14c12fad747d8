/* gc/referrers.c - who refers to these objects: a search of the whole heap, on several threads.
 *
 * Nothing is followed and nothing is marked: blocks with references are read from end to end, in the order
 * of memory, which the processor's prefetchers like better than tracing. What is looked for is a
 * range of addresses first, a hash set behind it. Chunks and large objects are items of work that are
 * taken by an atomic counter per node, a worker's own node first; every worker has a list of its own
 * for what it finds. World stopped, heap->lock held; no other lock. */
#include <string.h>

#include "gc/crew.h"
#include "gc/inspect.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_SEEK_ALONE = 128 }; /* blocks below which helpers are not worth calling: 8 MiB */

/* The objects that are looked for. */
struct hg_targets {
    uintptr_t low, span; /* all lie in [low, low + span]                  */
    uintptr_t *set;      /* open addressing, 0 empty; NULL: only `low`    */
    size_t mask;         /* places - 1                                    */
};

struct hg_seek_question {
    void *const *objects;
    size_t count;
    const char *call;
};

struct hg_seek {
    hearth_heap *heap;
    struct hg_targets targets;
    uintptr_t *item;                /* chunks, and blocks of large objects with bit 0      */
    size_t first[HT_MAX_NODES + 1]; /* items of a node begin here                          */
    size_t next[HT_MAX_NODES];      /* the one to be taken (atomic)                        */
    int node;                       /* the looking thread's                                */
    struct hg_list found[HG_CREW_MAX];
};

/* Callback tiers. */
struct hg_seek_visitor {
    hearth_visitor visitor; /* first */
    const struct hg_targets *targets;
    bool hit;
};

static inline size_t hg_target_hash(uintptr_t object)
{
    return (size_t)((object >> 4) * 0x9e3779b97f4a7c15u >> 24);
}

static inline bool hg_is_target(const struct hg_targets *targets, uintptr_t object)
{
    if (__builtin_expect(object - targets->low > targets->span, 1))
        return false;
    if (targets->set == NULL)
        return true;
    for (size_t at = hg_target_hash(object);; at++) {
        uintptr_t held = targets->set[at & targets->mask];
        if (held == object || held == 0)
            return held != 0;
    }
}

static hearth_status hg_targets_fill(struct hg_targets *targets, void *const *objects, size_t count,
                                     const char *call)
{
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (size_t i = 0; i < count; i++) {
        uintptr_t object = (uintptr_t)objects[i];
        low = object < low ? object : low;
        high = object > high ? object : high;
    }
    *targets = (struct hg_targets){low, high - low, NULL, 0};
    if (low == high)
        return HEARTH_OK;
    size_t places = 64;
    while (places < count * 2)
        places *= 2;
    targets->mask = places - 1;
    targets->set = ht_os_alloc(places * sizeof *targets->set);
    if (targets->set == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a set of %zu objects", call, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = hg_target_hash((uintptr_t)objects[i]) & targets->mask;
        while (targets->set[at] != 0 && targets->set[at] != (uintptr_t)objects[i])
            at = (at + 1) & targets->mask;
        targets->set[at] = (uintptr_t)objects[i];
    }
    return HEARTH_OK;
}

static void hg_seek_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_seek_visitor *seek = (struct hg_seek_visitor *)visitor;
    seek->hit |= hg_is_target(seek->targets, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED));
}

static __attribute__((noinline)) bool hg_seek_callback(const struct hg_seek *seek, uintptr_t object)
{
    struct hg_seek_visitor visitor = {{hg_seek_slot}, &seek->targets, false};
    hg_visit_object(seek->heap, object, &visitor.visitor);
    return visitor.hit;
}

#define HG_SEEK(slot) (hit |= hg_is_target(targets, (uintptr_t) * (slot)))

/* Does the object refer to a target? */
static inline bool hg_seek_object(const struct hg_seek *seek, uintptr_t object)
{
    const struct hg_targets *targets = &seek->targets;
    uint64_t header = hg_header_load(object);
    const struct hg_type *type = &seek->heap->types.row[hg_header_type(header)];
    bool hit = false;
    if (__builtin_expect(type->tier >= HG_TIER_CALLBACK, 0))
        return hg_seek_callback(seek, object);
    HG_EACH_FIXED(object, type, HG_SEEK);
    if (type->element_bitmap != 0)
        HG_EACH_ELEMENT(object, type, 0, hg_object_count(object, header, type), HG_SEEK);
    return hit;
}

static void hg_seek_chunk(const struct hg_seek *seek, struct ha_chunk *chunk, struct hg_list *found)
{
    for (unsigned b = HA_HEAD_BLOCKS; b < HA_CHUNK_BLOCKS; b++) {
        const struct ha_block *block = ha_block_at(chunk, b);
        uintptr_t object;
        unsigned i = 0;
        if (!hg_block_has_cells(block) || block->kind == HA_LEAF)
            continue;
        while ((object = hg_block_next(block, &i)) != 0)
            if (hg_seek_object(seek, object))
                hg_list_add(found, object);
    }
}

static void hg_seek_node(struct hg_seek *seek, int node, struct hg_list *found)
{
    for (;;) {
        size_t i = __atomic_fetch_add(&seek->next[node], 1, __ATOMIC_RELAXED);
        if (i >= seek->first[node + 1])
            return;
        uintptr_t item = seek->item[i];
        uintptr_t large = ha_large_object((const struct ha_block *)(item & ~(uintptr_t)1));
        if (!(item & 1))
            hg_seek_chunk(seek, (struct ha_chunk *)item, found);
        else if (hg_seek_object(seek, large))
            hg_list_add(found, large);
    }
}

/* A worker's part: its own node's items, then those of the others, nearest first. */
static void hg_seek_help(void *data, int number)
{
    struct hg_seek *seek = data;
    hearth_heap *heap = seek->heap;
    int home = number == 0 ? seek->node : hg_crew_node(heap->crew, number);
    for (int i = 0; i < heap->space.nodes; i++)
        hg_seek_node(seek, heap->topology->node[home].order[i], &seek->found[number]);
}

static size_t hg_seek_large(uintptr_t *item, size_t count, const struct ha_list *list)
{
    for (struct ha_block *block = list->head; block != NULL; block = block->next)
        if (block->kind != HA_LEAF) {
            if (item != NULL)
                item[count] = (uintptr_t)block | 1;
            count++;
        }
    return count;
}

/* List the items of work, or (NULL) count them. */
static size_t hg_seek_items(struct hg_seek *seek, uintptr_t *item)
{
    size_t count = 0;
    for (int n = 0; n < seek->heap->space.nodes; n++) {
        struct ha_pool *pool = seek->heap->space.pool[n];
        seek->first[n] = seek->next[n] = count;
        for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next, count++)
            if (item != NULL)
                item[count] = (uintptr_t)chunk;
        count = hg_seek_large(item, count, &pool->large_young);
        count = hg_seek_large(item, count, &pool->large_old);
    }
    seek->first[seek->heap->space.nodes] = count;
    return count;
}

static hearth_status hg_seek_prepare(struct hg_seek *seek, const struct hg_seek_question *q)
{
    hearth_heap *heap = seek->heap;
    hearth_status status = hg_inspect_objects(heap, q->objects, q->count, q->call);
    if (status == HEARTH_OK)
        status = hg_targets_fill(&seek->targets, q->objects, q->count, q->call);
    if (status != HEARTH_OK)
        return status;
    size_t items = hg_seek_items(seek, NULL);
    seek->item = ht_os_alloc((items + 1) * sizeof *seek->item);
    if (seek->item == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a list of %zu chunks", q->call, items);
    hg_seek_items(seek, seek->item);
    seek->node = heap->space.nodes > 1 ? ht_topology_here(heap->topology) : 0;
    return HEARTH_OK;
}

static void hg_seek_run(struct hg_seek *seek)
{
    hearth_heap *heap = seek->heap;
    hg_crew_open(heap->crew, hg_seek_help, seek);
    if (heap->options.help_after == 0 || heap->space.used > HG_SEEK_ALONE)
        hg_crew_call(heap->crew, HG_CREW_MAX);
    hg_seek_help(seek, 0);
    hg_crew_close(heap->crew);
}

static void hg_seek_gather(struct hg_seek *seek, struct hg_list *found)
{
    for (int w = 0; w < HG_CREW_MAX; w++) {
        for (size_t i = 0; i < seek->found[w].count; i++)
            hg_list_add(found, seek->found[w].at[i]);
        found->failed |= seek->found[w].failed;
        hg_list_free(&seek->found[w]);
    }
}

static hearth_status hg_referrers_search(hearth_heap *heap, void *question, struct hg_list *found)
{
    const struct hg_seek_question *q = question;
    if (q->count == 0)
        return HEARTH_OK;
    struct hg_seek *seek = ht_os_alloc(sizeof *seek);
    if (seek == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a search", q->call);
    seek->heap = heap;
    hearth_status status = hg_seek_prepare(seek, q);
    if (status == HEARTH_OK) {
        hg_seek_run(seek);
        hg_seek_gather(seek, found);
    }
    ht_os_free(seek->targets.set);
    ht_os_free(seek->item);
    ht_os_free(seek);
    return status;
}

hearth_status hearth_gc_get_referrers(hearth_mutator *mutator, void *const *objects, size_t count,
                                      hearth_object_fn *fn, void *data)
{
    struct hg_seek_question question = {objects, count, "hearth_gc_get_referrers"};
    hearth_status status = hg_inspect_given(objects, count, question.call);
    if (status != HEARTH_OK)
        return status;
    return hg_search(mutator, hg_referrers_search, &question, fn, data, question.call);
}

void *hearth_gc_get_referrers_array(hearth_mutator *mutator, void *const *objects, size_t count,
                                    hearth_type array)
{
    struct hg_seek_question question = {objects, count, "hearth_gc_get_referrers_array"};
    if (hg_inspect_given(objects, count, question.call) != HEARTH_OK)
        return NULL;
    return hg_search_array(mutator, hg_referrers_search, &question, array, question.call);
}
