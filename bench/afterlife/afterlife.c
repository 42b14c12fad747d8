/* bench/afterlife/afterlife.c - what weak references, finalizers and ephemerons add to a full collection.
 *
 *     afterlife [OBJECTS [ROUNDS [ROW...]]]
 *
 * Each row builds the same heap twice: with the thing measured, and without it (for ephemerons: with plain
 * pairs of strong references in their place, as otherwise the values would be dead). All of it is old when
 * the row drops what shall die; then one full collection is timed: its pause, and the CPU time of the process
 * meanwhile, which other programs disturb less. Rounds of all rows are interleaved, in one process; the table
 * shows medians. The first line of standard output is JSON.
 *
 * Invariant: every measurement has a heap of its own, and the collection measured did what the row says:
 * what was cleared, is due, or survived is counted. One thread; no locks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/measure.h"
#include "hearth.h"

enum { ROUNDS_MAX = 101, BAR_TENTHS = 30, REFERRERS_BAR_TENTHS = 12 };

struct node {
    struct node *next;
    void *other;
    uint64_t value[2];
};

/* One heap being measured. `objects` and `extras` are global roots: arrays of references. */
struct scene {
    hearth_heap *heap;
    hearth_mutator *m;
    hearth_type node, pair, refs;
    void **objects, **extras;
    size_t count;
};

struct cost {
    uint64_t pause, cpu; /* nanoseconds */
};

struct row {
    const char *name, *text;
    void (*build)(struct scene *scene, bool with);
    void (*drop)(struct scene *scene);            /* what shall die; NULL: nothing     */
    void (*check)(struct scene *scene);           /* after the collection, if `with`   */
    void (*work)(struct scene *scene, bool with); /* measured instead of a collection  */
    unsigned bar;                                 /* tenths                            */
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != HEARTH_OK)                                                                   \
            bench_fail(1, "%s: %s", #call, hearth_last_error());                                   \
    } while (0)

static void *must(void *object)
{
    if (object == NULL)
        bench_fail(1, "no memory: %s", hearth_last_error());
    return object;
}

static void set(struct scene *scene, void **array, size_t i, void *value)
{
    OK(hearth_store(scene->m, array, &array[i], value));
}

static void build_objects(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        set(scene, scene->objects, i,
            must(hearth_alloc(scene->m, scene->node, sizeof(struct node))));
}

/* --- weak references ------------------------------------------------------------------------------ */

static void build_weak(struct scene *scene, bool with)
{
    build_objects(scene);
    for (size_t i = 0; with && i < scene->count; i++)
        set(scene, scene->extras, i,
            must(hearth_weak_new(scene->m, scene->objects[i], 0, NULL, NULL)));
}

/* Without: plain objects in their place, which refer to the targets no more than weak references do. */
static void build_weak_plain(struct scene *scene, bool with)
{
    build_weak(scene, with);
    for (size_t i = 0; !with && i < scene->count; i++)
        set(scene, scene->extras, i, must(hearth_alloc(scene->m, scene->pair, 4 * sizeof(void *))));
}

/* Every second object. */
static void drop_half(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i += 2)
        set(scene, scene->objects, i, NULL);
}

static void check_weak(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        if (hearth_weak_get(scene->m, scene->extras[i]) != scene->objects[i])
            bench_fail(1, "weak reference %zu gives a wrong target", i);
}

/* --- finalizers ----------------------------------------------------------------------------------- */

static hearth_status finalize(hearth_mutator *mutator, void *object, void *data)
{
    (void)mutator;
    (void)object;
    (void)data;
    return HEARTH_OK;
}

static void build_finalizers(struct scene *scene, bool with)
{
    build_objects(scene);
    for (size_t i = 0; with && i < scene->count; i++)
        OK(hearth_finalizer_add(scene->m, scene->objects[i], finalize, NULL, 0));
}

static void check_due(struct scene *scene)
{
    size_t due = 0, expected = 0;

    for (size_t i = 0; i < scene->count; i++)
        expected += scene->objects[i] == NULL;
    OK(hearth_finalize_wait(scene->m, 0, &due));
    if (due != expected)
        bench_fail(1, "%zu finalizers are due, expected %zu", due, expected);
}

/* --- ephemerons ----------------------------------------------------------------------------------- */

/* objects[i] are the keys; the value of each is the next key, and only the first key is held in the end. The
 * ephemerons are met in the worst order, last first. */
static void build_chain(struct scene *scene, bool with)
{
    build_objects(scene);
    for (size_t i = 0; i < scene->count; i++) {
        void *next = i + 1 < scene->count ? scene->objects[i + 1] : NULL;
        void **pair;
        if (with) {
            pair = must(hearth_ephemeron_new(scene->m, scene->objects[i], next));
        } else {
            pair = must(hearth_alloc(scene->m, scene->pair, 4 * sizeof(void *)));
            pair[0] = scene->objects[i];
            pair[1] = next;
        }
        set(scene, scene->extras, scene->count - 1 - i, pair);
    }
}

static void drop_keys(struct scene *scene)
{
    for (size_t i = 1; i < scene->count; i++)
        set(scene, scene->objects, i, NULL);
}

static void check_chain(struct scene *scene)
{
    void *key = scene->objects[0];

    for (size_t i = 0; i < scene->count; i++) {
        void *ephemeron = scene->extras[scene->count - 1 - i];
        if (hearth_ephemeron_key(scene->m, ephemeron) != key)
            bench_fail(1, "ephemeron %zu of the chain has lost its key", i);
        key = hearth_ephemeron_value(scene->m, ephemeron);
    }
}

static void drop_first_key(struct scene *scene)
{
    drop_keys(scene);
    set(scene, scene->objects, 0, NULL);
}

static void check_no_chain(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        if (hearth_ephemeron_key(scene->m, scene->extras[i]) != NULL)
            bench_fail(1, "ephemeron %zu of a dead chain has a key", i);
}

/* --- referrers ------------------------------------------------------------------------------------ */

#if __has_include("hearth/inspect.h")
static void build_list(struct scene *scene, bool with)
{
    (void)with;
    build_objects(scene);
    for (size_t i = 1; i < scene->count; i++) {
        struct node *node = scene->objects[i];
        OK(hearth_store(scene->m, node, (void **)&node->next, scene->objects[i - 1]));
        OK(hearth_store(scene->m, node, &node->other, scene->objects[i / 2]));
    }
}

static bool count_object(void *data, void *object)
{
    (void)object;
    ++*(size_t *)data;
    return true;
}

/* Who refers to an object of the middle: the array, its successor, two by their other reference. Compared
 * with a full trace, which is most of a full collection of a heap without garbage. */
static void find_referrers(struct scene *scene, bool with)
{
    void *object = scene->objects[scene->count / 4];
    size_t found = 0;

    if (!with) {
        OK(hearth_gc_collect(scene->m, 2));
        return;
    }
    OK(hearth_gc_get_referrers(scene->m, &object, 1, count_object, &found));
    if (found != 4)
        bench_fail(1, "%zu referrers, expected 4", found);
}
#endif

/* --- rows ------------------------------------------------------------------------------------------ */

static const struct row rows[] = {
    {"weak", "weak references, half of them die", build_weak, drop_half, check_weak, NULL,
     BAR_TENTHS},
    {"weak_plain", "the same, against plain objects", build_weak_plain, drop_half, check_weak, NULL,
     BAR_TENTHS},
    {"weak_alive", "weak references, none dies", build_weak, NULL, check_weak, NULL, BAR_TENTHS},
    {"finalizers", "finalizers, half become due", build_finalizers, drop_half, check_due, NULL,
     BAR_TENTHS},
    {"finalizers_alive", "finalizers, none becomes due", build_finalizers, NULL, check_due, NULL,
     BAR_TENTHS},
    {"ephemerons", "chained ephemerons, the chain lives", build_chain, drop_keys, check_chain, NULL,
     BAR_TENTHS},
    {"ephemerons_die", "chained ephemerons, the chain dies", build_chain, drop_first_key,
     check_no_chain, NULL, BAR_TENTHS},
#if __has_include("hearth/inspect.h")
    {"referrers", "get_referrers against one full trace", build_list, NULL, NULL, find_referrers,
     REFERRERS_BAR_TENTHS},
#endif
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void create(struct scene *scene, size_t count)
{
    hearth_options *options;

    memset(scene, 0, sizeof *scene);
    scene->count = count;
    OK(hearth_options_create(&options));
    OK(hearth_options_parse(options, "finalize=queue"));
    OK(hearth_heap_create(&scene->heap, options));
    hearth_options_destroy(options);
    OK(hearth_attach(scene->heap, NULL, &scene->m));
    OK(hearth_type_fixed(scene->heap, "node", sizeof(struct node), 3, &scene->node));
    OK(hearth_type_fixed(scene->heap, "pair", 4 * sizeof(void *), 3, &scene->pair));
    OK(hearth_type_refs(scene->heap, "references", &scene->refs));
    OK(hearth_root_add(scene->heap, (void **)&scene->objects));
    OK(hearth_root_add(scene->heap, (void **)&scene->extras));
    scene->objects = must(hearth_new_array(scene->m, scene->refs, count));
    scene->extras = must(hearth_new_array(scene->m, scene->refs, count));
    OK(hearth_gc_disable(scene->heap));
}

static uint64_t cpu_now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

/* The row's work: the pause of a full collection, or all of what it does itself. */
static struct cost timed(const struct row *row, struct scene *scene, bool with)
{
    hearth_collection last = {.struct_size = sizeof last};
    uint64_t cpu = cpu_now(), begin = measure_now();

    if (row->work != NULL) {
        row->work(scene, with);
        return (struct cost){measure_now() - begin, cpu_now() - cpu};
    }
    OK(hearth_gc_collect(scene->m, 2));
    cpu = cpu_now() - cpu;
    OK(hearth_last_collection(scene->heap, &last));
    return (struct cost){last.pause_ns, cpu};
}

static struct cost measure(const struct row *row, size_t count, bool with)
{
    struct scene scene;

    create(&scene, count);
    row->build(&scene, with);
    for (int i = 0; i < 2; i++)
        OK(hearth_gc_collect(scene.m, 2));
    if (row->drop != NULL)
        row->drop(&scene);
    struct cost cost = timed(row, &scene, with);
    if (with && row->check != NULL)
        row->check(&scene);
    OK(hearth_detach(scene.m));
    OK(hearth_heap_destroy(scene.heap));
    return cost;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double median_ms(uint64_t *sample, unsigned count)
{
    qsort(sample, count, sizeof *sample, compare);
    return (double)sample[count / 2] * 1e-6;
}

static unsigned long argument(int argc, char **argv, int i, unsigned long otherwise,
                              unsigned long most)
{
    char *end;

    if (argc <= i)
        return otherwise;
    unsigned long value = strtoul(argv[i], &end, 10);
    if (*end != '\0' || value < 1 || value > most)
        bench_fail(2, "'%s' is not a number from 1 to %lu", argv[i], most);
    return value;
}

static uint64_t pauses[ROWS][2][ROUNDS_MAX], cpu[ROWS][2][ROUNDS_MAX];

/* Is the row asked for: by its name, or because none is? */
static bool wanted(const struct row *row, int argc, char **argv)
{
    bool named = argc <= 3;

    for (int i = 3; i < argc; i++)
        named |= strcmp(row->name, argv[i]) == 0;
    return named;
}

static void run(const bool *want, size_t count, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++)
        for (size_t i = 0; i < ROWS; i++)
            for (int with = 0; with < 2 && want[i]; with++) {
                struct cost cost = measure(&rows[i], count, with != 0);
                pauses[i][with][round] = cost.pause;
                cpu[i][with][round] = cost.cpu;
            }
}

int main(int argc, char **argv)
{
    size_t count = argument(argc, argv, 1, 1000000, 100000000);
    unsigned rounds = (unsigned)argument(argc, argv, 2, 7, ROUNDS_MAX);
    double ms[ROWS][2], cpu_ratio[ROWS];
    bool want[ROWS];

    bench_program = "afterlife";
    for (size_t i = 0; i < ROWS; i++)
        want[i] = wanted(&rows[i], argc, argv);
    run(want, count, rounds);
    printf("{\"objects\":%zu,\"rounds\":%u", count, rounds);
    for (size_t i = 0; i < ROWS; i++) {
        if (!want[i])
            continue;
        for (int with = 0; with < 2; with++)
            ms[i][with] = median_ms(pauses[i][with], rounds);
        cpu_ratio[i] = median_ms(cpu[i][1], rounds) / median_ms(cpu[i][0], rounds);
        printf(",\"%s_ms\":%.3f,\"%s_without_ms\":%.3f,\"%s_ratio\":%.3f,\"%s_cpu_ratio\":%.3f",
               rows[i].name, ms[i][1], rows[i].name, ms[i][0], rows[i].name, ms[i][1] / ms[i][0],
               rows[i].name, cpu_ratio[i]);
    }
    printf("}\n%-40s %10s %10s %7s %10s %5s\n", "milliseconds, medians", "without", "with", "ratio",
           "ratio, CPU", "bar");
    for (size_t i = 0; i < ROWS; i++) {
        if (!want[i])
            continue;
        printf("%-40s %10.2f %10.2f %7.2f %10.2f %5.1f\n", rows[i].text, ms[i][0], ms[i][1],
               ms[i][1] / ms[i][0], cpu_ratio[i], rows[i].bar / 10.0);
    }
    return 0;
}
