/* gc/timeline_write.c - the timeline as text: the JSON array of Chrome's trace event format, which Perfetto reads.
 *
 * A node is a "process" of the trace, so that viewers put its tracks together; workers and mutators are its
 * "threads"; the heap as a whole is one more process, for its counters. Times are microseconds of CLOCK_MONOTONIC
 * with three decimals. `cname` colours by node in chrome://tracing; Perfetto colours by name. No locks, no
 * state but the writer's. */
#include "gc/timeline.h"

#include <string.h>

#include "gc/heap.h"
#include "gc/writer.h"

enum { HG_PROCESS_HEAP = 1000, HG_PROCESS_NODE = 1 };

static const char *const hg_colour[] = {
    "rail_response", "rail_animation", "rail_load", "thread_state_uninterruptible",
    "startup",       "generic_work",   "rail_idle", "thread_state_runnable",
};

static const char *hg_event_name(const struct hg_event *event)
{
    static const char *const name[] = {
        "minor collection", "full collection", "stopped",      "stopping",      "collects",
        "live bytes",       "used bytes",      "budget bytes", "nursery bytes", "allocation rate"};
    return event->name < HG_SLICE_MINOR ? hearth_work_name((hearth_work)event->name)
                                        : name[event->name - HG_SLICE_MINOR];
}

static void hg_write_member(struct hg_writer *w, const char *key, uint64_t number)
{
    hg_write_text(w, ",\"");
    hg_write_text(w, key);
    hg_write_text(w, "\":");
    hg_write_number(w, number);
}

static void hg_write_micros(struct hg_writer *w, const char *key, uint64_t ns)
{
    char decimals[] = {'.', (char)('0' + ns % 1000 / 100), (char)('0' + ns % 100 / 10),
                       (char)('0' + ns % 10), '\0'};
    hg_write_member(w, key, ns / 1000);
    hg_write_text(w, decimals);
}

/* {"ph":..,"name":..,"pid":..,"tid":.. and the time, if it has one. */
static void hg_write_head(struct hg_writer *w, const char *phase, const char *name, int process,
                          int track)
{
    hg_write_text(w, "{\"ph\":\"");
    hg_write_text(w, phase);
    hg_write_text(w, "\",\"name\":\"");
    hg_write_text(w, name);
    hg_write_text(w, "\"");
    hg_write_member(w, "pid", (uint64_t)process);
    if (track >= 0)
        hg_write_member(w, "tid", (uint64_t)track);
}

static void hg_write_named(struct hg_writer *w, const char *what, int process, int track,
                           const char *prefix, uint64_t number, const char *suffix)
{
    hg_write_head(w, "M", what, process, track);
    hg_write_text(w, ",\"args\":{\"name\":\"");
    hg_write_text(w, prefix);
    hg_write_number(w, number);
    hg_write_text(w, suffix);
    hg_write_text(w, "\"}},\n");
}

static void hg_write_order(struct hg_writer *w, int process, uint64_t order)
{
    hg_write_head(w, "M", "process_sort_index", process, -1);
    hg_write_text(w, ",\"args\":{\"sort_index\":");
    hg_write_number(w, order);
    hg_write_text(w, "}},\n");
}

void hg_timeline_begin_text(struct hg_writer *w, const struct hg_timeline *timeline)
{
    const struct hearth_topology *topology = timeline->heap->topology;
    hg_write_text(w, "[\n");
    hg_write_head(w, "M", "process_name", HG_PROCESS_HEAP, -1);
    hg_write_text(w, ",\"args\":{\"name\":\"hearth heap\"}},\n");
    hg_write_order(w, HG_PROCESS_HEAP, 0);
    for (int n = 0; n < topology->nodes; n++) {
        char suffix[48] = " (system's ";
        size_t at = strlen(suffix);
        unsigned os_node = (unsigned)topology->node[n].os_node;
        for (unsigned unit = 1000; unit != 0; unit /= 10) /* below 1024: HT_OS_NODES */
            if (os_node >= unit || unit == 1)
                suffix[at++] = (char)('0' + os_node / unit % 10);
        suffix[at++] = ')';
        suffix[at] = '\0';
        hg_write_named(w, "process_name", HG_PROCESS_NODE + n, -1, "node ", (uint64_t)n, suffix);
        hg_write_order(w, HG_PROCESS_NODE + n, (uint64_t)n + 1);
    }
}

static void hg_write_slice(struct hg_writer *w, const struct hg_event *e)
{
    hg_write_head(w, "X", hg_event_name(e), HG_PROCESS_NODE + e->node, e->track);
    hg_write_micros(w, "ts", e->ns);
    hg_write_micros(w, "dur", e->length);
    hg_write_text(w, ",\"cname\":\"");
    hg_write_text(w, hg_colour[(unsigned)e->node % (sizeof hg_colour / sizeof *hg_colour)]);
    hg_write_text(w, "\",\"args\":{\"node\":");
    hg_write_number(w, (uint64_t)e->node);
    if (e->name == HG_SLICE_MINOR || e->name == HG_SLICE_FULL) {
        hg_write_member(w, "number", e->a);
        hg_write_text(w, ",\"reason\":\"");
        hg_write_text(w, hearth_gc_reason_name((hearth_gc_reason)e->b));
        hg_write_text(w, "\"");
    }
    hg_write_text(w, "}},\n");
}

/* An arrow from the slice in which the batch was posted to the one in which it was taken. */
static void hg_write_flow(struct hg_writer *w, const struct hg_event *e)
{
    bool begin = e->kind == HG_EVENT_POSTED;
    hg_write_head(w, begin ? "s" : "f", "batch", HG_PROCESS_NODE + e->node, e->track);
    hg_write_text(w, begin ? ",\"cat\":\"batch\"" : ",\"cat\":\"batch\",\"bp\":\"e\"");
    hg_write_member(w, "id", e->a);
    hg_write_micros(w, "ts", e->ns);
    hg_write_text(w, ",\"args\":{\"references\":");
    hg_write_number(w, e->b);
    hg_write_text(w, "}},\n");
}

static void hg_write_counter(struct hg_writer *w, const struct hg_event *e)
{
    hg_write_head(w, "C", hg_event_name(e),
                  e->node < 0 ? HG_PROCESS_HEAP : HG_PROCESS_NODE + e->node, -1);
    hg_write_micros(w, "ts", e->ns);
    hg_write_text(w,
                  e->name == HG_COUNTER_RATE ? ",\"args\":{\"bytes/s\":" : ",\"args\":{\"bytes\":");
    hg_write_number(w, e->a);
    hg_write_text(w, "}},\n");
}

static void hg_write_spilled(struct hg_writer *w, const struct hg_event *e)
{
    hg_write_head(w, "i", "spilled", HG_PROCESS_NODE + e->node, e->track);
    hg_write_micros(w, "ts", e->ns);
    hg_write_text(w, ",\"s\":\"t\",\"args\":{\"wished\":");
    hg_write_number(w, e->a >> 32);
    hg_write_member(w, "given", e->a & UINT32_MAX);
    hg_write_member(w, "bytes", e->b);
    hg_write_text(w, "}},\n");
}

static void hg_write_event(struct hg_writer *w, const struct hg_event *e)
{
    switch ((enum hg_event_kind)e->kind) {
    case HG_EVENT_SLICE:
        hg_write_slice(w, e);
        break;
    case HG_EVENT_POSTED:
    case HG_EVENT_TAKEN:
        hg_write_flow(w, e);
        break;
    case HG_EVENT_SPILLED:
        hg_write_spilled(w, e);
        break;
    case HG_EVENT_COUNTER:
        hg_write_counter(w, e);
        break;
    case HG_EVENT_MUTATOR:
        hg_write_named(w, "thread_name", HG_PROCESS_NODE + e->node, e->track, "thread ", e->a, "");
        break;
    case HG_EVENT_WORKER:
        hg_write_named(w, "thread_name", HG_PROCESS_NODE + e->node, e->track, "GC worker ", e->a,
                       "");
        break;
    }
}

void hg_timeline_text(struct hg_writer *w, const struct hg_events *events)
{
    for (size_t i = 0; i < events->count; i++)
        hg_write_event(w, &events->event[i]);
}

void hg_timeline_end_text(struct hg_writer *w, const struct hg_timeline *timeline)
{
    hg_write_head(w, "M", "process_labels", HG_PROCESS_HEAP, -1);
    hg_write_text(w, ",\"args\":{\"labels\":\"records lost: ");
    hg_write_number(w, __atomic_load_n(&timeline->lost, __ATOMIC_RELAXED));
    hg_write_text(w, "\"}}\n]\n");
}
