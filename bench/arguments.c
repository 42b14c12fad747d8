/* bench/arguments.c - the command line that all benchmark programs share.
 *
 * Invariant: a number is taken only if the whole word is one and it lies within its bounds. Single
 * threaded: runs before anything else. */
#include "bench/arguments.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"

enum { MAX_THREADS = 4096 };

static const char usage[] =
    "usage: %s [--threads N] [--heap-x F] [--scale F] [--size F] [--variant NAME] [--json]\n"
    "          [--nodes] [--live]\n"
    "  --threads N   threads, each with its own copy of the work: 1 to 4096, or all: as many as\n"
    "                CPUs may be used (default 1)\n"
    "  --heap-x F    size of the heap as a multiple of what is live at most, 0.1 to 1000\n"
    "                (default 2); no effect on systems without a heap limit\n"
    "  --scale F     how much work, 0.0001 to 10000 (default 1: about a second)\n"
    "  --size F      what is live, 0.0001 to 10000 times the usual (some workloads)\n"
    "  --variant X   one of those that the workload has, the first by default:%s\n"
    "  --json        print the result as one line of JSON\n"
    "  --nodes       also print a table of the memory nodes, if the system knows them\n"
    "  --live        only print what is live at most, in bytes\n";

static double number(const char *option, const char *text, double low, double high)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite(value) || value < low ||
        value > high)
        bench_fail(2, "%s: '%s' is not a number from %g to %g", option, text, low, high);
    return value;
}

static unsigned thread_count(const char *option, const char *text)
{
    if (strcmp(text, "all") == 0)
        return 0;
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 1 || value > MAX_THREADS)
        bench_fail(2, "%s: '%s' is neither 'all' nor a whole number from 1 to %d", option, text,
                   MAX_THREADS);
    return (unsigned)value;
}

/* The value of --option VALUE or --option=VALUE. NULL if the word at *at is another option. */
static const char *value_of(const char *option, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    size_t length = strlen(option);
    if (strncmp(word, option, length) != 0)
        return NULL;
    if (word[length] == '=')
        return word + length + 1;
    if (word[length] != '\0')
        return NULL;
    if (*at + 1 >= argc)
        bench_fail(2, "%s needs a value", option);
    return argv[++*at];
}

/* The variants' names, each after a blank. */
static const char *variant_names(const struct choices *choices)
{
    static char names[256];
    size_t length = 0;
    names[0] = '\0';
    for (unsigned i = 0; i < choices->count && length < sizeof names; i++)
        length +=
            (size_t)snprintf(names + length, sizeof names - length, " %s", choices->variants[i]);
    return choices->count > 0 ? names : " none";
}

static unsigned variant_index(const char *text, const struct choices *choices)
{
    for (unsigned i = 0; i < choices->count; i++)
        if (strcmp(text, choices->variants[i]) == 0)
            return i;
    bench_fail(2, "--variant: '%s' is none of:%s", text, variant_names(choices));
}

static double live_size(const char *text, const struct choices *choices)
{
    double size = number("--size", text, 0.0001, 10000);
    if (!choices->sized && size != 1)
        bench_fail(2, "--size: '%s', but this workload has one size only: 1", text);
    return size;
}

/* Options without a value. */
static bool parse_flag(const char *word, const struct choices *choices, struct arguments *result)
{
    if (strcmp(word, "--json") == 0) {
        result->json = true;
    } else if (strcmp(word, "--nodes") == 0) {
        result->nodes = true;
    } else if (strcmp(word, "--live") == 0) {
        result->live = true;
    } else if (strcmp(word, "--help") == 0) {
        printf(usage, bench_program, variant_names(choices));
        exit(0);
    } else {
        return false;
    }
    return true;
}

struct arguments arguments_parse(int argc, char **argv, const struct choices *choices)
{
    struct arguments result = {.threads = 1, .heap_x = 2, .scale = 1, .size = 1};
    if (argc > 0) {
        const char *slash = strrchr(argv[0], '/');
        bench_program = slash != NULL ? slash + 1 : argv[0];
    }
    for (int at = 1; at < argc; at++) {
        const char *value;
        if (parse_flag(argv[at], choices, &result)) {
            continue;
        } else if ((value = value_of("--threads", argc, argv, &at)) != NULL) {
            result.threads = thread_count("--threads", value);
        } else if ((value = value_of("--heap-x", argc, argv, &at)) != NULL) {
            result.heap_x = number("--heap-x", value, 0.1, 1000);
        } else if ((value = value_of("--scale", argc, argv, &at)) != NULL) {
            result.scale = number("--scale", value, 0.0001, 10000);
        } else if ((value = value_of("--size", argc, argv, &at)) != NULL) {
            result.size = live_size(value, choices);
        } else if ((value = value_of("--variant", argc, argv, &at)) != NULL) {
            result.variant = variant_index(value, choices);
        } else {
            bench_fail(2, "unknown argument '%s'; --help lists them", argv[at]);
        }
    }
    return result;
}
