/* examples/respd/info.c - INFO: what the server does, what its heap holds, how long collections stop it.
 *
 * Redis' names where it has the same thing; the section "hearth" is what only a collected heap has. All shards are
 * locked, for counting keys; hearth's statistics take no safepoint. */
#include "respd.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct page {
    char text[8192];
    size_t length;
};

static void line(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct page *page, const char *format, ...)
{
    size_t room = sizeof page->text - page->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(page->text + page->length, room, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length + 2 < room) {
        page->length += (size_t)length;
        memcpy(page->text + page->length, "\r\n", 3);
        page->length += 2;
    }
}

/* Resident memory of the process, from the kernel; 0 if it does not say. */
static unsigned long long resident(void)
{
    unsigned long long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &pages) != 2)
        pages = 0;
    fclose(file);
    return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void about_server(struct worker *w, struct page *page)
{
    struct server *server = w->server;
    line(page, "# Server");
    line(page, "respd_version:%s", hearth_version());
    line(page, "redis_version:7.0.0"); /* whose commands these are */
    line(page, "redis_mode:standalone");
    line(page, "multiplexing_api:libuv %s", uv_version_string());
    line(page, "process_id:%d", (int)getpid());
    line(page, "tcp_port:%d", server->settings.port);
    line(page, "io_threads_active:%d", server->workers);
    line(page, "uptime_in_seconds:%lld", (long long)(w->now - server->started) / 1000);
    line(page, "%s", "");
}

static void about_clients(struct worker *w, struct page *page)
{
    struct server *server = w->server;
    line(page, "# Clients");
    line(page, "connected_clients:%ld", __atomic_load_n(&server->clients, __ATOMIC_RELAXED));
    line(page, "maxclients:%ld", server->settings.maxclients);
    for (int i = 0; i < server->workers; i++)
        line(page, "loop%d:node=%d,clients=%llu", i, server->worker[i].node,
             (unsigned long long)__atomic_load_n(&server->worker[i].connections, __ATOMIC_RELAXED));
    line(page, "%s", "");
}

static void about_memory(struct worker *w, struct page *page, const hearth_stats *stats)
{
    line(page, "# Memory");
    line(page, "used_memory:%llu", (unsigned long long)stats->heap_bytes);
    line(page, "used_memory_peak:%llu", (unsigned long long)stats->peak_heap_bytes);
    line(page, "used_memory_rss:%llu", resident());
    line(page, "maxmemory:%zu", w->server->most);
    line(page, "heap_limit:%llu", (unsigned long long)stats->limit_bytes);
    line(page, "maxmemory_policy:noeviction");
    line(page, "mem_allocator:hearth-%s", hearth_version());
    line(page, "%s", "");
}

static void about_stats(struct worker *w, struct page *page)
{
    struct server *server = w->server;
    unsigned long long commands = 0;
    for (int i = 0; i < server->workers; i++)
        commands += __atomic_load_n(&server->worker[i].commands, __ATOMIC_RELAXED);
    line(page, "# Stats");
    line(page, "total_connections_received:%llu",
         (unsigned long long)__atomic_load_n(&server->accepted, __ATOMIC_RELAXED));
    line(page, "total_commands_processed:%llu", commands);
    line(page, "rejected_connections:%llu",
         (unsigned long long)__atomic_load_n(&server->rejected, __ATOMIC_RELAXED));
    line(page, "expired_keys:%llu",
         (unsigned long long)__atomic_load_n(&server->expired, __ATOMIC_RELAXED));
    line(page, "refused_for_memory:%llu",
         (unsigned long long)__atomic_load_n(&server->refused, __ATOMIC_RELAXED));
    line(page, "%s", "");
}

static void about_heap(struct worker *w, struct page *page, const hearth_stats *stats)
{
    hearth_heap *heap = w->server->heap;
    hearth_collection last = {.struct_size = sizeof last};
    line(page, "# Hearth");
    line(page, "heap_live_bytes:%llu", (unsigned long long)stats->live_bytes);
    line(page, "heap_live_objects:%llu", (unsigned long long)stats->live_objects);
    line(page, "heap_budget_bytes:%llu", (unsigned long long)stats->budget_bytes);
    line(page, "heap_allocated_bytes:%llu", (unsigned long long)stats->allocated_bytes);
    line(page, "heap_metadata_bytes:%llu", (unsigned long long)stats->metadata_bytes);
    line(page, "minor_collections:%llu", (unsigned long long)stats->minor_count);
    line(page, "full_collections:%llu", (unsigned long long)stats->full_count);
    line(page, "pause_total_ms:%.3f", (double)stats->pause_total_ns / 1e6);
    line(page, "pause_max_ms:%.3f", (double)stats->pause_max_ns / 1e6);
    for (int kind = 0; kind < 2; kind++)
        line(page, "pause_%s_ms:p50=%.3f,p99=%.3f,max=%.3f", kind == 0 ? "minor" : "full",
             (double)hearth_pause_percentile(heap, kind, 50) / 1e6,
             (double)hearth_pause_percentile(heap, kind, 99) / 1e6,
             (double)hearth_pause_percentile(heap, kind, 100) / 1e6);
    if (hearth_last_collection(heap, &last) == HEARTH_OK)
        line(page,
             "last_collection:number=%llu,kind=%s,reason=%s,pause_ms=%.3f,stop_ms=%.3f,roots_ms=%."
             "3f,"
             "trace_ms=%.3f,sweep_ms=%.3f,traced=%llu,workers=%u",
             (unsigned long long)last.number, last.kind == HEARTH_GC_FULL ? "full" : "minor",
             hearth_gc_reason_name(last.reason), (double)last.pause_ns / 1e6,
             (double)last.stop_ns / 1e6, (double)last.roots_ns / 1e6, (double)last.trace_ns / 1e6,
             (double)last.sweep_ns / 1e6, (unsigned long long)last.objects_traced, last.workers);
    for (int i = 0; i < stats->nodes; i++) {
        hearth_node_stats node = {.struct_size = sizeof node};
        if (hearth_get_node_stats(heap, i, &node) == HEARTH_OK)
            line(page, "node%d:live=%llu,blocks=%llu,free_blocks=%llu,large=%llu,spilled_in=%llu",
                 i, (unsigned long long)node.live_bytes, (unsigned long long)node.blocks,
                 (unsigned long long)node.free_blocks, (unsigned long long)node.large_bytes,
                 (unsigned long long)node.spilled_in);
    }
    line(page, "%s", "");
}

static void about_keys(struct worker *w, struct page *page)
{
    uint64_t mortal = 0, keys = store_count(w->server, &mortal);
    line(page, "# Keyspace");
    if (keys != 0)
        line(page, "db0:keys=%llu,expires=%llu,avg_ttl=0", (unsigned long long)keys,
             (unsigned long long)mortal);
}

static bool wanted(int count, struct bytes *argument, bool all, const char *section)
{
    for (int i = 1; i < count && !all; i++)
        all = is_word(argument[i], section);
    return all;
}

void info_reply(struct worker *w, int count, struct bytes *argument, bool all)
{
    struct page page = {.length = 0};
    hearth_stats stats = {.struct_size = sizeof stats};
    hearth_get_stats(w->server->heap, &stats);
    if (wanted(count, argument, all, "server"))
        about_server(w, &page);
    if (wanted(count, argument, all, "clients"))
        about_clients(w, &page);
    if (wanted(count, argument, all, "memory"))
        about_memory(w, &page, &stats);
    if (wanted(count, argument, all, "stats"))
        about_stats(w, &page);
    if (wanted(count, argument, all, "hearth"))
        about_heap(w, &page, &stats);
    if (wanted(count, argument, all, "keyspace"))
        about_keys(w, &page);
    reply_bytes(w, (struct bytes){page.text, page.length});
}
