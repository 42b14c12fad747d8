/* bench/inspect/inspect.c - what looking into a heap costs, against one full trace of the same heap.
 *
 * A heap of OBJECTS nodes with two references and a number: one leads to the node made before, the other to
 * any, so that all are reachable and neighbours in memory are not in the graph. Each round measures a full collection's trace and every call once, one
 * after another, so that what else the machine does hits all alike; medians are printed. One thread
 * allocates; the collector's workers and the search for referrers use as many as `workers` allows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hearth.h"

enum { ROUNDS_MAX = 101, GIVEN = 1000 };

struct node {
    struct node *left, *right;
    uint64_t number;
};

struct bench {
    hearth_heap *heap;
    hearth_mutator *m;
    hearth_type node;
    void **array; /* all nodes, in plain memory               */
    size_t objects;
    size_t found; /* by the last call                         */
    void *given[GIVEN];
};

static void must(hearth_status status)
{
    if (status == HEARTH_OK)
        return;
    fprintf(stderr, "%s: %s\n", hearth_status_name(status), hearth_last_error());
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A list by one reference, at random by the other. */
static void build(struct bench *b, void **root)
{
    uint64_t random = 1;

    b->array = malloc(b->objects * sizeof *b->array);
    for (size_t i = 0; i < b->objects; i++) {
        struct node *node = hearth_alloc(b->m, b->node, sizeof *node);
        if (node == NULL)
            must(hearth_last_status());
        node->number = i;
        hearth_store_init((void **)&node->left, *root);
        *root = b->array[i] = node;
    }
    for (size_t i = 0; i < b->objects; i++) {
        struct node *node = b->array[i];
        struct node *other = b->array[next_random(&random) % b->objects];
        must(hearth_store(b->m, node, (void **)&node->right, other));
    }
    for (size_t i = 0; i < GIVEN; i++)
        b->given[i] = b->array[next_random(&random) % b->objects];
}

static bool count_object(void *data, void *object)
{
    (void)object;
    ++*(size_t *)data;
    return true;
}

static bool count_info(void *data, const hearth_object_info *info)
{
    *(size_t *)data += info->tracked;
    return true;
}

static bool count_step(void *data, const hearth_path_step *step)
{
    (void)step;
    ++*(size_t *)data;
    return true;
}

static bool count_retained(void *data, const hearth_retained *retained)
{
    (void)retained;
    ++*(size_t *)data;
    return true;
}

static bool count_text(void *data, const char *text, size_t length)
{
    (void)text;
    *(size_t *)data += length;
    return true;
}

static double trace(struct bench *b)
{
    hearth_collection last = {.struct_size = sizeof last};

    must(hearth_gc_collect(b->m, 2));
    must(hearth_last_collection(b->heap, &last));
    b->found = last.objects_traced;
    return (double)(last.roots_ns + last.trace_ns) / 1e6;
}

static double referrers(struct bench *b, size_t count)
{
    double begin = now();

    must(hearth_gc_get_referrers(b->m, b->given, count, count_object, &b->found));
    return now() - begin;
}

static double one_referrer(struct bench *b)
{
    return referrers(b, 1);
}

static double many_referrers(struct bench *b)
{
    return referrers(b, GIVEN);
}

static double objects(struct bench *b)
{
    double begin = now();

    must(hearth_gc_get_objects(b->m, -1, count_object, &b->found));
    return now() - begin;
}

static double walk(struct bench *b)
{
    double begin = now();

    must(hearth_walk(b->m, count_info, &b->found));
    return now() - begin;
}

static double census(struct bench *b)
{
    hearth_census *census;
    double begin = now();

    must(hearth_census_take(b->m, &census));
    double end = now();
    b->found = (size_t)hearth_census_total(census).objects;
    hearth_census_destroy(census);
    return end - begin;
}

static double path(struct bench *b)
{
    double begin = now();

    must(hearth_path_from_roots(b->m, b->given[0], count_step, &b->found, NULL));
    return now() - begin;
}

static double retained(struct bench *b)
{
    hearth_retained out = {.struct_size = sizeof out};
    double begin = now();

    must(hearth_retained_size(b->m, b->given[0], &out));
    b->found = out.objects;
    return now() - begin;
}

static double top(struct bench *b)
{
    double begin = now();

    must(hearth_retained_top(b->m, 20, count_retained, &b->found));
    return now() - begin;
}

static double snapshot(struct bench *b)
{
    double begin = now();

    must(hearth_heap_snapshot(b->m, count_text, &b->found));
    return now() - begin;
}

static const struct {
    const char *name;
    double (*measure)(struct bench *);
} measured[] = {
    {"full trace", trace},
    {"get_referrers of 1", one_referrer},
    {"get_referrers of 1000", many_referrers},
    {"get_objects", objects},
    {"walk", walk},
    {"census", census},
    {"path from roots", path},
    {"retained size", retained},
    {"retained top 20", top},
    {"snapshot", snapshot},
};
enum { MEASURED = sizeof(measured) / sizeof(measured[0]) };

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static double time[MEASURED][ROUNDS_MAX];
    struct bench b = {.objects = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000};
    int rounds = argc > 2 ? atoi(argv[2]) : 15;
    size_t found[MEASURED];

    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    must(hearth_heap_create(&b.heap, NULL));
    must(hearth_attach(b.heap, NULL, &b.m));
    must(hearth_type_fixed(b.heap, "node", sizeof(struct node), 3, &b.node));
    HEARTH_FRAME(b.m, frame, 1);
    build(&b, &frame.ref[0]);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < MEASURED; i++) {
            b.found = 0;
            time[i][round] = measured[i].measure(&b);
            found[i] = b.found;
        }
    printf("%zu objects, medians of %d rounds\n%-24s %10s %8s %12s\n", b.objects, rounds, "", "ms",
           "x trace", "found");
    double base = 0;
    for (int i = 0; i < MEASURED; i++) {
        qsort(time[i], (size_t)rounds, sizeof(double), order);
        double median = time[i][rounds / 2];
        base = i == 0 ? median : base;
        printf("%-24s %10.2f %8.2f %12zu\n", measured[i].name, median, median / base, found[i]);
    }
    HEARTH_FRAME_END(b.m, frame);
    must(hearth_detach(b.m));
    must(hearth_heap_destroy(b.heap));
    free(b.array);
    return 0;
}
