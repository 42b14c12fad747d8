/* topology/hearth-info.c - the program that shows what hearth sees: nodes, CPUs, distances,
 * options.
 *
 * It uses the public API only, so it also shows what an embedder can know. Output goes to standard
 * output, as a table or as one JSON object; complaints go to standard error. Exit status: 0, 1 when
 * the system fails, 2 for arguments or options that are wrong. */
#define _GNU_SOURCE 1

#include <hwloc.h>
#include <mimalloc.h>
#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hearth.h"

enum { VALUE_BYTES = 256, VERSION_BYTES = 64 };

static const char usage[] =
    "usage: hearth-info [--json] [--options NAME=VALUE,...]\n"
    "Shows the nodes, CPUs and distances a hearth heap would use here, and every option.\n"
    "  --json           print one JSON object instead of tables\n"
    "  --options LIST   apply these options first; HEARTH_OPTIONS overrides them\n"
    "  --version        print hearth's version\n"
    "  --help           print this\n"
    "HWLOC_SYNTHETIC and HWLOC_XMLFILE describe another machine to look at.\n";

/* Everything shown. The options and the topology are owned by main. */
struct report {
    const hearth_options *options;
    const hearth_topology *topology;
    char hwloc[VERSION_BYTES];    /* built with, and the interface found at run time         */
    char libnuma[VERSION_BYTES];  /* its interface: the library does not tell its version    */
    char mimalloc[VERSION_BYTES]; /* found at run time                                       */
    long page_size;               /* bytes                                                   */
};

static void versions(struct report *report)
{
    unsigned hwloc = hwloc_get_api_version();
    int mimalloc = mi_version();

    snprintf(report->hwloc, sizeof(report->hwloc), "%s (API %u.%u.%u)", HWLOC_VERSION, hwloc >> 16,
             hwloc >> 8 & 0xff, hwloc & 0xff);
    snprintf(report->libnuma, sizeof(report->libnuma), "API %d%s", LIBNUMA_API_VERSION,
             numa_available() < 0 ? ", no NUMA in this kernel" : "");
    snprintf(report->mimalloc, sizeof(report->mimalloc), "%d.%d.%d", mimalloc / 100,
             mimalloc / 10 % 10, mimalloc % 10);
    report->page_size = sysconf(_SC_PAGESIZE);
}

static int quota(const hearth_topology *topology)
{
    int cpus = hearth_topology_cpus(topology);

    return cpus < hearth_topology_cpus_allowed(topology) ? cpus : 0;
}

static void option_value(const struct report *report, const hearth_option_info *option, char *value)
{
    if (hearth_options_get(report->options, option->name, value, VALUE_BYTES) != HEARTH_OK)
        value[0] = '\0';
}

static bool node_info(const struct report *report, int node, hearth_node_info *info)
{
    info->struct_size = sizeof(*info);
    return hearth_topology_node(report->topology, node, info) == HEARTH_OK;
}

/* --- tables ----------------------------------------------------------------------------------- */

static void table_machine(const struct report *report)
{
    int cpus = quota(report->topology);

    printf("hearth    %s\n", hearth_version());
    printf("hwloc     %s\n", report->hwloc);
    printf("libnuma   %s\n", report->libnuma);
    printf("mimalloc  %s\n", report->mimalloc);
    printf("page      %ld bytes\n", report->page_size);
    printf("cpus      %d usable of %d allowed, ", hearth_topology_cpus(report->topology),
           hearth_topology_cpus_allowed(report->topology));
    if (cpus > 0)
        printf("quota %d\n", cpus);
    else
        printf("no quota\n");
}

static void table_nodes(const struct report *report)
{
    printf("\nnode  system  cpus  memory MiB    free MiB  kind     cpu list\n");
    for (int node = 0; node < hearth_topology_nodes(report->topology); node++) {
        hearth_node_info info;

        if (!node_info(report, node, &info))
            continue;
        printf("%4d  %6d  %4d  %10llu  %10llu  %-7s  %s\n", info.node, info.os_node, info.cpus,
               (unsigned long long)(info.memory_bytes >> 20),
               (unsigned long long)(info.free_bytes >> 20),
               info.cpuless ? "cpuless"
               : info.fake  ? "fake"
                            : "real",
               info.cpuless ? "-" : info.cpu_list);
    }
}

static void table_distances(const struct report *report)
{
    int nodes = hearth_topology_nodes(report->topology);

    printf("\ndistance");
    for (int to = 0; to < nodes; to++)
        printf(" %4d", to);
    printf("\n");
    for (int from = 0; from < nodes; from++) {
        printf("%8d", from);
        for (int to = 0; to < nodes; to++)
            printf(" %4d", hearth_topology_distance(report->topology, from, to));
        printf("\n");
    }
}

static void table_options(const struct report *report)
{
    printf("\n%-17s %-9s %-9s %s\n", "option", "value", "default", "meaning");
    for (size_t i = 0; i < hearth_option_count(); i++) {
        const hearth_option_info *option = hearth_option_at(i);
        char value[VALUE_BYTES];

        option_value(report, option, value);
        printf("%-17s %-9s %-9s %s\n", option->name, value, option->fallback, option->help);
        if (option->choices != NULL)
            printf("%-37s (%s)\n", "", option->choices);
    }
}

static void print_tables(const struct report *report)
{
    table_machine(report);
    table_nodes(report);
    table_distances(report);
    table_options(report);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void json_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void json_member(const char *name, const char *value)
{
    printf("\"%s\": ", name);
    if (value == NULL)
        printf("null");
    else
        json_string(value);
}

static void json_nodes(const struct report *report)
{
    int nodes = hearth_topology_nodes(report->topology);

    printf("  \"nodes\": [\n");
    for (int node = 0; node < nodes; node++) {
        hearth_node_info info;

        if (!node_info(report, node, &info))
            continue;
        printf("    {\"node\": %d, \"os_node\": %d, \"cpus\": %d, ", info.node, info.os_node,
               info.cpus);
        json_member("cpu_list", info.cpu_list);
        printf(", \"memory_bytes\": %llu, \"free_bytes\": %llu, \"cpuless\": %s, \"fake\": %s}%s\n",
               (unsigned long long)info.memory_bytes, (unsigned long long)info.free_bytes,
               info.cpuless ? "true" : "false", info.fake ? "true" : "false",
               node + 1 < nodes ? "," : "");
    }
    printf("  ],\n");
}

static void json_distances(const struct report *report)
{
    int nodes = hearth_topology_nodes(report->topology);

    printf("  \"distances\": [\n");
    for (int from = 0; from < nodes; from++) {
        printf("    [");
        for (int to = 0; to < nodes; to++)
            printf("%s%d", to > 0 ? ", " : "",
                   hearth_topology_distance(report->topology, from, to));
        printf("]%s\n", from + 1 < nodes ? "," : "");
    }
    printf("  ],\n");
}

static void json_options(const struct report *report)
{
    static const char *const kinds[] = {
        [HEARTH_OPTION_BOOL] = "bool",     [HEARTH_OPTION_INT] = "int",
        [HEARTH_OPTION_SIZE] = "size",     [HEARTH_OPTION_FLOAT] = "float",
        [HEARTH_OPTION_CHOICE] = "choice", [HEARTH_OPTION_TEXT] = "text"};
    size_t count = hearth_option_count();

    printf("  \"options\": [\n");
    for (size_t i = 0; i < count; i++) {
        const hearth_option_info *option = hearth_option_at(i);
        char value[VALUE_BYTES];

        option_value(report, option, value);
        printf("    {");
        json_member("name", option->name);
        printf(", ");
        json_member("kind", kinds[option->kind]);
        printf(", ");
        json_member("value", value);
        printf(", ");
        json_member("default", option->fallback);
        printf(", ");
        json_member("choices", option->choices);
        if (option->kind == HEARTH_OPTION_BOOL || option->kind == HEARTH_OPTION_CHOICE ||
            option->kind == HEARTH_OPTION_TEXT)
            printf(", \"min\": null, \"max\": null, ");
        else
            printf(", \"min\": %.17g, \"max\": %.17g, ", option->min, option->max);
        json_member("help", option->help);
        printf("}%s\n", i + 1 < count ? "," : "");
    }
    printf("  ]\n");
}

static void print_json(const struct report *report)
{
    int cpus = quota(report->topology);

    printf("{\n  ");
    json_member("version", hearth_version());
    printf(",\n  \"libraries\": {");
    json_member("hwloc", report->hwloc);
    printf(", ");
    json_member("libnuma", report->libnuma);
    printf(", ");
    json_member("mimalloc", report->mimalloc);
    printf("},\n  \"page_size\": %ld,\n", report->page_size);
    printf("  \"cpus\": {\"usable\": %d, \"allowed\": %d, \"quota\": ",
           hearth_topology_cpus(report->topology), hearth_topology_cpus_allowed(report->topology));
    if (cpus > 0)
        printf("%d},\n", cpus);
    else
        printf("null},\n");
    json_nodes(report);
    json_distances(report);
    json_options(report);
    printf("}\n");
}

/* --- main ------------------------------------------------------------------------------------- */

struct arguments {
    const char *options; /* of --options, NULL without       */
    bool json;           /* --json                           */
    const char *answer;  /* print this and leave, else NULL  */
};

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    memset(arguments, 0, sizeof(*arguments));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            arguments->json = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            arguments->answer = usage;
        } else if (strcmp(argv[i], "--version") == 0) {
            arguments->answer = "hearth-info " HEARTH_VERSION "\n";
        } else if (strncmp(argv[i], "--options=", 10) == 0) {
            arguments->options = argv[i] + 10;
        } else if (strcmp(argv[i], "--options") == 0 && i + 1 < argc) {
            arguments->options = argv[++i];
        } else if (strcmp(argv[i], "--options") == 0) {
            fprintf(stderr, "hearth-info: --options needs a list of NAME=VALUE\n%s", usage);
            return false;
        } else {
            fprintf(stderr, "hearth-info: unknown argument '%s'\n%s", argv[i], usage);
            return false;
        }
    }
    return true;
}

/* Complains about the last failure; the exit status that tells whose fault it was. */
static int complain(void)
{
    fprintf(stderr, "hearth-info: %s\n", hearth_last_error());
    return hearth_last_status() == HEARTH_EOPTION ? 2 : 1;
}

static int report(const struct arguments *arguments, hearth_options *options)
{
    const char *environment = getenv("HEARTH_OPTIONS");
    hearth_topology *topology;
    struct report all = {.options = options};

    if (arguments->options != NULL &&
        hearth_options_parse(options, arguments->options) != HEARTH_OK)
        return complain();
    if (environment != NULL && hearth_options_parse(options, environment) != HEARTH_OK) {
        fprintf(stderr, "hearth-info: HEARTH_OPTIONS: %s\n", hearth_last_error());
        return 2;
    }
    if (hearth_topology_create(&topology, options) != HEARTH_OK)
        return complain();
    all.topology = topology;
    versions(&all);
    if (arguments->json)
        print_json(&all);
    else
        print_tables(&all);
    hearth_topology_destroy(topology);
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    hearth_options *options;
    int status = 0;

    if (!read_arguments(argc, argv, &arguments))
        return 2;
    if (arguments.answer != NULL) {
        fputs(arguments.answer, stdout);
    } else {
        if (hearth_options_create(&options) != HEARTH_OK)
            return complain();
        status = report(&arguments, options);
        hearth_options_destroy(options);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "hearth-info: writing to standard output failed\n");
        return 1;
    }
    return status;
}
