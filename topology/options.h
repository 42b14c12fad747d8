/* topology/options.h - the values behind hearth_options. One row per option in options.c. */
#ifndef HEARTH_TOPOLOGY_OPTIONS_H
#define HEARTH_TOPOLOGY_OPTIONS_H

#include "hearth/options.h"

enum ht_policy { HT_POLICY_LOCAL, HT_POLICY_STRICT, HT_POLICY_OFF };
enum ht_mode { HT_MODE_AUTO, HT_MODE_OFF, HT_MODE_INTERLEAVE, HT_MODE_PLACE, HT_MODE_LOCAL };
enum ht_huge { HT_HUGE_INHERIT, HT_HUGE_OFF, HT_HUGE_ON };
enum ht_pacing { HT_PACING_GROWTH, HT_PACING_MEMBALANCER };
enum ht_log { HT_LOG_NONE, HT_LOG_GC };
/* Bytes of a text, its end included. */
enum { HT_TEXT_BYTES = 256 };

enum ht_finalize { HT_FINALIZE_SAFEPOINT, HT_FINALIZE_QUEUE };

struct hearth_options {
    /* machine */
    int64_t fake_nodes; /* fake-nodes: 0 = the real ones, else 1..64              */
    int policy;         /* policy: local | strict | off                           */
    int64_t preferred;  /* preferred: node to allocate on, -1 = where a thread runs */
    int mode;           /* mode: auto | off | interleave | place | local          */
    int64_t workers;    /* workers: 0 = as many as CPUs and work allow, else 1..256 */
    size_t window;      /* window: bytes of address space per node, 0 = auto      */
    int hugepages;      /* hugepages: inherit | off | on                          */
    /* pacing */
    size_t heap_limit;     /* heap-limit: bytes, 0 = 3/4 of the machine or container */
    size_t heap_min;       /* heap-min: budget never below this; 0 = auto            */
    double growth;         /* growth: budget = live * growth                         */
    size_t nursery;        /* nursery: bytes, 0 = auto (4 x L2)                      */
    bool nursery_adaptive; /* nursery-adaptive: let it follow survival               */
    bool generational;     /* generational: off = every collection is full           */
    size_t release_after;  /* release-after: ms a free block keeps its memory; 0 = for ever */
    /* threads */
    bool conservative; /* conservative: scan the stacks of all mutators          */
    /* tracing */
    int64_t prefetch;  /* prefetch: depth of the ring, 0..64                     */
    size_t help_after; /* help-after: objects traced alone before helpers come   */
    /* checking */
    bool verify;    /* verify: run the verifier before and after every collection */
    int64_t stress; /* stress: collect at every n-th slow allocation; 0 = off */
    bool poison;    /* poison: fill freed cells with 0xfb                     */
    int log;        /* log: none | gc                                         */
    /* limits */
    size_t soft_limit; /* soft-limit: bytes, 0 = 3/4 of the container's memory.high */
    int pacing;        /* pacing: growth | membalancer                           */
    double balance;    /* balance: percent of time that a MiB is worth           */
    /* finalizers */
    int finalize; /* finalize: safepoint | queue                            */
    /* checking, continued */
    bool guard; /* guard: a guard behind every object                     */
    /* watching */
    char trace[HT_TEXT_BYTES];      /* trace: file of the timeline, "off": none        */
    char stats_page[HT_TEXT_BYTES]; /* stats-page: off | on | file of the statistics   */
};

/* Fill with defaults; then HEARTH_OPTIONS if `environment`. EOPTION from a bad variable. */
hearth_status ht_options_defaults(struct hearth_options *options, bool environment);
/* Apply HEARTH_OPTIONS on top of what is there. */
hearth_status ht_options_environment(struct hearth_options *options);

#endif
