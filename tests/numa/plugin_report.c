/* tests/numa/plugin_report.c - the report at QEMU's end: for people on report=FILE (or standard error),
 * and for programs on FILE.tsv.
 *
 * The table for programs has one line for each region, tag, class, CPU node and memory node that has a
 * count; its first line names the columns. */
#include <inttypes.h>
#include <string.h>

#include "tests/numa/plugin.h"

/* Counts by the CPU's node. */
struct by_node {
    struct na_counts node[NA_NODES];
};

struct total {
    uint64_t accesses, local, distance, elsewhere;
    uint64_t fills, fills_local, transfers, transfers_local, writebacks, writebacks_local;
    uint64_t miss_distance;
};

enum { ALL = -1 };

static struct by_node sum_of(int region, int tag, int class_)
{
    struct by_node sum;
    memset(&sum, 0, sizeof sum);
    for (int t = 0; t < na_tag_names.count; t++)
        for (int vcpu = 0; vcpu < na_machine.vcpus; vcpu++)
            for (int c = 0; c < na_class_names.count; c++)
                if ((tag == ALL || t == tag) && (class_ == ALL || c == class_) &&
                    na_machine.node_of[vcpu] >= 0)
                    na_count_add(&sum.node[na_machine.node_of[vcpu]],
                                 &na_counters(region, t, vcpu)[c]);
    return sum;
}

static void total_node(struct total *total, const struct na_counts *counts, int cpu, int node)
{
    uint64_t accesses = counts->accesses[node][0] + counts->accesses[node][1];
    uint64_t fills = counts->fills[node][0] + counts->fills[node][1];
    uint64_t transfers = counts->transfers[node][0] + counts->transfers[node][1];
    uint64_t distance = (uint64_t)na_machine.distance[cpu][node], local = cpu == node;

    total->accesses += accesses;
    total->distance += accesses * distance;
    total->fills += fills;
    total->transfers += transfers;
    total->writebacks += counts->writebacks[node];
    total->miss_distance += (fills + transfers) * distance;
    total->local += local * accesses;
    total->fills_local += local * fills;
    total->transfers_local += local * transfers;
    total->writebacks_local += local * counts->writebacks[node];
}

static struct total total_of(const struct by_node *sum)
{
    struct total total;
    memset(&total, 0, sizeof total);
    for (int cpu = 0; cpu < na_machine.nodes; cpu++) {
        total.elsewhere += sum->node[cpu].elsewhere;
        for (int node = 0; node < na_machine.nodes; node++)
            total_node(&total, &sum->node[cpu], cpu, node);
    }
    return total;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static double average(uint64_t sum, uint64_t count)
{
    return count ? (double)sum / (double)count : 0;
}

static void print_total(FILE *file, const struct total *total)
{
    fprintf(file, "%" PRIu64 " accesses, %.2f%% local, average distance %.2f", total->accesses,
            percent(total->local, total->accesses), average(total->distance, total->accesses));
    if (total->elsewhere > 0)
        fprintf(file, ", %" PRIu64 " to no node", total->elsewhere);
    fputc('\n', file);
    if (na_options.cache_kib == 0)
        return;
    uint64_t misses = total->fills + total->transfers;
    fprintf(file,
            "    misses %.2f%%, average distance %.2f: %" PRIu64 " fills (%.2f%% local), %" PRIu64
            " transfers (%.2f%% local); %" PRIu64 " write-backs (%.2f%% local)\n",
            percent(misses, total->accesses), average(total->miss_distance, misses), total->fills,
            percent(total->fills_local, total->fills), total->transfers,
            percent(total->transfers_local, total->transfers), total->writebacks,
            percent(total->writebacks_local, total->writebacks));
}

/* A line for each CPU node, two numbers for each memory node. */
static void print_matrix(FILE *file, const struct by_node *sum, bool misses)
{
    fprintf(file, misses
                      ? "  thousand misses, fills+transfers; below CPU nodes, across memory nodes\n"
                      : "  million accesses, loads+stores; below CPU nodes, across memory nodes\n");
    fprintf(file, "        ");
    for (int node = 0; node < na_machine.nodes; node++)
        fprintf(file, "%18d", node);
    fputc('\n', file);
    for (int cpu = 0; cpu < na_machine.nodes; cpu++) {
        fprintf(file, "  %6d", cpu);
        for (int node = 0; node < na_machine.nodes; node++) {
            const struct na_counts *counts = &sum->node[cpu];
            const uint64_t *accesses = counts->accesses[node];
            uint64_t fills = counts->fills[node][0] + counts->fills[node][1];
            uint64_t transfers = counts->transfers[node][0] + counts->transfers[node][1];
            double first = misses ? (double)fills / 1e3 : (double)accesses[0] / 1e6;
            double second = misses ? (double)transfers / 1e3 : (double)accesses[1] / 1e6;
            fprintf(file, "%10.3f+%-7.3f", first, second);
        }
        fputc('\n', file);
    }
}

static void print_part(FILE *file, int region, int tag, int class_)
{
    struct by_node sum = sum_of(region, tag, class_);
    struct total total = total_of(&sum);

    if (total.accesses == 0)
        return;
    fprintf(file, "  tag %s%s%s: ", na_tag_names.names[tag], class_ == ALL ? "" : ", class ",
            class_ == ALL ? "" : na_class_names.names[class_]);
    print_total(file, &total);
}

static void print_region(FILE *file, int region)
{
    struct by_node sum = sum_of(region, ALL, ALL);
    struct total total = total_of(&sum);

    fprintf(file, "\nregion %s: ", na_region_names.names[region]);
    print_total(file, &total);
    print_matrix(file, &sum, false);
    if (na_options.cache_kib > 0)
        print_matrix(file, &sum, true);
    if (na_tag_names.count == 1 && na_class_names.count == 1)
        return;
    for (int tag = 0; tag < na_tag_names.count; tag++) {
        print_part(file, region, tag, ALL);
        for (int class_ = 0; class_ < na_class_names.count && na_class_names.count > 1; class_++)
            print_part(file, region, tag, class_);
    }
}

static void print_row(FILE *file, int region, int tag, int class_, int cpu, int node,
                      const struct na_counts *counts)
{
    const uint64_t *accesses = counts->accesses[node], *fills = counts->fills[node];
    const uint64_t *transfers = counts->transfers[node];

    if (accesses[0] + accesses[1] + transfers[0] + transfers[1] + counts->writebacks[node] == 0)
        return;
    fprintf(file, "%s\t%s\t%s\t%d\t%d\t%d", na_region_names.names[region], na_tag_names.names[tag],
            na_class_names.names[class_], cpu, node, na_machine.distance[cpu][node]);
    fprintf(file,
            "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
            "\t%" PRIu64 "\n",
            accesses[0], accesses[1], fills[0], fills[1], transfers[0], transfers[1],
            counts->writebacks[node]);
}

static void print_table(FILE *file)
{
    fprintf(file, "region\ttag\tclass\tcpu_node\tmemory_node\tdistance\tloads\tstores\tload_fills\t"
                  "store_fills\tload_transfers\tstore_transfers\twritebacks\n");
    for (int region = 0; region < na_region_names.count; region++)
        for (int tag = 0; tag < na_tag_names.count; tag++)
            for (int class_ = 0; class_ < na_class_names.count; class_++) {
                struct by_node sum = sum_of(region, tag, class_);
                for (int cpu = 0; cpu < na_machine.nodes; cpu++)
                    for (int node = 0; node < na_machine.nodes; node++)
                        print_row(file, region, tag, class_, cpu, node, &sum.node[cpu]);
            }
}

static void print_text(FILE *file)
{
    int processors = 0;

    for (int vcpu = 0; vcpu < na_machine.vcpus; vcpu++)
        processors += na_machine.node_of[vcpu] >= 0;
    fprintf(file, "%d processors, cache model ", processors);
    if (na_options.cache_kib > 0)
        fprintf(file, "%u KiB in %u ways", na_options.cache_kib, na_options.ways);
    else
        fprintf(file, "off");
    fprintf(file, ", pace %u (%" PRIu64 " waits), places proven %" PRIu64 "\n", na_options.pace,
            na_pace_waits(), na_marker_places());
    if (na_broken != NULL)
        fprintf(file, "NOT TO BE TRUSTED: %s\n", na_broken);
    for (int region = 0; region < na_region_names.count; region++)
        print_region(file, region);
}

void na_report(void)
{
    char name[4096];
    FILE *file = na_options.report != NULL ? fopen(na_options.report, "w") : stderr;

    if (file == NULL)
        return;
    print_text(file);
    if (na_options.report == NULL)
        return;
    fclose(file);
    snprintf(name, sizeof name, "%s.tsv", na_options.report);
    file = fopen(name, "w");
    if (file == NULL)
        return;
    print_table(file);
    fclose(file);
}
