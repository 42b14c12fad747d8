/* gc/census.c - objects and bytes by type and node, and what changed between two such counts.
 *
 * A census is plain memory of its own in two pieces, rows and names; it points to nothing in the heap.
 * Invariant (hg_census_check): rows are in order, most bytes first; `all` of a row is the sum of its
 * nodes. Counting holds the world (hg_inspect_begin) and reads headers of all objects. */
#include "gc/census.h"

#include <stdlib.h>
#include <string.h>

#include "gc/inspect.h"
#include "topology/error.h"
#include "topology/os.h"

struct hearth_census {
    const void *heap; /* for comparison only                               */
    int nodes;
    size_t rows;
    hearth_census_row *row;
    hearth_count *count;       /* nodes for each row                                */
    char (*name)[HG_NAME_MAX]; /* one for each row                                  */
};

/* --- making one ----------------------------------------------------------------------------------------- */

static hearth_census *hg_census_new(const void *heap, int nodes, size_t rows)
{
    hearth_census *census = ht_os_alloc(sizeof *census);
    if (census == NULL)
        return NULL;
    census->heap = heap;
    census->nodes = nodes;
    census->row = ht_os_alloc((rows + 1) * sizeof *census->row);
    census->count = ht_os_alloc((rows * (size_t)nodes + 1) * sizeof *census->count);
    census->name = ht_os_alloc((rows + 1) * sizeof *census->name);
    if (census->row == NULL || census->count == NULL || census->name == NULL) {
        hearth_census_destroy(census);
        return NULL;
    }
    return census;
}

void hearth_census_destroy(hearth_census *census)
{
    if (census == NULL)
        return;
    ht_os_free(census->row);
    ht_os_free(census->count);
    ht_os_free(census->name);
    ht_os_free(census);
}

static int hg_row_order(const void *a, const void *b)
{
    const hearth_census_row *x = a, *y = b;
    if (x->all.bytes != y->all.bytes)
        return x->all.bytes < y->all.bytes ? 1 : -1;
    if (x->all.objects != y->all.objects)
        return x->all.objects < y->all.objects ? 1 : -1;
    return x->type < y->type ? -1 : x->type > y->type;
}

/* Add a row whose counts are `count` of each node; the census has room. */
static void hg_census_add(hearth_census *census, hearth_type type, const char *name,
                          const hearth_count *count)
{
    hearth_count *mine = &census->count[census->rows * (size_t)census->nodes];
    char *text = census->name[census->rows];
    hearth_census_row *row = &census->row[census->rows++];
    *row =
        (hearth_census_row){.struct_size = sizeof *row, .type = type, .name = text, .node = mine};
    strncpy(text, name, HG_NAME_MAX - 1);
    for (int n = 0; n < census->nodes; n++) {
        mine[n] = count[n];
        row->all.objects += count[n].objects;
        row->all.bytes += count[n].bytes;
    }
}

static void hg_census_sort(hearth_census *census)
{
    qsort(census->row, census->rows, sizeof *census->row, hg_row_order);
}

/* --- counting ------------------------------------------------------------------------------------------------ */

struct hg_counter {
    hearth_heap *heap;
    hearth_count *count; /* by type and node                     */
    size_t types;        /* rows of the table of types at the stop */
};

static void hg_count_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_counter *counter = data;
    (void)mark;
    size_t type = hg_header_type(hg_header_load(object));
    int node = ha_node_of(counter->heap->space.windows, object);
    hearth_count *count = &counter->count[type * (size_t)counter->heap->space.nodes + (size_t)node];
    count->objects++;
    count->bytes += (int64_t)hg_footprint(object);
}

/* How many types have objects. */
static size_t hg_counted_types(const struct hg_counter *counter)
{
    size_t nodes = (size_t)counter->heap->space.nodes, rows = 0;
    for (size_t type = 0; type < counter->types; type++) {
        bool any = false;
        for (size_t n = 0; n < nodes; n++)
            any = any || counter->count[type * nodes + n].objects != 0;
        rows += any;
    }
    return rows;
}

static hearth_status hg_census_count(hearth_heap *heap, hearth_census **out)
{
    struct hg_counter counter = {.heap = heap,
                                 .types = __atomic_load_n(&heap->types.count, __ATOMIC_ACQUIRE)};
    size_t nodes = (size_t)heap->space.nodes;
    counter.count = ht_os_alloc((counter.types + 1) * nodes * sizeof *counter.count);
    hearth_census *census = NULL;
    if (counter.count != NULL) {
        hg_walk_allocated(heap, hg_count_object, &counter);
        census = hg_census_new(heap, heap->space.nodes, hg_counted_types(&counter));
    }
    for (size_t type = 0; census != NULL && type < counter.types; type++) {
        const hearth_count *count = &counter.count[type * nodes];
        const struct hg_type *row = &heap->types.row[type];
        bool any = false;
        for (size_t n = 0; n < nodes; n++)
            any = any || count[n].objects != 0;
        if (any)
            hg_census_add(census, row->handle, row->name != NULL ? row->name : "", count);
    }
    ht_os_free(counter.count);
    if (census == NULL)
        return ht_fail(HEARTH_ENOMEM, "hearth_census_take: no memory to count %zu types",
                       counter.types);
    hg_census_sort(census);
    *out = census;
    return HEARTH_OK;
}

hearth_status hearth_census_take(hearth_mutator *mutator, hearth_census **out)
{
    if (out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_census_take: out is NULL");
    hearth_status status = hg_inspect_begin(mutator, "hearth_census_take");
    if (status != HEARTH_OK)
        return status;
    status = hg_census_count(mutator->heap, out);
    hg_inspect_end(mutator);
    return status;
}

/* --- differences --------------------------------------------------------------------------------------------- */

static const hearth_census_row *hg_census_find(const hearth_census *census, hearth_type type)
{
    for (size_t i = 0; i < census->rows; i++)
        if (census->row[i].type == type)
            return &census->row[i];
    return NULL;
}

/* `row` of one of them, and the row of the same type in the other, if it has one. */
static void hg_census_subtract(hearth_census *to, const hearth_census_row *before,
                               const hearth_census_row *after)
{
    const hearth_census_row *one = after != NULL ? after : before;
    hearth_count count[HT_MAX_NODES];
    bool changed = false;
    for (int n = 0; n < to->nodes; n++) {
        const hearth_count zero = {0, 0};
        hearth_count a = after != NULL ? after->node[n] : zero;
        hearth_count b = before != NULL ? before->node[n] : zero;
        count[n] = (hearth_count){a.objects - b.objects, a.bytes - b.bytes};
        changed = changed || count[n].objects != 0 || count[n].bytes != 0;
    }
    if (changed)
        hg_census_add(to, one->type, one->name, count);
}

hearth_status hearth_census_diff(const hearth_census *before, const hearth_census *after,
                                 hearth_census **out)
{
    if (before == NULL || after == NULL || out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_census_diff: %s is NULL",
                       before == NULL  ? "before"
                       : after == NULL ? "after"
                                       : "out");
    if (before->heap != after->heap || before->nodes != after->nodes)
        return ht_fail(HEARTH_EINVAL, "hearth_census_diff: %p and %p are of different heaps",
                       (const void *)before, (const void *)after);
    hearth_census *diff = hg_census_new(after->heap, after->nodes, before->rows + after->rows);
    if (diff == NULL)
        return ht_fail(HEARTH_ENOMEM, "hearth_census_diff: no memory for %zu rows",
                       before->rows + after->rows);
    for (size_t i = 0; i < after->rows; i++)
        hg_census_subtract(diff, hg_census_find(before, after->row[i].type), &after->row[i]);
    for (size_t i = 0; i < before->rows; i++)
        if (hg_census_find(after, before->row[i].type) == NULL)
            hg_census_subtract(diff, &before->row[i], NULL);
    hg_census_sort(diff);
    *out = diff;
    return HEARTH_OK;
}

/* --- reading -------------------------------------------------------------------------------------------------- */

size_t hearth_census_rows(const hearth_census *census)
{
    return census != NULL ? census->rows : 0;
}

int hearth_census_nodes(const hearth_census *census)
{
    return census != NULL ? census->nodes : 0;
}

hearth_count hearth_census_total(const hearth_census *census)
{
    hearth_count total = {0, 0};
    for (size_t i = 0; i < hearth_census_rows(census); i++) {
        total.objects += census->row[i].all.objects;
        total.bytes += census->row[i].all.bytes;
    }
    return total;
}

const hearth_census_row *hearth_census_row_at(const hearth_census *census, size_t index)
{
    return index < hearth_census_rows(census) ? &census->row[index] : NULL;
}

hearth_status hg_census_check(const hearth_census *census)
{
    for (size_t i = 0; i < census->rows; i++) {
        const hearth_census_row *row = &census->row[i];
        hearth_count sum = {0, 0};
        for (int n = 0; n < census->nodes; n++) {
            sum.objects += row->node[n].objects;
            sum.bytes += row->node[n].bytes;
        }
        if (sum.objects != row->all.objects || sum.bytes != row->all.bytes)
            return ht_fail(HEARTH_ECORRUPT, "census: type %s is not the sum of its nodes",
                           row->name);
        if (i > 0 && hg_row_order(&census->row[i - 1], row) >= 0)
            return ht_fail(HEARTH_ECORRUPT, "census: type %s is out of order", row->name);
    }
    return HEARTH_OK;
}
