/* topology/options.c - the table of options, and reading and writing their values as text.
 *
 * The table is the only place that knows an option: defaults, the API, HEARTH_OPTIONS, hearth-info
 * and the documentation are all driven by it.
 *
 * Invariant: a set of options only ever holds values within their rows' bounds, because every
 * value, the defaults included, comes through ht_option_read; a failed call leaves the set as it
 * was.
 * Lock order: none. A set belongs to its caller; the table is constant. */
#define _GNU_SOURCE 1

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/error.h"
#include "topology/options.h"
#include "topology/os.h"
#include "topology/topology.h"

struct ht_option {
    hearth_option_info info; /* what the public API shows           */
    size_t offset;           /* of its field in the set             */
};

/* A row's field must have the C type of its kind; a disagreement does not compile. */
#define HT_IS(field, type)                                                                         \
    (sizeof(                                                                                       \
         char[__builtin_types_compatible_p(__typeof__(((struct hearth_options *)0)->field), type)  \
                  ? 1                                                                              \
                  : -1]) -                                                                         \
     1)
_Static_assert(sizeof(size_t) == sizeof(int64_t), "a count fits the reader of integers");
#define HT_AT(field, type) (offsetof(struct hearth_options, field) + HT_IS(field, type))

/* clang-format off */
#define HT_BOOL(field, name, fallback, help) \
    {{name, help, NULL, fallback, 0, 1, HEARTH_OPTION_BOOL}, HT_AT(field, bool)},
#define HT_INT(field, name, fallback, min, max, help) \
    {{name, help, NULL, fallback, min, max, HEARTH_OPTION_INT}, HT_AT(field, int64_t)},
/* An integer that is never negative, kept in the unsigned type of the same width. */
#define HT_COUNT(field, name, fallback, max, help) \
    {{name, help, NULL, fallback, 0, max, HEARTH_OPTION_INT}, HT_AT(field, size_t)},
#define HT_SIZE(field, name, fallback, min, max, help) \
    {{name, help, NULL, fallback, min, max, HEARTH_OPTION_SIZE}, HT_AT(field, size_t)},
#define HT_FLOAT(field, name, fallback, min, max, help) \
    {{name, help, NULL, fallback, min, max, HEARTH_OPTION_FLOAT}, HT_AT(field, double)},
#define HT_CHOICE(field, name, fallback, choices, help) \
    {{name, help, choices, fallback, 0, 0, HEARTH_OPTION_CHOICE}, HT_AT(field, int)},
#define HT_TEXT(field, name, fallback, help) \
    {{name, help, NULL, fallback, 0, 0, HEARTH_OPTION_TEXT}, HT_AT(field, char[HT_TEXT_BYTES])},

/* The words of a choice stand in the order of the enum in options.h. */
static const struct ht_option ht_option_table[] = {
    HT_INT(fake_nodes, "fake-nodes", "0", 0, HT_MAX_NODES,
           "Split the machine into this many pretended nodes; 0 uses the real ones.")
    HT_CHOICE(policy, "policy", "local", "local|strict|off",
              "Memory of a node: local may spill to others, strict never, off is the system's.")
    HT_INT(preferred, "preferred", "-1", -1, HT_MAX_NODES - 1,
           "Node that threads without one of their own allocate on; -1: the one they run on.")
    HT_CHOICE(mode, "mode", "auto", "auto|off|interleave|place|local",
              "Nodes: off ignores, interleave spreads, place allocates, local also traces by node.")
    HT_INT(workers, "workers", "0", 0, 256,
           "Most collection threads; 0 allows as many as CPUs and work do.")
    HT_SIZE(window, "window", "0", 0, 0x1p46,
            "Bytes of address space reserved per node; 0 picks by memory size.")
    HT_CHOICE(hugepages, "hugepages", "inherit", "inherit|off|on",
              "Transparent huge pages: inherit the system's setting, or advise off or on.")
    HT_SIZE(heap_limit, "heap-limit", "0", 0, 0x1p47,
            "Most bytes the heap may hold; 0 is three quarters of the machine or container.")
    HT_SIZE(heap_min, "heap-min", "0", 0, 0x1p47,
            "The budget never falls below these bytes; 0 picks by nursery size.")
    HT_FLOAT(growth, "growth", "2", 1.05, 100,
             "Budget of the next full collection as a multiple of what is live.")
    HT_SIZE(nursery, "nursery", "0", 0, 0x1p40,
            "Bytes allocated between minor collections; 0 is four times the L2 cache.")
    HT_BOOL(nursery_adaptive, "nursery-adaptive", "on",
            "Let the nursery follow how much survives.")
    HT_BOOL(generational, "generational", "on",
            "Collect young objects alone; off makes every collection full.")
    HT_COUNT(release_after, "release-after", "1000", 86400000,
            "Milliseconds a free block keeps its memory until the system gets it; 0 is for ever.")
    HT_BOOL(conservative, "conservative", "off",
            "Scan the stacks of all threads for ambiguous references.")
    HT_INT(prefetch, "prefetch", "16", 0, 64,
           "Depth of the tracer's prefetch ring; 0 traces without it.")
    HT_COUNT(help_after, "help-after", "16384", 0x1p40,
             "Objects one thread traces before it calls others to help; 0 calls them at once.")
    HT_BOOL(verify, "verify", "off",
            "Run the heap verifier before and after every collection.")
    HT_INT(stress, "stress", "0", 0, 1000000000,
           "Collect at every n-th slow allocation; 0 is off.")
    HT_BOOL(poison, "poison", "off",
            "Fill freed memory with the byte 0xfb, and look whether it is whole at reuse.")
    HT_CHOICE(log, "log", "none", "none|gc",
              "Print on standard error: gc is one line per collection.")
    HT_SIZE(soft_limit, "soft-limit", "0", 0, 0x1p47,
            "Bytes above which the heap is kept tight; 0 is three quarters of memory.high, if any.")
    HT_CHOICE(pacing, "pacing", "growth", "growth|membalancer",
              "What sets the budget: growth by what is live, membalancer also by rates.")
    HT_FLOAT(balance, "balance", "0.05", 0.0001, 10000,
             "With membalancer: percent of time worth spending on collections to save a MiB.")
    HT_CHOICE(finalize, "finalize", "safepoint", "safepoint|queue",
              "Who runs what is due: threads at safepoints, or the program by hearth_finalize_run.")
    HT_BOOL(guard, "guard", "off",
            "Put a guard behind every object; each collection tells which were overrun.")
    HT_TEXT(trace, "trace", "off",
            "Write a timeline of the collector to this file, for ui.perfetto.dev; off writes none.")
    HT_TEXT(stats_page, "stats-page", "off",
            "Show statistics to hearth-top: on in /dev/shm, or in the file of this name.")
};
/* clang-format on */

enum { HT_OPTIONS = sizeof(ht_option_table) / sizeof(ht_option_table[0]), HT_NAME_BYTES = 64 };

static void *ht_option_field(struct hearth_options *options, const struct ht_option *row)
{
    return (char *)options + row->offset;
}

/* `length` bytes at `name`, which need not be terminated. */
static const struct ht_option *ht_option_find(const char *name, size_t length)
{
    for (size_t i = 0; i < HT_OPTIONS; i++) {
        const char *known = ht_option_table[i].info.name;

        if (strlen(known) == length && memcmp(known, name, length) == 0)
            return &ht_option_table[i];
    }
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool ht_read_bool(const char *text, bool *out)
{
    static const char *const words[2][4] = {{"0", "off", "false", "no"},
                                            {"1", "on", "true", "yes"}};

    for (int value = 0; value < 2; value++) {
        for (int i = 0; i < 4; i++) {
            if (strcasecmp(text, words[value][i]) == 0) {
                *out = value == 1;
                return true;
            }
        }
    }
    return false;
}

/* Digits only behind an optional minus; the library's reader would also take spaces and signs. */
static bool ht_read_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-');
    char *end;

    if (!isdigit((unsigned char)*digits))
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool ht_read_size(const char *text, size_t *out)
{
    static const char suffixes[] = "kmgt";
    unsigned long long number;
    unsigned shift = 0;
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (*end != '\0') {
        const char *suffix = strchr(suffixes, tolower((unsigned char)*end));

        if (suffix == NULL || end[1] != '\0')
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    if (number > SIZE_MAX >> shift)
        return false;
    *out = (size_t)number << shift;
    return true;
}

/* Digits with one point at most, read here because strtod follows the locale: whole and fraction
 * are exact integers, divided once. */
static bool ht_read_float(const char *text, double *out)
{
    double number = 0, scale = 1;
    bool point = false, digits = false;

    for (; *text != '\0'; text++) {
        if (*text == '.' && !point) {
            point = true;
        } else if (isdigit((unsigned char)*text)) {
            digits = true;
            number = number * 10 + (*text - '0');
            scale *= point ? 10 : 1;
        } else {
            return false;
        }
    }
    *out = number / scale;
    return digits && isfinite(*out);
}

/* Index of the word in "a|b|c", or -1. */
static int ht_read_choice(const char *text, const char *choices)
{
    size_t length = strlen(text);

    for (int index = 0;; index++) {
        size_t word = strcspn(choices, "|");

        if (word == length && strncasecmp(choices, text, word) == 0)
            return index;
        if (choices[word] == '\0')
            return -1;
        choices += word + 1;
    }
}

static hearth_status ht_option_range(const hearth_option_info *info, const char *value)
{
    return ht_fail(HEARTH_EOPTION, "option %s: value \"%.64s\" is outside %.15g .. %.15g",
                   info->name, value, info->min, info->max);
}

static hearth_status ht_option_mismatch(const hearth_option_info *info, const char *value)
{
    static const char *const wanted[] = {
        [HEARTH_OPTION_BOOL] = "on or off",
        [HEARTH_OPTION_INT] = "a decimal integer",
        [HEARTH_OPTION_SIZE] = "a number of bytes with an optional k, m, g or t",
        [HEARTH_OPTION_FLOAT] = "a decimal fraction",
        [HEARTH_OPTION_TEXT] = "at most 255 bytes of text",
    };

    if (info->kind == HEARTH_OPTION_CHOICE)
        return ht_fail(HEARTH_EOPTION, "option %s: value \"%.64s\" is none of %s", info->name,
                       value, info->choices);
    return ht_fail(HEARTH_EOPTION, "option %s: value \"%.64s\" is not %s", info->name, value,
                   wanted[info->kind]);
}

/* Read `value` as the row says and store it; the set changes only on success. */
static hearth_status ht_option_read(struct hearth_options *options, const struct ht_option *row,
                                    const char *value)
{
    const hearth_option_info *info = &row->info;
    void *field = ht_option_field(options, row);
    bool known = false, inside = true;
    union {
        bool boolean;
        int64_t integer;
        size_t size;
        double real;
        int choice;
    } read;

    switch (info->kind) {
    case HEARTH_OPTION_BOOL:
        known = ht_read_bool(value, &read.boolean);
        if (known)
            *(bool *)field = read.boolean;
        break;
    case HEARTH_OPTION_INT:
        known = ht_read_int(value, &read.integer);
        inside = known && read.integer >= (int64_t)info->min && read.integer <= (int64_t)info->max;
        if (inside)
            *(int64_t *)field = read.integer;
        break;
    case HEARTH_OPTION_SIZE:
        known = ht_read_size(value, &read.size);
        inside = known && read.size >= (size_t)info->min && read.size <= (size_t)info->max;
        if (inside)
            *(size_t *)field = read.size;
        break;
    case HEARTH_OPTION_FLOAT:
        known = ht_read_float(value, &read.real);
        inside = known && read.real >= info->min && read.real <= info->max;
        if (inside)
            *(double *)field = read.real;
        break;
    case HEARTH_OPTION_CHOICE:
        read.choice = ht_read_choice(value, info->choices);
        known = read.choice >= 0;
        if (known)
            *(int *)field = read.choice;
        break;
    case HEARTH_OPTION_TEXT:
        known = strlen(value) < HT_TEXT_BYTES;
        if (known)
            strncpy(field, value, HT_TEXT_BYTES); /* zeros to the end: sets are compared */
        break;
    }
    if (!known)
        return ht_option_mismatch(info, value);
    return inside ? HEARTH_OK : ht_option_range(info, value);
}

/* One "name=value" of `length` bytes. */
static hearth_status ht_option_assign(struct hearth_options *options, const char *text,
                                      size_t length)
{
    const char *equals = memchr(text, '=', length);
    const struct ht_option *row;
    char value[HT_TEXT_BYTES];
    size_t name_length, value_length;

    if (length == 0)
        return ht_fail(HEARTH_EOPTION, "empty option: write name=value,name=value");
    if (equals == NULL)
        return ht_fail(HEARTH_EOPTION, "option \"%.*s\" has no '='",
                       (int)(length < HT_NAME_BYTES ? length : HT_NAME_BYTES), text);
    name_length = (size_t)(equals - text);
    row = ht_option_find(text, name_length);
    if (row == NULL)
        return ht_fail(HEARTH_EOPTION, "unknown option \"%.*s\"",
                       (int)(name_length < HT_NAME_BYTES ? name_length : HT_NAME_BYTES), text);
    value_length = length - name_length - 1;
    if (value_length == 0)
        return ht_fail(HEARTH_EOPTION, "option %s: the value is empty", row->info.name);
    if (value_length >= sizeof(value))
        return ht_fail(HEARTH_EOPTION, "option %s: value \"%.32s...\" is too long", row->info.name,
                       equals + 1);
    memcpy(value, equals + 1, value_length);
    value[value_length] = '\0';
    return ht_option_read(options, row, value);
}

/* --- the interface ---------------------------------------------------------------------------- */

hearth_status hearth_options_set(hearth_options *options, const char *name, const char *value)
{
    const struct ht_option *row;

    if (options == NULL || name == NULL || value == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_options_set: %s is NULL",
                       options == NULL ? "options"
                       : name == NULL  ? "name"
                                       : "value");
    row = ht_option_find(name, strlen(name));
    if (row == NULL)
        return ht_fail(HEARTH_EOPTION, "unknown option \"%.64s\"", name);
    if (value[0] == '\0')
        return ht_fail(HEARTH_EOPTION, "option %s: the value is empty", name);
    return ht_option_read(options, row, value);
}

/* All or nothing: the text is applied to a copy. The empty text sets nothing. */
hearth_status hearth_options_parse(hearth_options *options, const char *text)
{
    struct hearth_options copy;

    if (options == NULL || text == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_options_parse: %s is NULL",
                       options == NULL ? "options" : "text");
    copy = *options;
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        hearth_status status = ht_option_assign(&copy, text, length);

        if (status != HEARTH_OK)
            return status;
        text += length;
        if (*text == ',' && *++text == '\0')
            return ht_fail(HEARTH_EOPTION, "an option is missing behind the last ','");
    }
    *options = copy;
    return HEARTH_OK;
}

/* The shortest text that reads back as the same number. */
static int ht_write_float(char *text, size_t size, double value)
{
    int length = 0;

    for (int digits = 1; digits <= 17; digits++) {
        double back;
        char *comma;

        length = snprintf(text, size, "%.*g", digits, value);
        for (comma = text; *comma != '\0'; comma++)
            *comma = isdigit((unsigned char)*comma) || *comma == 'e' ? *comma : '.';
        if (ht_read_float(text, &back) && back == value)
            break;
    }
    return length;
}

/* Bytes with the largest suffix that loses nothing. */
static int ht_write_size(char *text, size_t size, size_t value)
{
    static const char *const suffixes[] = {"", "k", "m", "g", "t"};
    int step = 0;

    while (step < 4 && value != 0 && value % 1024 == 0) {
        value /= 1024;
        step++;
    }
    return snprintf(text, size, "%zu%s", value, suffixes[step]);
}

static int ht_option_write(const struct ht_option *row, const void *field, char *text, size_t size)
{
    const char *word = row->info.choices;

    switch (row->info.kind) {
    case HEARTH_OPTION_BOOL:
        return snprintf(text, size, "%s", *(const bool *)field ? "on" : "off");
    case HEARTH_OPTION_INT:
        return snprintf(text, size, "%" PRId64, *(const int64_t *)field);
    case HEARTH_OPTION_SIZE:
        return ht_write_size(text, size, *(const size_t *)field);
    case HEARTH_OPTION_FLOAT:
        return ht_write_float(text, size, *(const double *)field);
    case HEARTH_OPTION_CHOICE:
        for (int i = 0; i < *(const int *)field; i++)
            word += strcspn(word, "|") + 1;
        return snprintf(text, size, "%.*s", (int)strcspn(word, "|"), word);
    case HEARTH_OPTION_TEXT:
        return snprintf(text, size, "%s", (const char *)field);
    }
    return 0;
}

hearth_status hearth_options_get(const hearth_options *options, const char *name, char *buffer,
                                 size_t size)
{
    const struct ht_option *row;
    char text[HT_TEXT_BYTES];
    int length;

    if (options == NULL || name == NULL || buffer == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_options_get: %s is NULL",
                       options == NULL ? "options"
                       : name == NULL  ? "name"
                                       : "buffer");
    if (size == 0)
        return ht_fail(HEARTH_ESIZE, "hearth_options_get: a buffer of 0 bytes holds no text");
    buffer[0] = '\0';
    row = ht_option_find(name, strlen(name));
    if (row == NULL)
        return ht_fail(HEARTH_EOPTION, "unknown option \"%.64s\"", name);
    length = ht_option_write(row, (const char *)options + row->offset, text, sizeof(text));
    if ((size_t)length >= size)
        return ht_fail(HEARTH_ESIZE, "option %s: %d bytes of value do not fit into %zu", name,
                       length + 1, size);
    memcpy(buffer, text, (size_t)length + 1);
    return HEARTH_OK;
}

size_t hearth_option_count(void)
{
    return HT_OPTIONS;
}

const hearth_option_info *hearth_option_at(size_t index)
{
    return index < HT_OPTIONS ? &ht_option_table[index].info : NULL;
}

hearth_status ht_options_environment(struct hearth_options *options)
{
    const char *text = getenv("HEARTH_OPTIONS");
    char message[256];
    hearth_status status;

    if (text == NULL)
        return HEARTH_OK;
    status = hearth_options_parse(options, text);
    if (status == HEARTH_OK)
        return HEARTH_OK;
    snprintf(message, sizeof(message), "%s", hearth_last_error());
    return ht_fail(status, "HEARTH_OPTIONS: %s", message);
}

hearth_status ht_options_defaults(struct hearth_options *options, bool environment)
{
    memset(options, 0, sizeof(*options));
    for (size_t i = 0; i < HT_OPTIONS; i++) {
        const struct ht_option *row = &ht_option_table[i];
        hearth_status status = ht_option_read(options, row, row->info.fallback);

        if (status != HEARTH_OK)
            return status;
    }
    return environment ? ht_options_environment(options) : HEARTH_OK;
}

hearth_status hearth_options_create(hearth_options **out)
{
    struct hearth_options *options;
    hearth_status status;

    if (out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_options_create: out is NULL");
    *out = NULL;
    options = ht_os_alloc(sizeof(*options));
    if (options == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a set of options (%zu bytes)",
                       sizeof(*options));
    status = ht_options_defaults(options, false);
    if (status != HEARTH_OK) {
        ht_os_free(options);
        return status;
    }
    *out = options;
    return HEARTH_OK;
}

void hearth_options_destroy(hearth_options *options)
{
    ht_os_free(options);
}
