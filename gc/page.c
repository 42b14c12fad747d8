/* gc/page.c - writing the page of statistics and reading it. See page.h. */
#define _GNU_SOURCE
#include "gc/page.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gc/heap.h"
#include "gc/outfile.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_PAGE_TRIES = 1000, HG_PAGE_PAUSE_NS = 100000 };

/* --- writing ------------------------------------------------------------------------------------------ */

/* Rates over at least HG_PAGE_RATE_NS; until then what is there stays. */
static void hg_page_rates(struct hg_page_writer *writer, uint64_t now)
{
    struct hg_page *page = &writer->next;
    uint64_t elapsed = now - writer->mark_ns;
    if (elapsed < HG_PAGE_RATE_NS)
        return;
    double seconds = (double)elapsed / 1e9;
    page->rate = (uint64_t)((double)(page->stats.allocated_bytes - writer->mark_bytes) / seconds);
    writer->mark_bytes = page->stats.allocated_bytes;
    for (int n = 0; n < page->nodes; n++) {
        uint64_t bytes = page->node[n].stats.allocated_bytes;
        page->node[n].rate = (uint64_t)((double)(bytes - writer->mark_node[n]) / seconds);
        writer->mark_node[n] = bytes;
    }
    writer->mark_ns = now;
}

/* Everything behind `sequence` but what never changes. */
static void hg_page_fill(hearth_heap *heap, struct hg_page_writer *writer, uint64_t now)
{
    struct hg_page *page = &writer->next;
    page->stats.struct_size = sizeof page->stats;
    hearth_get_stats(heap, &page->stats);
    for (int n = 0; n < page->nodes; n++) {
        page->node[n].stats.struct_size = sizeof page->node[n].stats;
        hearth_get_node_stats(heap, n, &page->node[n].stats);
    }
    pthread_mutex_lock(&heap->stats.lock);
    page->last = heap->stats.last;
    pthread_mutex_unlock(&heap->stats.lock);
    page->last.struct_size = sizeof page->last;
    page->updated_ns = page->end_ns = now;
    hg_page_rates(writer, now);
}

/* Copy `next` to the page; page->lock is held. */
static void hg_page_publish(struct hg_page_writer *writer)
{
    struct hg_page *page = writer->page;
    size_t from = offsetof(struct hg_page, process);
    uint32_t sequence = page->sequence;
    __atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy((char *)page + from, (const char *)&writer->next + from, sizeof *page - from);
    __atomic_store_n(&page->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void hg_page_update(hearth_heap *heap, bool due)
{
    struct hg_page_writer *writer = heap->page;
    uint64_t now = ht_os_now();
    if (!due && now - __atomic_load_n(&writer->updated_ns, __ATOMIC_RELAXED) < HG_PAGE_NS)
        return;
    if (pthread_mutex_trylock(&writer->lock) != 0)
        return; /* somebody writes what is as new */
    __atomic_store_n(&writer->updated_ns, now, __ATOMIC_RELAXED);
    hg_page_fill(heap, writer, now);
    hg_page_publish(writer);
    pthread_mutex_unlock(&writer->lock);
}

/* --- the file ----------------------------------------------------------------------------------------- */

static hearth_status hg_page_make(hearth_heap *heap, struct hg_page_writer *writer, unsigned number)
{
    bool on = strcmp(heap->options.stats_page, "on") == 0;
    const char *pattern = on ? HG_PAGE_DIRECTORY "/" HG_PAGE_PREFIX "%p" : heap->options.stats_page;
    hearth_status status = hg_file_name(writer->path, "stats-page", pattern, number);
    if (status != HEARTH_OK)
        return status;
    writer->page = ht_os_share(writer->path, sizeof *writer->page);
    if (writer->page == NULL)
        return ht_fail(HEARTH_ESYSTEM, "stats-page=%s: %s", writer->path, strerror(errno));
    struct hg_page *next = &writer->next;
    uint64_t now = ht_os_now();
    *next = (struct hg_page){.version = HG_PAGE_VERSION,
                             .size = sizeof *next,
                             .process = (int32_t)getpid(),
                             .heap = number,
                             .nodes = heap->space.nodes,
                             .created_ns = now};
    strncpy(next->library, hearth_version(), sizeof next->library - 1);
    writer->mark_ns = now;
    hg_page_fill(heap, writer, now);
    hg_page_publish(writer);
    writer->page->version = next->version;
    writer->page->size = next->size;
    memcpy(writer->page->magic, HG_PAGE_MAGIC, sizeof next->magic); /* from now on it is one */
    return HEARTH_OK;
}

hearth_status hg_page_open(hearth_heap *heap, unsigned number)
{
    if (!hg_file_wanted(heap->options.stats_page))
        return HEARTH_OK;
    struct hg_page_writer *writer = ht_os_alloc(sizeof *writer);
    if (writer == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for the page of statistics");
    hearth_status status = hg_page_make(heap, writer, number);
    if (status != HEARTH_OK) {
        ht_os_free(writer);
        return status;
    }
    pthread_mutex_init(&writer->lock, NULL);
    heap->page = writer;
    return HEARTH_OK;
}

static void hg_page_free(hearth_heap *heap)
{
    struct hg_page_writer *writer = heap->page;
    heap->page = NULL;
    if (writer->page != NULL)
        ht_os_unmap(writer->page, sizeof *writer->page);
    pthread_mutex_destroy(&writer->lock);
    ht_os_free(writer);
}

/* The name may be that of another process's page by now, if it was given to both; that one stays. */
void hg_page_close(hearth_heap *heap)
{
    struct hg_page found = {.process = 0};
    if (heap->page == NULL)
        return;
    if (hg_page_read(heap->page->path, &found) == HEARTH_OK &&
        found.process == heap->page->next.process && found.heap == heap->page->next.heap)
        ht_os_remove(heap->page->path);
    hg_page_free(heap);
}

void hg_page_forked(hearth_heap *heap)
{
    struct hg_page_writer *writer = heap->page;
    if (writer == NULL)
        return;
    ht_os_unmap(writer->page, sizeof *writer->page);
    writer->page = NULL;
    bool own = strcmp(heap->options.stats_page, "on") == 0 ||
               strstr(heap->options.stats_page, "%p") != NULL;
    if (!own || hg_page_make(heap, writer, writer->next.heap) != HEARTH_OK)
        hg_page_free(heap);
}

/* --- reading ------------------------------------------------------------------------------------------ */

static hearth_status hg_page_judge(const char *path, const struct hg_page *page)
{
    if (page->nodes < 1 || page->nodes > HT_MAX_NODES ||
        page->stats.struct_size != sizeof page->stats ||
        page->last.struct_size != sizeof page->last ||
        page->node[0].stats.struct_size != sizeof page->node[0].stats)
        return ht_fail(HEARTH_ECORRUPT, "%s was written by hearth %.15s, this is %s", path,
                       page->library, hearth_version());
    return HEARTH_OK;
}

hearth_status hg_page_read(const char *path, struct hg_page *out)
{
    size_t bytes = 0;
    const struct hg_page *page = ht_os_look(path, &bytes);
    if (page == NULL)
        return ht_fail(HEARTH_ESYSTEM, "%s: %s", path, strerror(errno));
    hearth_status status = HEARTH_OK;
    if (bytes < sizeof *page || memcmp(page->magic, HG_PAGE_MAGIC, sizeof page->magic) != 0)
        status =
            ht_fail(HEARTH_ECORRUPT, "%s is no page of statistics of this version of hearth", path);
    else if (page->version != HG_PAGE_VERSION || page->size != sizeof *page)
        status = ht_fail(HEARTH_ECORRUPT, "%s has version %u and %u bytes, not %d and %zu", path,
                         page->version, page->size, HG_PAGE_VERSION, sizeof *page);
    static uint32_t never;
    bool whole = false;
    for (int i = 0; i < HG_PAGE_TRIES && status == HEARTH_OK && !whole; i++) {
        uint32_t sequence = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
        memcpy(out, page, sizeof *out);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        whole =
            (sequence & 1) == 0 && __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) == sequence;
        if (!whole) /* the writer may have lost its processor in the middle */
            ht_os_sleep(&never, 0, HG_PAGE_PAUSE_NS);
    }
    if (status == HEARTH_OK && !whole)
        status = ht_fail(HEARTH_ECORRUPT, "%s is being written for ever", path);
    if (status == HEARTH_OK)
        status = hg_page_judge(path, out);
    ht_os_unmap((void *)(uintptr_t)page, bytes);
    return status;
}
