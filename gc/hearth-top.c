/* gc/hearth-top.c - the program that shows the heaps of running processes, by the pages that option stats-page
 * makes them write.
 *
 * It only reads: a process is neither stopped nor asked. Pages are found by name in /dev/shm, or named. Output goes
 * to standard output, as a screen that is drawn again and again (plain ANSI) or once, or as JSON; complaints go
 * to standard error. Exit status: 0, 1 when there is no page or it cannot be read, 2 for wrong arguments. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/page.h"
#include "topology/os.h"

static const char usage[] =
    "usage: hearth-top [--once] [--json] [--delay SECONDS] [PID|FILE ...]\n"
    "Shows the heaps of processes that run with HEARTH_OPTIONS=stats-page=on; all of them\n"
    "without arguments.\n"
    "  --once           print once and end\n"
    "  --json           print a JSON array, and end\n"
    "  --delay SECONDS  time between two screens, 0.1 to 3600 (default 1)\n"
    "  --version        print hearth's version\n"
    "  --help           print this\n";

enum { PAGES = 64 };

struct arguments {
    bool once, json;
    double delay;
    const char *answer; /* to print and end                                       */
    char **what;        /* processes and files                                    */
    int count;
};

/* --- pages ------------------------------------------------------------------------------------------- */

struct pages {
    struct hg_page *page[PAGES];
    char *path[PAGES];
    int count;
    int failed; /* that could not be read */
};

static void add_page(struct pages *pages, const char *path)
{
    if (pages->count == PAGES)
        return;
    struct hg_page *page = malloc(sizeof *page);
    char *name = strdup(path);
    if (page == NULL || name == NULL || hg_page_read(path, page) != HEARTH_OK) {
        fprintf(stderr, "hearth-top: %s\n",
                page == NULL || name == NULL ? "no memory" : hearth_last_error());
        pages->failed++;
        free(page);
        free(name);
        return;
    }
    pages->path[pages->count] = name;
    pages->page[pages->count++] = page;
}

/* hearth.PID and hearth.PID.N, of one process or (NULL) all. */
static void add_process(struct pages *pages, const char *process)
{
    char pattern[128];
    glob_t found = {0};
    const char *any = process != NULL ? process : "[0-9]*";
    snprintf(pattern, sizeof pattern, "%s/%s%s", HG_PAGE_DIRECTORY, HG_PAGE_PREFIX, any);
    glob(pattern, 0, NULL, &found);
    if (process != NULL) {
        snprintf(pattern, sizeof pattern, "%s/%s%s.[0-9]*", HG_PAGE_DIRECTORY, HG_PAGE_PREFIX, any);
        glob(pattern, GLOB_APPEND, NULL, &found);
    }
    if (process != NULL && found.gl_pathc == 0) {
        fprintf(stderr,
                "hearth-top: process %s has no page: run it with "
                "HEARTH_OPTIONS=stats-page=on\n",
                process);
        pages->failed++;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        add_page(pages, found.gl_pathv[i]);
    globfree(&found);
}

static bool is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text) && strlen(text) < 12;
}

static void read_pages(const struct arguments *arguments, struct pages *pages)
{
    if (arguments->count == 0)
        add_process(pages, NULL);
    for (int i = 0; i < arguments->count; i++)
        if (is_number(arguments->what[i]))
            add_process(pages, arguments->what[i]);
        else
            add_page(pages, arguments->what[i]);
}

static void free_pages(struct pages *pages)
{
    for (int i = 0; i < pages->count; i++) {
        free(pages->page[i]);
        free(pages->path[i]);
    }
    *pages = (struct pages){.count = 0};
}

/* --- what is derived ---------------------------------------------------------------------------------- */

static bool is_alive(const struct hg_page *page)
{
    return kill(page->process, 0) == 0 || errno == EPERM;
}

/* The process's command, empty if it is gone. */
static void command_of(const struct hg_page *page, char *command, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", page->process);
    if (!ht_os_read_file(path, command, size))
        command[0] = '\0';
    command[strcspn(command, "\n")] = '\0';
}

/* Percent of the objects of a node (below 0: all) that its own workers traced; below 0: none was traced. */
static double local_share(const struct hg_page *page, int node)
{
    uint64_t local = 0, all = 0;
    for (int n = 0; n < page->nodes; n++)
        if (node < 0 || n == node) {
            local += page->node[n].stats.traced_local;
            all += page->node[n].stats.traced_local + page->node[n].stats.traced_remote;
        }
    return all == 0 ? -1 : 100.0 * (double)local / (double)all;
}

/* Nothing was written for two seconds: nothing was allocated. */
static uint64_t rate_now(const struct hg_page *page, uint64_t rate, uint64_t now)
{
    return now > page->updated_ns + 2000000000u ? 0 : rate;
}

/* Percent of the time since the heap was made that it was collected. */
static double pause_share(const struct hg_page *page, uint64_t now)
{
    uint64_t age = now > page->created_ns ? now - page->created_ns : 1;
    return 100.0 * (double)page->stats.pause_total_ns / (double)age;
}

static uint64_t used_of(const hearth_node_stats *node)
{
    return node->blocks * 65536;
}

/* --- the screen --------------------------------------------------------------------------------------- */

static const char *end_of_line = "\n";

/* Bytes in MB (2^20), or the text that stands for none. */
static double mb(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

static void show_bar(const char *name, uint64_t part, uint64_t whole)
{
    enum { WIDTH = 40 };
    int filled = whole == 0 ? 0 : (int)((double)part / (double)whole * WIDTH + 0.5);
    printf("%-8s [", name);
    for (int i = 0; i < WIDTH; i++)
        putchar(i < filled ? '|' : ' ');
    printf("] %10.1f of %.1f MB%s", mb(part), mb(whole), end_of_line);
}

static void show_percent(int width, double percent)
{
    if (percent < 0)
        printf("%*s", width, "-");
    else
        printf("%*.1f", width, percent);
}

static void show_nodes(const struct hg_page *page, uint64_t now)
{
    printf("%s%4s %6s %9s %9s %9s %9s %7s %9s %9s %9s %7s%s", end_of_line, "node", "system",
           "live MB", "used MB", "free MB", "large MB", "chunks", "spilled", "given MB", "MB/s",
           "local %", end_of_line);
    for (int n = 0; n < page->nodes; n++) {
        const hearth_node_stats *node = &page->node[n].stats;
        printf("%4d %6d %9.1f %9.1f %9.1f %9.1f %7" PRIu64 " %9" PRIu64 " %9.1f %9.1f ", node->node,
               node->os_node, mb(node->live_bytes), mb(used_of(node)),
               mb(node->free_blocks * 65536), mb(node->large_bytes), node->chunks, node->spilled_in,
               mb(node->released_bytes), mb(rate_now(page, page->node[n].rate, now)));
        show_percent(7, local_share(page, n));
        printf("%s", end_of_line);
    }
}

static void show_collections(const struct hg_page *page, uint64_t now)
{
    const hearth_stats *s = &page->stats;
    const hearth_collection *c = &page->last;
    printf("collections %" PRIu64 " minor, %" PRIu64 " full, %.2f %% of the time; pauses p50 %.3f "
           "p99 %.3f max %.3f ms%s",
           s->minor_count, s->full_count, pause_share(page, now), (double)s->pause_p50_ns / 1e6,
           (double)s->pause_p99_ns / 1e6, (double)s->pause_max_ns / 1e6, end_of_line);
    if (c->number == 0)
        return;
    printf("last        %" PRIu64 " %s (%s), %.3f ms: stop %.3f roots %.3f trace %.3f sweep %.3f; "
           "%u workers, %" PRIu64 " sent, %" PRIu64 " stolen%s",
           c->number, c->kind == HEARTH_GC_FULL ? "full" : "minor",
           hearth_gc_reason_name(c->reason), (double)c->pause_ns / 1e6, (double)c->stop_ns / 1e6,
           (double)c->roots_ns / 1e6, (double)c->trace_ns / 1e6, (double)c->sweep_ns / 1e6,
           c->workers, c->sent, c->stolen, end_of_line);
}

static void show_page(const struct hg_page *page)
{
    const hearth_stats *s = &page->stats;
    uint64_t now = ht_os_now();
    char command[64];
    command_of(page, command, sizeof command);
    printf("process %d (%s), heap %u, hearth %.15s, up %.0f s, as of %.1f s ago%s%s", page->process,
           command, page->heap, page->library,
           now > page->created_ns ? (double)(now - page->created_ns) / 1e9 : 0.0,
           now > page->updated_ns ? (double)(now - page->updated_ns) / 1e9 : 0.0,
           is_alive(page) ? "" : " - the process is gone", end_of_line);
    show_bar("used", s->heap_bytes, s->limit_bytes);
    show_bar("budget", s->budget_bytes, s->limit_bytes);
    show_bar("live", s->live_bytes, s->budget_bytes);
    printf("live %.1f MB in %" PRIu64 " objects; allocated %.1f MB/s; nursery %.1f MB; peak %.1f "
           "MB; outside %.1f MB%s",
           mb(s->live_bytes), s->live_objects, mb(rate_now(page, page->rate, now)),
           mb(s->nursery_bytes), mb(s->peak_heap_bytes), mb(s->external_bytes), end_of_line);
    printf("threads %d; finalizers %" PRIu64 ", due %" PRIu64 ", run %" PRIu64
           "; traced on its node ",
           s->mutators, s->finalizers, s->finalizers_due, s->finalizers_run);
    show_percent(0, local_share(page, -1));
    printf(" %%%s", end_of_line);
    show_collections(page, now);
    show_nodes(page, now);
}

/* --- JSON --------------------------------------------------------------------------------------------- */

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20 ||
            (unsigned char)*text >= 0x7f)
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    putchar('"');
}

/* A member of a JSON object. */
struct count {
    const char *name;
    uint64_t value;
};

static void print_counts(const struct count *count, size_t counts)
{
    for (size_t i = 0; i < counts; i++)
        printf("\"%s\": %" PRIu64 ", ", count[i].name, count[i].value);
}

static void print_share(double share)
{
    printf("\"local_percent\": ");
    if (share < 0)
        printf("null");
    else
        printf("%.2f", share);
}

static void print_nodes(const struct hg_page *page, uint64_t now)
{
    printf("   \"nodes\": [");
    for (int n = 0; n < page->nodes; n++) {
        const hearth_node_stats *node = &page->node[n].stats;
        printf("%s\n     {\"node\": %d, \"os_node\": %d, ", n > 0 ? "," : "", node->node,
               node->os_node);
        const struct count of_node[] = {
            {"live_bytes", node->live_bytes},
            {"live_objects", node->live_objects},
            {"used_bytes", used_of(node)},
            {"free_bytes", node->free_blocks * 65536},
            {"large_bytes", node->large_bytes},
            {"chunks", node->chunks},
            {"spilled_blocks", node->spilled_in},
            {"released_bytes", node->released_bytes},
            {"allocated_bytes", node->allocated_bytes},
            {"bytes_per_second", rate_now(page, page->node[n].rate, now)},
            {"received", node->received},
        };
        print_counts(of_node, sizeof of_node / sizeof *of_node);
        print_share(local_share(page, n));
        printf("}");
    }
    printf("]}");
}

static void print_page(const struct hg_page *page)
{
    const hearth_stats *s = &page->stats;
    uint64_t now = ht_os_now();
    char command[64];
    command_of(page, command, sizeof command);
    printf("  {\"process\": %d, \"command\": ", page->process);
    print_string(command);
    printf(", \"alive\": %s, \"heap\": %u, \"version\": ", is_alive(page) ? "1" : "0", page->heap);
    print_string(page->library);
    printf(",\n   ");
    const struct count of_heap[] = {
        {"age_ns", now > page->created_ns ? now - page->created_ns : 0},
        {"updated_ns_ago", now > page->updated_ns ? now - page->updated_ns : 0},
        {"threads", (uint64_t)s->mutators},
        {"used_bytes", s->heap_bytes},
        {"budget_bytes", s->budget_bytes},
        {"limit_bytes", s->limit_bytes},
        {"peak_bytes", s->peak_heap_bytes},
        {"nursery_bytes", s->nursery_bytes},
        {"external_bytes", s->external_bytes},
        {"live_bytes", s->live_bytes},
        {"live_objects", s->live_objects},
        {"allocated_bytes", s->allocated_bytes},
        {"bytes_per_second", rate_now(page, page->rate, now)},
        {"spilled_blocks", s->spilled_blocks},
    };
    print_counts(of_heap, sizeof of_heap / sizeof *of_heap);
    printf("\n   ");
    const struct count of_collections[] = {
        {"minor_collections", s->minor_count}, {"full_collections", s->full_count},
        {"pause_p50_ns", s->pause_p50_ns},     {"pause_p99_ns", s->pause_p99_ns},
        {"pause_max_ns", s->pause_max_ns},     {"pause_total_ns", s->pause_total_ns},
        {"finalizers", s->finalizers},         {"finalizers_due", s->finalizers_due},
    };
    print_counts(of_collections, sizeof of_collections / sizeof *of_collections);
    print_share(local_share(page, -1));
    printf(",\n");
    print_nodes(page, now);
}

/* --- the program -------------------------------------------------------------------------------------- */

static bool read_delay(const char *text, double *delay)
{
    char *end;
    *delay = strtod(text, &end);
    if (*text != '\0' && *end == '\0' && *delay >= 0.1 && *delay <= 3600)
        return true;
    fprintf(stderr, "hearth-top: --delay: '%s' is no number from 0.1 to 3600\n", text);
    return false;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    *arguments = (struct arguments){.delay = 1, .what = argv};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--once") == 0) {
            arguments->once = true;
        } else if (strcmp(word, "--json") == 0) {
            arguments->json = true;
        } else if (strcmp(word, "--help") == 0) {
            arguments->answer = usage;
        } else if (strcmp(word, "--version") == 0) {
            arguments->answer = HEARTH_VERSION "\n";
        } else if (strcmp(word, "--delay") == 0) {
            if (!read_delay(i + 1 < argc ? argv[i + 1] : "", &arguments->delay))
                return false;
            i++;
        } else if (word[0] == '-') {
            fprintf(stderr, "hearth-top: unknown option '%s'\n%s", word, usage);
            return false;
        } else {
            argv[arguments->count++] = argv[i];
        }
    }
    return true;
}

static void print_pages(const struct arguments *arguments, const struct pages *pages)
{
    if (arguments->json) {
        printf("[\n");
        for (int i = 0; i < pages->count; i++) {
            print_page(pages->page[i]);
            printf(i + 1 < pages->count ? ",\n" : "\n");
        }
        printf("]\n");
        return;
    }
    for (int i = 0; i < pages->count; i++) {
        if (i > 0)
            printf("%s", end_of_line);
        show_page(pages->page[i]);
    }
}

/* Until no page is left. */
static int refresh(const struct arguments *arguments)
{
    struct timespec delay = {.tv_sec = (time_t)arguments->delay};
    struct pages pages = {.count = 0};
    delay.tv_nsec = (long)((arguments->delay - (double)delay.tv_sec) * 1e9);
    end_of_line = "\033[K\n";
    for (bool first = true;; first = false) {
        read_pages(arguments, &pages);
        if (pages.count == 0)
            return first ? 1 : 0;
        printf(first ? "\033[2J\033[H" : "\033[H");
        print_pages(arguments, &pages);
        printf("\033[J");
        free_pages(&pages);
        if (fflush(stdout) != 0)
            return 1;
        nanosleep(&delay, NULL);
    }
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct pages pages = {.count = 0};
    int status = 0;
    if (!read_arguments(argc, argv, &arguments))
        return 2;
    if (arguments.answer != NULL) {
        fputs(arguments.answer, stdout);
    } else if (!arguments.once && !arguments.json) {
        return refresh(&arguments);
    } else {
        read_pages(&arguments, &pages);
        print_pages(&arguments, &pages);
        if (pages.count == 0 && pages.failed == 0)
            fprintf(stderr, "hearth-top: no process has a page in %s\n", HG_PAGE_DIRECTORY);
        status = pages.count == 0 || pages.failed != 0;
        free_pages(&pages);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "hearth-top: writing to standard output failed\n");
        status = 1;
    }
    return status;
}
