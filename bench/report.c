/* bench/report.c - printing what a run found, as JSON or as a table.
 *
 * Invariant: as in report.h. Single threaded but for report_progress, which one thread calls. */
#include "bench/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"

static int shown = -1; /* percent on the terminal now; -1: none, -2: no terminal */

static void print_json(const struct report *r)
{
    printf("{\"workload\":\"%s\",\"system\":\"%s\",\"threads\":%u,\"heap_x\":%g,"
           "\"allocations\":%" PRIu64 ",\"cpu_s\":%.4f,\"wall_s\":%.4f,\"peak_rss_mb\":%.2f,"
           "\"collections\":%" PRIu64 ",\"pause_p50_ms\":%.4f,\"pause_p99_ms\":%.4f,"
           "\"pause_max_ms\":%.4f,\"checksum\":\"%016" PRIx64 "\",\"live_mb\":%.3f,"
           "\"heap_mb\":%.3f,\"variant\":\"%s\",\"size\":%g,\"ops\":%" PRIu64
           ",\"work_cpu_s\":%.4f,\"work_wall_s\":%.4f,\"latency_p50_us\":%.3f,"
           "\"latency_p99_us\":%.3f,\"latency_p999_us\":%.3f,\"latency_max_us\":%.3f}\n",
           r->workload, r->system, r->threads, r->heap_x, r->allocations, r->cpu_s, r->wall_s,
           r->peak_rss_mb, r->collections, r->pause_p50_ms, r->pause_p99_ms, r->pause_max_ms,
           r->checksum, r->live_mb, r->heap_mb, r->variant, r->size, r->ops, r->work_cpu_s,
           r->work_wall_s, r->latency_us[0], r->latency_us[1], r->latency_us[2], r->latency_us[3]);
}

static void print_table(const struct report *r)
{
    printf("%s%s%s on %s, %u thread%s\n", r->workload, r->variant[0] != '\0' ? " " : "", r->variant,
           r->system, r->threads, r->threads == 1 ? "" : "s");
    printf("  allocations   %" PRIu64 ", %.1f million a second\n", r->allocations,
           (double)r->allocations / r->wall_s / 1e6);
    printf("  CPU           %.3f s, %.2f ns per allocation\n", r->cpu_s,
           r->cpu_s * 1e9 / (double)r->allocations);
    printf("  wall          %.3f s\n", r->wall_s);
    if (r->ops != r->allocations || r->work_cpu_s != r->cpu_s)
        printf("  operations    %" PRIu64 ": %.2f ns of CPU, %.2f ns of wall each\n", r->ops,
               r->work_cpu_s * 1e9 / (double)r->ops, r->work_wall_s * 1e9 / (double)r->ops);
    if (r->latency_us[3] > 0)
        printf("  latency       p50 %.2f, p99 %.2f, p99.9 %.2f, max %.2f us\n", r->latency_us[0],
               r->latency_us[1], r->latency_us[2], r->latency_us[3]);
    printf("  peak RSS      %.1f MB for at most %.1f MB live\n", r->peak_rss_mb, r->live_mb);
    if (r->heap_mb > 0)
        printf("  heap          %.1f MB, %g x live\n", r->heap_mb, r->heap_x);
    if (r->collections > 0) {
        printf("  collections   %" PRIu64 "\n", r->collections);
        printf("  pauses        p50 %.3f ms, p99 %.3f ms, max %.3f ms\n", r->pause_p50_ms,
               r->pause_p99_ms, r->pause_max_ms);
    }
    printf("  checksum      %016" PRIx64 "\n", r->checksum);
}

void report_print(const struct report *report, bool json)
{
    if (json)
        print_json(report);
    else
        print_table(report);
    if (fflush(stdout) != 0)
        bench_fail(1, "the result cannot be written: %s", strerror(errno));
}

void report_progress(const struct report *report, double share)
{
    int percent = (int)(share * 100);
    if (shown == -2 || percent == shown)
        return;
    if (shown == -1 && !isatty(STDERR_FILENO)) {
        shown = -2;
        return;
    }
    shown = percent;
    fprintf(stderr, "\r%s on %s, %u thread%s: %3d %%", report->workload, report->system,
            report->threads, report->threads == 1 ? "" : "s", percent);
}

void report_progress_finish(void)
{
    if (shown >= 0)
        fprintf(stderr, "\r\033[K");
}
