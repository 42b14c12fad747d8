/* gc/page.h - option stats-page: statistics in a file that is shared memory, for hearth-top.
 *
 * A sequence lock: `sequence` is odd while the page is written, and a reader that finds it odd or changed reads again
 * (Lameter's seqlocks in Linux). The page holds the public structs of statistics as they are, each with its
 * struct_size, so that a reader of another version sees that it is one. Written after every collection and, between
 * collections, by threads that take a block, at most every HG_PAGE_NS. The file is the process's: a forked
 * child makes its own. Lock order: page->lock < stats.lock, pool locks; held while writing. Node: none. */
#ifndef HEARTH_GC_PAGE_H
#define HEARTH_GC_PAGE_H

#include <pthread.h>

#include "hearth/stats.h"
#include "topology/topology.h"

enum { HG_PAGE_VERSION = 1, HG_PAGE_NS = 100000000, HG_PAGE_RATE_NS = 500000000 };

#define HG_PAGE_MAGIC     "hearthSP"
#define HG_PAGE_DIRECTORY "/dev/shm"
#define HG_PAGE_PREFIX    "hearth."

struct hg_page_node {
    hearth_node_stats stats;
    uint64_t rate; /* bytes allocated in a second, of late                          */
};

/* What the file holds. */
struct hg_page {
    char magic[8];
    uint32_t version;  /* HG_PAGE_VERSION                                               */
    uint32_t size;     /* of the whole                                                  */
    uint32_t sequence; /* odd: being written (atomic)                                   */
    int32_t process;
    uint32_t heap; /* its number among those of the process that have a page        */
    int32_t nodes;
    char library[16];    /* hearth_version()                                    */
    uint64_t created_ns; /* CLOCK_MONOTONIC                                     */
    uint64_t updated_ns; /* the same                                            */
    uint64_t rate;       /* bytes allocated in a second, of late                */
    hearth_stats stats;
    hearth_collection last; /* number 0: none yet                                  */
    struct hg_page_node node[HT_MAX_NODES];
    uint64_t end_ns; /* updated_ns once more: tests see by it that copies are whole    */
};

/* The heap's side. */
struct hg_page_writer {
    pthread_mutex_t lock;
    struct hg_page *page; /* mapped, shared                                        */
    struct hg_page next;  /* made up here                                          */
    uint64_t updated_ns;  /* (atomic)                                              */
    uint64_t mark_ns;     /* since when allocation is counted for the rates        */
    uint64_t mark_bytes;  /* allocated then                                        */
    uint64_t mark_node[HT_MAX_NODES];
    char path[320];
};

/* Make the page that the option asks for; OK if it asks for none. */
hearth_status hg_page_open(hearth_heap *heap, unsigned number);
/* Remove it. */
void hg_page_close(hearth_heap *heap);
/* Write it; `due`: even if that was done a moment ago. No lock is held. */
void hg_page_update(hearth_heap *heap, bool due);
/* In the child of a fork, the lock free: another page, or none if the name would be the parent's. */
void hg_page_forked(hearth_heap *heap);

/* Read a page, of this process or another. Errors: ESYSTEM (it cannot be opened), ECORRUPT (it is none,
 * or another version's). */
hearth_status hg_page_read(const char *path, struct hg_page *out);

#endif
