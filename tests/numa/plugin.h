/* tests/numa/plugin.h - the access-counting plugin: what its files share.
 *
 *   plugin.c          options, loading, which instructions are watched
 *   plugin_map.c      the machine: node of a processor, of an address
 *   plugin_process.c  who runs: processes, their regions and classes, threads and their tags
 *   plugin_count.c    the counters, and the callback of every access
 *   plugin_cache.c    the cache model
 *   plugin_pace.c     processors kept abreast
 *   plugin_marker.c   the guest's messages (access.h)
 *   plugin_report.c   the report, as text and as a table
 *
 * Locks: na_marker's lock serialises messages, and only messages change regions, tags, classes and
 * names. Everybody else reads them without a lock: the arrays only grow (except in NA_RESET), and
 * na_changed() makes every virtual processor look again. Counters of a virtual processor are written
 * by its own thread only. */
#ifndef HEARTH_TESTS_NUMA_PLUGIN_H
#define HEARTH_TESTS_NUMA_PLUGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/numa/access.h"
#include "tests/numa/plugin_qemu.h"

enum {
    NA_NODES = 16,
    NA_VCPUS = 64,
    NA_REGIONS = 48,
    NA_TAGS = 16,
    NA_CLASSES = 8,
    NA_RANGES = 64,    /* of a process          */
    NA_THREADS = 256,  /* with tag, a process   */
    NA_PROCESSES = 8,  /* that sent a message   */
    NA_DEPTH = 16,     /* of nested regions     */
    NA_CACHES = 128,   /* owners in a line's state, more than NA_VCPUS */
    NA_LINE_SHIFT = 6, /* cache lines           */
};

/* Of one region, tag, virtual processor and class. [.][0] loads, [.][1] stores. */
struct na_counts {
    uint64_t accesses[NA_NODES][2];  /* by the memory's node                                   */
    uint64_t fills[NA_NODES][2];     /* served by that node's memory                           */
    uint64_t transfers[NA_NODES][2]; /* served by, or taken from, a cache on that node         */
    uint64_t writebacks[NA_NODES];   /* dirty lines evicted, by the memory's node              */
    uint64_t elsewhere;              /* to no node                                             */
};

struct na_range {
    uint64_t low, high; /* virtual addresses [low, high)  */
    int class_;         /* index of its name              */
};

struct na_thread {
    uint64_t pointer; /* FS base                 */
    int tag;          /* index of its name, 0: - */
};

struct na_process {
    uint64_t table;                       /* CR3                                            */
    int depth, regions[NA_DEPTH];         /* open regions, innermost last                   */
    int range_count;                      /*                                                */
    struct na_range ranges[NA_RANGES];    /* a later one hides earlier ones                 */
    int thread_count;                     /*                                                */
    struct na_thread threads[NA_THREADS]; /*                                                */
};

struct na_vcpu {
    struct na_counts *now;            /* by class; NULL: nothing is counted; na_stale: look again */
    const struct na_process *process; /* own thread only: whose ranges, if now is counters      */
    void *cpu;                        /* QEMU's                                         */
    struct na_bytes *registers;       /* buffer for reading one                         */
    uint64_t progress;                /* counted accesses, for pace=                    */
    bool idle, woke;                  /* the same                                       */
} __attribute__((aligned(128)));

/* What the options say. */
struct na_options {
    const char *map, *report;
    unsigned cache_kib, ways, pace;
    bool lazy;
};

struct na_names {
    const char *kind; /* for messages         */
    int count, limit; /*                      */
    char (*names)[NA_NAME];
};

extern struct na_options na_options;
extern struct na_qemu na_qemu;
extern struct na_vcpu na_vcpus[NA_VCPUS];
extern const char *na_broken; /* why the numbers are not to be trusted, NULL if they are */
void na_fail(const char *why);

/* plugin_map.c */
struct na_machine {
    int nodes, vcpus;                 /* highest number + 1                             */
    int node_of[NA_VCPUS];            /* -1: no such virtual processor                  */
    int distance[NA_NODES][NA_NODES]; /* SLIT                                           */
    uint64_t base[NA_NODES];          /* of the node's memory, see machine.awk          */
    uint64_t size[NA_NODES];          /* 0: none                                        */
};
extern struct na_machine na_machine;
bool na_map_open(void);
int na_map_physical(uint64_t address);
int na_map_locate(const struct qemu_plugin_hwaddr *address, uint64_t *line);
int na_map_line(uint64_t line);
uint64_t na_map_lines(void);

/* plugin_process.c */
extern struct na_counts na_stale[1];
extern int na_open_regions; /* of all processes */
bool na_qemu_open(void);
uint64_t na_page_table(unsigned vcpu);
uint64_t na_thread_pointer(unsigned vcpu);
struct na_process *na_process_of(uint64_t table, bool add);
void na_process_tag(struct na_process *process, uint64_t pointer, int tag);
void na_process_reset(void);
struct na_counts *na_resolve(unsigned vcpu);
void na_changed(void);
void na_to_user(unsigned vcpu, void *data);

/* plugin_count.c */
extern struct na_names na_region_names, na_tag_names, na_class_names;
bool na_count_open(void);
void na_count_reset(void);
int na_name_index(struct na_names *names, const char *name, bool add);
struct na_counts *na_counters(int region, int tag, int vcpu);
void na_count_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);
void na_count_add(struct na_counts *to, const struct na_counts *from);

/* plugin_cache.c */
bool na_cache_open(void);
void na_cache_access(unsigned vcpu, struct na_counts *counts, uint64_t line, int node, int store);
void na_cache_empty(void);

/* plugin_pace.c */
void na_pace_open(qemu_plugin_id_t id);
void na_pace_step(unsigned vcpu);
uint64_t na_pace_waits(void);

/* plugin_marker.c */
void na_marker(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);
uint64_t na_marker_places(void);

/* plugin_report.c */
void na_report(void);

#endif
