/* gc/timeline.h - option trace=FILE: what the collector did and when, for ui.perfetto.dev and chrome://tracing.
 *
 * The timeline is an observer (observe.h). What it is told goes as fixed records into chunks: one chunk list for
 * all that happens under heap->lock, one for each helper, so that no lock is taken for a record. When the
 * world is about to run again the full chunks are put aside, which is a few pointers; the thread that collected
 * writes them when the world runs. Invariant: a slice is one record, made at its end, so a record that is lost
 * for want of memory takes nothing else with it.
 * Lock order: heap->lock < lock, which is a leaf, held while writing, never taken while the world stands. Node:
 * chunks are ordinary memory of the thread that fills them. */
#ifndef HEARTH_GC_TIMELINE_H
#define HEARTH_GC_TIMELINE_H

#include <pthread.h>

#include "hearth/observe.h"
#include "topology/topology.h"

enum { HG_EVENTS = 255, HG_LISTS = 256 };

enum hg_event_kind {
    HG_EVENT_SLICE,   /* what happened from `ns` for `length`                            */
    HG_EVENT_POSTED,  /* batch a, b references                                           */
    HG_EVENT_TAKEN,   /* the same                                                        */
    HG_EVENT_SPILLED, /* a: wished << 32 | given, b bytes                                */
    HG_EVENT_COUNTER, /* a is its value, `track` the node, -1: the heap                  */
    HG_EVENT_MUTATOR, /* a thread attached: a is the system's number of it               */
    HG_EVENT_WORKER   /* a worker's track: a is its number                               */
};

/* Names of slices behind those of phases, and of counters. */
enum {
    HG_SLICE_MINOR = 16,
    HG_SLICE_FULL,     /* a: number of the collection, b: reason                          */
    HG_SLICE_STOPPED,  /* of a mutator                                                    */
    HG_SLICE_STOPPING, /* waiting until all stand                                         */
    HG_SLICE_COLLECTS, /* of a mutator                                                    */
    HG_COUNTER_LIVE,
    HG_COUNTER_USED,
    HG_COUNTER_BUDGET,
    HG_COUNTER_NURSERY,
    HG_COUNTER_RATE
};

struct hg_event {
    uint64_t ns; /* CLOCK_MONOTONIC                                                 */
    uint64_t length;
    uint64_t a, b;
    int32_t track; /* its number; see hg_track_of                                     */
    int16_t node;
    uint8_t kind; /* enum hg_event_kind                                              */
    uint8_t name;
};

struct hg_events {
    struct hg_events *next;
    size_t count;
    struct hg_event event[HG_EVENTS];
};

struct hg_event_list {
    struct hg_events *chunk; /* newest first                                    */
    uint64_t begin;          /* of the phase that is open                       */
    bool named;              /* its track (helpers)                             */
} __attribute__((aligned(64)));

struct hg_timeline {
    hearth_heap *heap;
    int file;      /* -1: no more is written                                          */
    bool failed;   /* writing did (under `lock`)                                      */
    int error;     /* errno of that                                                   */
    uint64_t lost; /* records, for want of memory (atomic)                            */
    pthread_mutex_t lock;
    struct hg_events
        *full; /* to be written: pushed under heap->lock, taken under `lock` (atomic) */
    uint64_t requested, stopped, collection; /* when; 0: not                              */
    hearth_gc_reason reason;
    hearth_gc_kind kind;
    uint64_t last_ns, last_live; /* of the last collection                             */
    uint32_t tracks;             /* of mutators so far                                 */
    uint64_t named;              /* bit per node: its worker 0 has a track             */
    int master;                  /* node of worker 0                                   */
    char path[320];
    struct hg_event_list list[HG_LISTS]; /* 0: under heap->lock; else of the helper     */
};

/* Open the file that the option names, and listen; OK if it names none. Before the heap is used. */
hearth_status hg_timeline_open(hearth_heap *heap, unsigned number);
/* Write the rest, and close. */
void hg_timeline_close(hearth_heap *heap);
/* After the world runs again, no lock held: write what was put aside. */
void hg_timeline_write(hearth_heap *heap);
/* In the child of a fork, `lock` free: the file is the parent's. */
void hg_timeline_forked(hearth_heap *heap);

/* timeline_write.c: the text. Of a chunk's events in their order; the file's beginning and end. */
struct hg_writer;
void hg_timeline_begin_text(struct hg_writer *writer, const struct hg_timeline *timeline);
void hg_timeline_text(struct hg_writer *writer, const struct hg_events *events);
void hg_timeline_end_text(struct hg_writer *writer, const struct hg_timeline *timeline);

#endif
