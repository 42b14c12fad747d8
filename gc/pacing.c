/* gc/pacing.c - when to collect and how much the heap may hold.
 *
 * Two budgets: bytes of nursery until a minor collection, and blocks until a full one. The nursery follows
 * survival: if more than half of it survives it doubles (high survival makes generations pure
 * loss), and when it has outgrown the free memory the next collection is full. Where a minor collection
 * would cost as much as a full one, there are only full ones (hg_whole_adapt). Full collections
 * set the block budget to live * growth, or to what MemBalancer says (balance.h), never above the limit.
 * External memory counts as live, and what it grows by is taken off the budget (external.c). Above the
 * soft limit there is little room: an eighth of what is live. World stopped or heap->lock. */
#include "gc/heap.h"

#include "topology/error.h"
#include "topology/os.h"

enum {
    HG_NURSERY_DEFAULT = 8 << 20, /* when the L2 size is unknown                            */
    HG_NURSERY_SMALL = 4 << 20,   /* 4 x L2 is taken for at least this much                   */
    HG_NURSERY_MIN = 256 << 10,
    HG_NURSERY_MAX = 64 << 20,
    HG_RESERVE_MIN = 64,    /* blocks: so many size classes there are                    */
    HG_WHOLE_MIN = 1 << 20, /* survivors below which it is not asked if minors pay    */
    HG_SOFT_SHARE = 8 /* room there is always, also above the soft limit: an 8th of what lives */
};

#define HG_NURSERY_UNBOUNDED (SIZE_MAX / 2)

static size_t hg_blocks(size_t bytes)
{
    return (bytes + HA_BLOCK - 1) >> HA_BLOCK_SHIFT;
}

/* The nursery before adaptation: per mutator, at most a third of the budget. */
static size_t hg_nursery_base(const hearth_heap *heap)
{
    size_t mutators = heap->mutator_count > 1 ? (size_t)heap->mutator_count : 1;
    size_t third = (heap->space.budget << HA_BLOCK_SHIFT) / 3;
    size_t base = heap->pacing.base_nursery * mutators;
    if (base > third)
        base = third;
    return base < HG_NURSERY_MIN ? HG_NURSERY_MIN : base;
}

/* What mutators see: the nursery, or no bound when only the budget of blocks is to make it collect. */
static void hg_nursery_set(hearth_heap *heap)
{
    bool unbounded = !heap->options.generational || heap->pacing.whole || hg_threshold_on(heap);
    size_t nursery = unbounded ? HG_NURSERY_UNBOUNDED : heap->pacing.nursery;
    __atomic_store_n(&heap->space.nursery, nursery, __ATOMIC_RELAXED);
    /* Free blocks for the young, of all the size classes that they may have. */
    size_t reserve = hg_blocks(2 * heap->pacing.nursery), quarter = heap->space.budget / 4;
    reserve = reserve < HG_RESERVE_MIN ? HG_RESERVE_MIN : reserve;
    __atomic_store_n(&heap->space.reserve, reserve < quarter ? reserve : quarter, __ATOMIC_RELAXED);
}

/* A synthetic machine's memory does not exist. */
size_t hg_default_limit(const struct hearth_topology *topology, uint64_t physical)
{
    uint64_t memory = 0;
    for (int n = 0; n < topology->nodes && !topology->synthetic; n++)
        memory += topology->node[n].memory;
    return (size_t)((memory != 0 && memory < physical ? memory : physical) / 4 * 3);
}

/* The kernel slows down a group above its memory.high. */
static size_t hg_default_soft_limit(void)
{
    return (size_t)(ht_quota_memory_high(ht_groups.root, ht_groups.self) / 4 * 3);
}

void hg_pacing_init(hearth_heap *heap)
{
    const struct hearth_options *options = &heap->options;
    struct hg_pacing *pacing = &heap->pacing;
    size_t limit = options->heap_limit;
    if (limit == 0)
        limit = hg_default_limit(heap->topology, ht_os_physical_memory());
    size_t nursery = options->nursery;
    if (nursery == 0) {
        nursery = heap->topology->l2_bytes != 0 ? 4 * heap->topology->l2_bytes : HG_NURSERY_DEFAULT;
        nursery = nursery < HG_NURSERY_SMALL ? HG_NURSERY_SMALL : nursery;
        nursery = nursery > HG_NURSERY_MAX ? HG_NURSERY_MAX : nursery;
    }
    pacing->base_nursery = nursery;
    pacing->enabled = true;
    heap->space.limit = hg_blocks(limit);
    pacing->soft_limit = options->soft_limit != 0 ? options->soft_limit : hg_default_soft_limit();
    pacing->min_budget = hg_blocks(options->heap_min != 0 ? options->heap_min : 4 * nursery);
    if (pacing->min_budget > heap->space.limit)
        pacing->min_budget = heap->space.limit;
    /* Nobody knows yet which size classes will need room. */
    pacing->uneven = true;
    size_t first = heap->space.limit - heap->space.limit / 4;
    heap->space.budget = pacing->min_budget < first ? pacing->min_budget : first;
    pacing->nursery = hg_nursery_base(heap);
    hg_nursery_set(heap);
}

void hg_pacing_scale(hearth_heap *heap)
{
    size_t base = hg_nursery_base(heap);
    if (heap->pacing.nursery < base || !heap->options.nursery_adaptive)
        heap->pacing.nursery = base;
    hg_nursery_set(heap);
    hg_observe_paced(heap);
}

hearth_gc_kind hg_pacing_kind(const hearth_heap *heap)
{
    bool full = !heap->options.generational || heap->pacing.full_next || heap->pacing.whole ||
                __atomic_load_n(&heap->pacing.lost, __ATOMIC_RELAXED) != 0;
    return full ? HEARTH_GC_FULL : HEARTH_GC_MINOR;
}

bool hg_pacing_stretch(hearth_heap *heap, size_t blocks)
{
    bool stretched = false;
    pthread_mutex_lock(&heap->lock);
    size_t budget = heap->space.budget, limit = heap->space.limit;
    size_t wanted = budget + budget / 8,
           used = __atomic_load_n(&heap->space.used, __ATOMIC_RELAXED);
    if (wanted < used + blocks)
        wanted = used + blocks;
    if (wanted > limit)
        wanted = limit;
    if (wanted > budget) {
        __atomic_store_n(&heap->space.budget, wanted, __ATOMIC_RELAXED);
        stretched = true;
        hg_observe_paced(heap);
    }
    pthread_mutex_unlock(&heap->lock);
    return stretched;
}

/* Bytes that heap and external memory may grow by before the next full collection, `live` in both. */
static double hg_room(const hearth_heap *heap, double live)
{
    const struct hg_pacing *pacing = &heap->pacing;
    double room = live * (heap->options.growth - 1);
    if (heap->options.pacing == HT_PACING_MEMBALANCER) {
        double c = heap->options.balance / 100 / (1 << 20);
        double extra = hg_balance_extra(&pacing->balance, live, c);
        if (extra >= 0)
            room = extra + (double)pacing->base_nursery;
    }
    double soft = (double)__atomic_load_n(&pacing->soft_limit, __ATOMIC_RELAXED);
    double least = live / HG_SOFT_SHARE;
    if (soft > 0 && live + room > soft) {
        double left = soft > live + least ? soft - live : least;
        room = left < room ? left : room;
    }
    return room;
}

/* Blocks that a full collection may hand out. Where holes of some size classes stay empty while others want room, the last
 * eighth of the limit is kept for these, block by block (hg_pacing_stretch): once all blocks are full of holes, a
 * class that has too few of them can have no more. */
static size_t hg_most_blocks(const hearth_heap *heap)
{
    size_t limit = heap->space.limit;
    return heap->pacing.uneven ? limit - limit / 8 : limit;
}

void hg_pacing_before(hearth_heap *heap, hearth_gc_reason reason)
{
    if (reason == HEARTH_REASON_BUDGET && heap->pacing.live_blocks != 0)
        heap->pacing.uneven =
            ha_space_partial_bytes(&heap->space) >> HA_BLOCK_SHIFT > heap->space.budget / 8;
    if (!heap->pacing.uneven)
        heap->space.borrows = false;
}

/* Room for a heap that held so much after the last full collection: by what lives, not by the blocks that hold it. Else
 * a heap full of holes would get room for as many again each time. But some room above the blocks there must be. */
static void hg_budget_set(hearth_heap *heap, size_t used, uint64_t live_bytes, size_t external)
{
    struct hg_pacing *pacing = &heap->pacing;
    struct ha_space *space = &heap->space;
    double live = (double)live_bytes + (double)external;
    double wanted = ((double)live_bytes + hg_room(heap, live)) / HA_BLOCK;
    double floor = (double)used + live / HG_SOFT_SHARE / HA_BLOCK;
    size_t most = hg_most_blocks(heap), least = pacing->min_budget;
    least = least < most ? least : most;
    wanted = wanted < (double)most ? wanted : (double)most;
    wanted = wanted < floor ? floor : wanted;
    size_t budget = wanted < (double)space->limit ? (size_t)wanted : space->limit;
    size_t soft = __atomic_load_n(&pacing->soft_limit, __ATOMIC_RELAXED) >> HA_BLOCK_SHIFT;
    if (soft != 0 && soft < least && heap->options.heap_min == 0)
        least = soft;
    if (budget < least)
        budget = least;
    if (budget < space->used)
        budget = space->used;
    __atomic_store_n(&space->budget, budget, __ATOMIC_RELAXED);
}

/* After a full collection. */
static void hg_budget_after_full(hearth_heap *heap, uint64_t live_bytes)
{
    size_t used = heap->space.used, external = hg_external_after(heap);
    size_t soft = __atomic_load_n(&heap->pacing.soft_limit, __ATOMIC_RELAXED);
    heap->pacing.live_blocks = used;
    heap->pacing.full_live = live_bytes;
    hg_budget_set(heap, used, live_bytes, external);
    heap->pacing.free_blocks = heap->space.budget - used;
    hg_pressure_after(&heap->pressure, soft != 0 && (used << HA_BLOCK_SHIFT) + external > soft);
}

/* MemBalancer's two rates. A heap grows by what survives minor collections; before a full one by all that
 * was allocated since the one before. */
static void hg_balance_after(hearth_heap *heap, bool full, uint64_t allocated, uint64_t survived,
                             uint64_t live)
{
    struct hg_pacing *pacing = &heap->pacing;
    struct hg_balance *balance = &pacing->balance;
    uint64_t now = ht_os_now(), external = hearth_external_bytes(heap);
    uint64_t grown = external > pacing->grown ? external - pacing->grown : 0;
    if (balance->end_ns != 0)
        hg_balance_grown(balance, (double)((full ? allocated : survived) + grown),
                         (double)(pacing->begin_ns - balance->end_ns) / 1e9);
    if (full)
        hg_balance_traced(balance, (double)(live + external),
                          (double)(now - pacing->begin_ns) / 1e9);
    balance->end_ns = now;
    pacing->grown = external;
}

/* The nursery follows the share of it that survived. */
static void hg_nursery_adapt(hearth_heap *heap, double survival, size_t room)
{
    size_t nursery = heap->pacing.nursery, base = hg_nursery_base(heap);
    if (survival > 0.5 && nursery < heap->space.budget << HA_BLOCK_SHIFT)
        nursery *= 2;
    else if (survival < 0.25 && nursery > base)
        nursery /= 2;
    if (nursery < base)
        nursery = base;
    if (survival > 0.5 && nursery >= room)
        heap->pacing.full_next = true;
    heap->pacing.nursery = nursery;
}

/* Do minor collections pay? One that keeps half as much as lives in all costs about what a full one does,
 * and frees less: then the heap is collected whole, when its budget is used up, until little of
 * what is new survives again. */
static void hg_whole_adapt(hearth_heap *heap, bool full, uint64_t live, uint64_t survived)
{
    struct hg_pacing *pacing = &heap->pacing;
    if (full) {
        pacing->live_bytes = live;
        if (survived <= live / 4)
            pacing->whole = false;
    } else if (survived >= HG_WHOLE_MIN && survived >= pacing->live_bytes / 2) {
        pacing->whole = true;
    }
}

/* Should the collection after this minor one be full? `vacant`: bytes in whole blocks below the budget, which is what
 * the young need; `partial`: in the holes of blocks, which old objects of the same size class fill. */
static bool hg_full_pays(const hearth_heap *heap, const hearth_collection *collection,
                         uint64_t allocated, uint64_t survived, size_t vacant, size_t partial)
{
    const struct hg_pacing *pacing = &heap->pacing;
    size_t nursery = pacing->nursery;
    /* Little room is left. */
    if (vacant + partial / 2 < nursery / 2)
        return true;
    /* The holes are filled. What becomes old would take the whole blocks now, and never give them back, as no block of
     * many old objects empties: then the young would have to do with less and less. */
    if (vacant >> HA_BLOCK_SHIFT < heap->space.reserve && partial < 2 * survived &&
        pacing->promoted > pacing->live_bytes / 4)
        return true;
    /* What is left is of no use to the size class that was wanted. But where even the last full collection left few
     * whole blocks, minor ones that do nearly as well are cheaper. */
    if (collection->reason != HEARTH_REASON_BUDGET || allocated >= nursery / 2)
        return false;
    return allocated < HG_NURSERY_MIN || vacant >> HA_BLOCK_SHIFT < pacing->free_blocks / 2;
}

void hg_pacing_after(hearth_heap *heap, const hearth_collection *collection, uint64_t allocated,
                     uint64_t survived)
{
    struct ha_space *space = &heap->space;
    bool full = collection->kind == HEARTH_GC_FULL;
    bool balanced = heap->options.pacing == HT_PACING_MEMBALANCER;
    if (balanced)
        hg_balance_after(heap, full, allocated, survived, collection->live_bytes);
    if (balanced && !full && heap->pacing.live_blocks != 0) { /* an idle heap's room shrinks */
        hg_budget_set(heap, heap->pacing.live_blocks, heap->pacing.full_live, heap->external.base);
        heap->external.charged = 0; /* the next hearth_external_add takes it off again */
    }
    heap->pacing.promoted = full ? 0 : heap->pacing.promoted + survived;
    if (full) {
        heap->pacing.full_next = false;
        heap->pacing.lost = 0;
        hg_budget_after_full(heap, collection->live_bytes);
    }
    size_t vacant =
        space->budget > space->used ? (space->budget - space->used) << HA_BLOCK_SHIFT : 0;
    size_t partial = ha_space_partial_bytes(space);
    if (heap->options.nursery_adaptive && !full && allocated > HG_NURSERY_MIN)
        hg_nursery_adapt(heap, (double)survived / (double)allocated, vacant + partial);
    if (heap->options.nursery_adaptive && hg_threshold_on(heap))
        heap->pacing.whole = false; /* what is collected is the embedder's choice */
    else if (heap->options.nursery_adaptive)
        hg_whole_adapt(heap, full, collection->live_bytes, survived);
    if (!full && hg_full_pays(heap, collection, allocated, survived, vacant, partial))
        heap->pacing.full_next = true;
    if (heap->pacing.whole)
        heap->pacing.lost++; /* the next one is full: mutators need remember nothing until then */
    hg_nursery_set(heap);
    __atomic_store_n(&space->nursery_used, 0, __ATOMIC_RELAXED);
    hg_observe_paced(heap);
}
