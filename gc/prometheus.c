/* gc/prometheus.c - statistics as Prometheus' text format 0.0.4, which OpenMetrics scrapers read too.
 *
 * A family of metrics stands together with all its samples, so several heaps are written by one call. Names and
 * units follow Prometheus' advice: base units, _total for counters. All numbers of a heap come from one
 * hearth_get_stats. Lock: stats->lock while copying, none while the embedder's function runs. */
#include <stdio.h>
#include <string.h>

#include "gc/heap.h"
#include "gc/writer.h"
#include "topology/error.h"
#include "topology/os.h"

enum hg_unit { HG_PLAIN, HG_BLOCKS /* of 64 KiB, in bytes */ };

struct hg_metric {
    const char *name, *type, *help;
    size_t offset; /* of an uint64_t in the struct of statistics */
    enum hg_unit unit;
};

#define HG_HEAP(field, name, type, help)                                                           \
    {                                                                                              \
        name, type, help, offsetof(hearth_stats, field), HG_PLAIN                                  \
    }
#define HG_NODE(field, name, type, help, unit)                                                     \
    {                                                                                              \
        name, type, help, offsetof(hearth_node_stats, field), unit                                 \
    }

/* clang-format off */
static const struct hg_metric hg_heap_metric[] = {
    HG_HEAP(live_bytes, "hearth_heap_live_bytes", "gauge", "Bytes that the last collection found alive."),
    HG_HEAP(live_objects, "hearth_heap_live_objects", "gauge", "Objects that the last collection found alive."),
    HG_HEAP(heap_bytes, "hearth_heap_used_bytes", "gauge", "Bytes of blocks and large objects in use."),
    HG_HEAP(peak_heap_bytes, "hearth_heap_used_peak_bytes", "gauge", "The most that were in use."),
    HG_HEAP(budget_bytes, "hearth_heap_budget_bytes", "gauge", "Bytes it may use before a full collection."),
    HG_HEAP(limit_bytes, "hearth_heap_limit_bytes", "gauge", "Bytes it may use at most."),
    HG_HEAP(nursery_bytes, "hearth_heap_nursery_bytes", "gauge", "Bytes allocated between minor collections."),
    HG_HEAP(external_bytes, "hearth_heap_external_bytes", "gauge", "Bytes outside that objects hold."),
    HG_HEAP(allocated_bytes, "hearth_heap_allocated_bytes_total", "counter", "Bytes allocated ever."),
    HG_HEAP(allocated_objects, "hearth_heap_allocated_objects_total", "counter", "Objects allocated ever."),
    HG_HEAP(spilled_blocks, "hearth_heap_spilled_blocks_total", "counter", "Blocks of another node than wished."),
    HG_HEAP(finalizers, "hearth_finalizers", "gauge", "Objects with a finalizer that is not due."),
    HG_HEAP(finalizers_due, "hearth_finalizers_due", "gauge", "Finalizers and callbacks waiting to be run."),
    HG_HEAP(finalizers_run, "hearth_finalizers_run_total", "counter", "Finalizers and callbacks that ran."),
    HG_HEAP(finalizer_errors, "hearth_finalizer_errors_total", "counter", "Of them, those that failed."),
};

static const struct hg_metric hg_node_metric[] = {
    HG_NODE(live_bytes, "hearth_node_live_bytes", "gauge", "Live bytes in the node's memory.", HG_PLAIN),
    HG_NODE(blocks, "hearth_node_used_bytes", "gauge", "Bytes of blocks in use there.", HG_BLOCKS),
    HG_NODE(free_blocks, "hearth_node_free_bytes", "gauge", "Bytes of blocks kept free there.", HG_BLOCKS),
    HG_NODE(large_bytes, "hearth_node_large_bytes", "gauge", "Bytes of large objects there.", HG_PLAIN),
    HG_NODE(allocated_bytes, "hearth_node_allocated_bytes_total", "counter", "Bytes allocated there.", HG_PLAIN),
    HG_NODE(released_bytes, "hearth_node_released_bytes_total", "counter", "Bytes given back to the system.", HG_PLAIN),
    HG_NODE(spilled_in, "hearth_node_spilled_blocks_total", "counter", "Blocks given to threads of other nodes.", HG_PLAIN),
    HG_NODE(traced_local, "hearth_node_traced_local_total", "counter", "Objects traced by the node's own workers.", HG_PLAIN),
    HG_NODE(traced_remote, "hearth_node_traced_remote_total", "counter", "Objects traced by workers of other nodes.", HG_PLAIN),
    HG_NODE(received, "hearth_node_received_references_total", "counter", "References that other nodes sent.", HG_PLAIN),
};
/* clang-format on */

enum {
    HG_HEAP_METRICS = sizeof hg_heap_metric / sizeof *hg_heap_metric,
    HG_NODE_METRICS = sizeof hg_node_metric / sizeof *hg_node_metric,
    HG_LE_FIRST = 14, /* bounds of pauses: powers of two of nanoseconds, 16 us to 17 s */
    HG_LE_LAST = 34
};

/* What is written of one heap. */
struct hg_exposed {
    hearth_heap *heap;
    const char *name;
    int nodes;
    hearth_stats stats;
    struct hg_histogram pauses[2];
    hearth_node_stats node[HT_MAX_NODES];
};

static hearth_status hg_expose(struct hg_exposed *e, hearth_heap *heap, const char *name)
{
    e->heap = heap;
    e->name = name;
    e->nodes = heap->space.nodes;
    e->stats.struct_size = sizeof e->stats;
    hearth_status status = hearth_get_stats(heap, &e->stats);
    for (int n = 0; n < e->nodes && status == HEARTH_OK; n++) {
        e->node[n].struct_size = sizeof e->node[n];
        status = hearth_get_node_stats(heap, n, &e->node[n]);
    }
    pthread_mutex_lock(&heap->stats.lock);
    memcpy(e->pauses, heap->stats.pauses, sizeof e->pauses);
    pthread_mutex_unlock(&heap->stats.lock);
    return status;
}

/* --- lines -------------------------------------------------------------------------------------------- */

static void hg_write_family(struct hg_writer *w, const char *name, const char *type,
                            const char *help)
{
    hg_write_text(w, "# HELP ");
    hg_write_text(w, name);
    hg_write_text(w, " ");
    hg_write_text(w, help);
    hg_write_text(w, "\n# TYPE ");
    hg_write_text(w, name);
    hg_write_text(w, " ");
    hg_write_text(w, type);
    hg_write_text(w, "\n");
}

/* A label's value: backslash, quote and line feed are escaped. */
static void hg_write_label(struct hg_writer *w, const char *name, const char *value)
{
    hg_write_text(w, name);
    hg_write_text(w, "=\"");
    for (const char *at = value; *at != '\0'; at++) {
        char text[3] = {*at, '\0', '\0'};
        if (*at == '\\' || *at == '"')
            text[1] = *at, text[0] = '\\';
        else if (*at == '\n')
            text[1] = 'n', text[0] = '\\';
        hg_write_text(w, text);
    }
    hg_write_text(w, "\"");
}

/* name + suffix{heap="..."; further labels are written by the caller, who closes the brace. */
static void hg_write_sample(struct hg_writer *w, const char *name, const char *suffix,
                            const struct hg_exposed *e)
{
    hg_write_text(w, name);
    hg_write_text(w, suffix);
    hg_write_text(w, "{");
    hg_write_label(w, "heap", e->name);
}

static void hg_write_value(struct hg_writer *w, uint64_t value)
{
    hg_write_text(w, "} ");
    hg_write_number(w, value);
    hg_write_text(w, "\n");
}

/* Nanoseconds as seconds, exactly. */
static void hg_write_seconds(struct hg_writer *w, uint64_t ns)
{
    char digits[] = ".000000000";
    hg_write_number(w, ns / 1000000000);
    uint64_t rest = ns % 1000000000;
    for (int i = 9; i > 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    hg_write_text(w, digits);
}

static uint64_t hg_metric_value(const struct hg_metric *metric, const void *stats)
{
    uint64_t value;
    memcpy(&value, (const char *)stats + metric->offset, sizeof value);
    return metric->unit == HG_BLOCKS ? value << HA_BLOCK_SHIFT : value;
}

/* --- families ----------------------------------------------------------------------------------------- */

static void hg_write_nodes(struct hg_writer *w, const struct hg_metric *metric,
                           const struct hg_exposed *e)
{
    for (int n = 0; n < e->nodes; n++) {
        char number[16];
        snprintf(number, sizeof number, "%d", n);
        hg_write_sample(w, metric->name, "", e);
        hg_write_text(w, ",");
        hg_write_label(w, "node", number);
        snprintf(number, sizeof number, "%d", e->node[n].os_node);
        hg_write_text(w, ",");
        hg_write_label(w, "system", number);
        hg_write_value(w, hg_metric_value(metric, &e->node[n]));
    }
}

/* The bounds are bounds of the histogram's own buckets, so that the counts are exact. */
static void hg_write_pauses(struct hg_writer *w, const struct hg_exposed *e, int kind)
{
    static const char name[] = "hearth_gc_pause_seconds";
    static const char *const label[] = {",kind=\"minor\"", ",kind=\"full\""};
    const struct hg_histogram *pauses = &e->pauses[kind];
    for (int log = HG_LE_FIRST; log <= HG_LE_LAST; log++) {
        hg_write_sample(w, name, "_bucket", e);
        hg_write_text(w, label[kind]);
        hg_write_text(w, ",le=\"");
        hg_write_seconds(w, (uint64_t)1 << log);
        hg_write_text(w, "\"");
        hg_write_value(w, hg_histogram_below(pauses, (uint64_t)1 << log));
    }
    hg_write_sample(w, name, "_bucket", e);
    hg_write_text(w, label[kind]);
    hg_write_text(w, ",le=\"+Inf\"");
    hg_write_value(w, pauses->count);
    hg_write_sample(w, name, "_sum", e);
    hg_write_text(w, label[kind]);
    hg_write_text(w, "} ");
    hg_write_seconds(w, pauses->total);
    hg_write_text(w, "\n");
    hg_write_sample(w, name, "_count", e);
    hg_write_text(w, label[kind]);
    hg_write_value(w, pauses->count);
}

static void hg_write_all(struct hg_writer *w, const struct hg_exposed *e, size_t count)
{
    for (int m = 0; m < HG_HEAP_METRICS; m++) {
        const struct hg_metric *metric = &hg_heap_metric[m];
        hg_write_family(w, metric->name, metric->type, metric->help);
        for (size_t i = 0; i < count; i++) {
            hg_write_sample(w, metric->name, "", &e[i]);
            hg_write_value(w, hg_metric_value(metric, &e[i].stats));
        }
    }
    hg_write_family(w, "hearth_mutators", "gauge", "Threads that are attached.");
    for (size_t i = 0; i < count; i++) {
        hg_write_sample(w, "hearth_mutators", "", &e[i]);
        hg_write_value(w, (uint64_t)e[i].stats.mutators);
    }
    hg_write_family(w, "hearth_gc_pause_seconds", "histogram",
                    "How long collections stopped the program.");
    for (size_t i = 0; i < count; i++)
        for (int kind = 0; kind < 2; kind++)
            hg_write_pauses(w, &e[i], kind);
    for (int m = 0; m < HG_NODE_METRICS; m++) {
        const struct hg_metric *metric = &hg_node_metric[m];
        hg_write_family(w, metric->name, metric->type, metric->help);
        for (size_t i = 0; i < count; i++)
            hg_write_nodes(w, metric, &e[i]);
    }
}

static hearth_status hg_prometheus_arguments(hearth_heap *const *heaps, const char *const *names,
                                             size_t count, hearth_write_fn *fn)
{
    if (heaps == NULL || names == NULL || fn == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_prometheus: %s is NULL",
                       heaps == NULL   ? "heaps"
                       : names == NULL ? "names"
                                       : "fn");
    for (size_t i = 0; i < count; i++) {
        if (heaps[i] == NULL || names[i] == NULL)
            return ht_fail(HEARTH_EINVAL, "hearth_prometheus: %s %zu is NULL",
                           heaps[i] == NULL ? "heap" : "name", i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return ht_fail(HEARTH_EINVAL,
                               "hearth_prometheus: heaps %zu and %zu are both \"%.64s\"", j, i,
                               names[i]);
    }
    return HEARTH_OK;
}

hearth_status hearth_prometheus(hearth_heap *const *heaps, const char *const *names, size_t count,
                                hearth_write_fn *fn, void *data)
{
    hearth_status status = hg_prometheus_arguments(heaps, names, count, fn);
    if (status != HEARTH_OK)
        return status;
    struct hg_exposed *exposed = ht_os_alloc(count * sizeof *exposed);
    if (exposed == NULL)
        return ht_fail(HEARTH_ENOMEM, "hearth_prometheus: no memory for %zu heaps", count);
    for (size_t i = 0; i < count && status == HEARTH_OK; i++)
        status = hg_expose(&exposed[i], heaps[i], names[i]);
    if (status == HEARTH_OK) {
        struct hg_writer writer;
        hg_writer_init(&writer, fn, data);
        hg_write_all(&writer, exposed, count);
        if (!hg_writer_flush(&writer))
            status = ht_fail(HEARTH_ESYSTEM, "hearth_prometheus: the function gave up");
    }
    ht_os_free(exposed);
    return status;
}
