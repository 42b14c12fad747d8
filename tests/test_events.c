/* tests/test_events.c - what observers are told besides collections and workers: phases, batches, stops,
 * mutators, nursery and budget, spilling; and that the static probes are in the program.
 *
 * Invariant of what is recorded: under seen.lock. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "gc/probe.h"
#include "tests/trace_fixture.h"

enum { BATCHES = 1 << 16, ORDER = 64 };

struct seen {
    pthread_mutex_t lock;
    char order[ORDER];          /* of worker 0: R T W S P V, lower case at the end; ( ) c x  */
    size_t length;              /* of it, since the last collection was requested            */
    int phase[HG_WORKERS_MAX];  /* open, -1: none                                            */
    int inside[HG_WORKERS_MAX]; /* the worker has begun                                      */
    int helped[6];              /* phases that helpers took part in                          */
    uint64_t posted, taken;     /* batches                                                   */
    uint64_t sent, received;    /* references in sent ones                                     */
    uint64_t stolen;            /* by workers of another node                                */
    uint8_t flying[BATCHES];    /* 1: posted, 2: taken                                       */
    int requested[8];           /* by reason                                                 */
    int stopped, resumed;       /* the world                                                 */
    int attached, detached;     /* mutators                                                  */
    int standing, stood;        /* mutators that stand, and how often                        */
    uint64_t nursery, budget;   /* as told last                                              */
    int resized;                /* how often                                                 */
    uint64_t spilled;           /* bytes                                                     */
};

static void note(struct seen *seen, char what)
{
    EXPECT(seen->length < ORDER - 1);
    seen->order[seen->length++] = what;
    seen->order[seen->length] = '\0';
}

#define LOCKED(statement)                                                                          \
    do {                                                                                           \
        pthread_mutex_lock(&seen->lock);                                                           \
        statement;                                                                                 \
        pthread_mutex_unlock(&seen->lock);                                                         \
    } while (0)

static void see_begin(void *data, hearth_heap *heap, hearth_gc_kind kind)
{
    struct seen *seen = data;
    (void)heap;
    (void)kind;
    LOCKED(note(seen, '('));
}

static void see_end(void *data, hearth_heap *heap, const hearth_collection *collection)
{
    struct seen *seen = data;
    (void)heap;
    (void)collection;
    LOCKED(note(seen, ')'));
}

static void see_worker_begin(void *data, hearth_heap *heap, int worker, int node)
{
    struct seen *seen = data;
    (void)heap;
    (void)node;
    LOCKED(EXPECT(!seen->inside[worker]); seen->inside[worker] = true);
}

static void see_worker_end(void *data, hearth_heap *heap, int worker, int node)
{
    struct seen *seen = data;
    (void)heap;
    (void)node;
    LOCKED(EXPECT(seen->inside[worker] && seen->phase[worker] == -1); seen->inside[worker] = false);
}

static void see_phase_begin(void *data, hearth_heap *heap, hearth_work phase, int worker, int node)
{
    struct seen *seen = data;
    EXPECT(node >= 0 && node < heap->topology->nodes && (int)phase >= 0 && phase <= 5);
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->inside[worker] && seen->phase[worker] == -1);
    seen->phase[worker] = (int)phase;
    if (worker == 0)
        note(seen, "VRTWSP"[phase]);
    else
        seen->helped[phase]++;
    pthread_mutex_unlock(&seen->lock);
}

static void see_phase_end(void *data, hearth_heap *heap, hearth_work phase, int worker, int node)
{
    struct seen *seen = data;
    (void)heap;
    (void)node;
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->phase[worker] == (int)phase);
    seen->phase[worker] = -1;
    if (worker == 0)
        note(seen, "vrtwsp"[phase]);
    pthread_mutex_unlock(&seen->lock);
}

static void see_posted(void *data, hearth_heap *heap, int worker, const hearth_gc_batch *batch)
{
    struct seen *seen = data;
    EXPECT(batch->struct_size == sizeof *batch && !batch->stolen);
    EXPECT(batch->from < heap->topology->nodes && batch->to < heap->topology->nodes);
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->inside[worker] && batch->number > 0);
    EXPECT(batch->number >= BATCHES || seen->flying[batch->number]++ == 0);
    seen->posted++;
    seen->sent += batch->sent ? batch->references : 0;
    pthread_mutex_unlock(&seen->lock);
}

static void see_taken(void *data, hearth_heap *heap, int worker, const hearth_gc_batch *batch)
{
    struct seen *seen = data;
    (void)heap;
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->inside[worker] && batch->number > 0);
    EXPECT(batch->number >= BATCHES || seen->flying[batch->number]++ == 1);
    seen->taken++;
    seen->stolen += batch->stolen;
    seen->received += batch->sent ? batch->references : 0;
    pthread_mutex_unlock(&seen->lock);
}

static void see_requested(void *data, hearth_heap *heap, hearth_gc_reason reason)
{
    struct seen *seen = data;
    (void)heap;
    seen->length = 0;
    LOCKED(seen->requested[reason]++; note(seen, 'q'));
}

static void see_stopped(void *data, hearth_heap *heap)
{
    struct seen *seen = data;
    (void)heap;
    LOCKED(seen->stopped++; note(seen, 'h'));
}

static void see_resumed(void *data, hearth_heap *heap)
{
    struct seen *seen = data;
    (void)heap;
    LOCKED(seen->resumed++; note(seen, 'g'));
}

static void see_attached(void *data, hearth_heap *heap, hearth_mutator *mutator, int node)
{
    struct seen *seen = data;
    EXPECT(mutator->heap == heap && node >= 0);
    LOCKED(seen->attached++);
}

static void see_detached(void *data, hearth_heap *heap, hearth_mutator *mutator, int node)
{
    struct seen *seen = data;
    EXPECT(mutator->heap == heap && node >= 0);
    LOCKED(seen->detached++);
}

static void see_mutator_stopped(void *data, hearth_heap *heap, hearth_mutator *mutator, int node)
{
    struct seen *seen = data;
    EXPECT(mutator == hearth_current(heap) && node >= 0);
    LOCKED(seen->standing++; seen->stood++);
}

static void see_mutator_resumed(void *data, hearth_heap *heap, hearth_mutator *mutator, int node)
{
    struct seen *seen = data;
    EXPECT(mutator == hearth_current(heap) && node >= 0);
    LOCKED(seen->standing--; EXPECT(seen->standing >= 0));
}

static void see_nursery(void *data, hearth_heap *heap, uint64_t before, uint64_t after)
{
    struct seen *seen = data;
    EXPECT(before != after && after == heap->pacing.nursery);
    EXPECT(seen->nursery == 0 || seen->nursery == before);
    LOCKED(seen->nursery = after; seen->resized++);
}

static void see_budget(void *data, hearth_heap *heap, uint64_t before, uint64_t after)
{
    struct seen *seen = data;
    EXPECT(before != after && after == heap->space.budget << HA_BLOCK_SHIFT);
    EXPECT(seen->budget == 0 || seen->budget == before);
    LOCKED(seen->budget = after; seen->resized++);
}

static void see_spilled(void *data, hearth_heap *heap, int wished, int given, uint64_t bytes)
{
    struct seen *seen = data;
    EXPECT(wished != given && given < heap->topology->nodes && bytes % HA_BLOCK == 0);
    LOCKED(seen->spilled += bytes);
}

static struct seen *see(struct fixture *f)
{
    struct seen *seen = calloc(1, sizeof *seen);
    EXPECT(seen != NULL);
    pthread_mutex_init(&seen->lock, NULL);
    memset(seen->phase, -1, sizeof seen->phase);
    const hearth_observer observer = {
        sizeof observer,     seen,           see_begin,       see_end,
        see_worker_begin,    see_worker_end, see_phase_begin, see_phase_end,
        see_posted,          see_taken,      see_requested,   see_stopped,
        see_resumed,         see_attached,   see_detached,    see_mutator_stopped,
        see_mutator_resumed, see_nursery,    see_budget,      see_spilled};
    HARNESS_OK(hearth_observe(f->heap, &observer));
    return seen;
}

/* The order of everything worker 0 does. */
START_TEST(phases_in_order)
{
    static const char *const options[] = {"workers=1", "workers=1,verify=on"};
    static const char *const order[] = {"qh(RrTtWwSsPp)g", "qh(VvRrTtWwSsPpVv)g"};
    struct fixture f;

    fixture_open(&f, options[_i]);
    struct seen *seen = see(&f);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_str_eq(seen->order, order[_i]);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_str_eq(seen->order, order[_i]);
    ck_assert_int_eq(seen->requested[HEARTH_REASON_EXPLICIT], 2);
    ck_assert_int_eq(seen->stopped, 2);
    ck_assert_int_eq(seen->resumed, 2);
    ck_assert_str_eq(hearth_work_name(HEARTH_WORK_WEAK), "weak");
    ck_assert_str_eq(hearth_work_name((hearth_work)6), "unknown");
    fixture_close(&f);
    free(seen);
}
END_TEST

/* Everything posted is taken once, and what is counted as sent is what arrives. */
START_TEST(batches_arrive)
{
    static const char *const options[] = {"fake-nodes=2,mode=local,workers=1",
                                          "fake-nodes=2,mode=local,workers=3,help-after=0",
                                          "workers=3,help-after=0"};
    struct fixture f;
    uint64_t sent = 0, stolen = 0;

    fixture_open(&f, options[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    frame.ref[0] = fixture_refs(&f, 20000);
    for (size_t i = 0; i < 20000; i++) {
        struct item *item = fixture_item_on(&f, (int)(i / 7) % nodes_of(&f));
        hearth_store(f.m, frame.ref[0], (void **)frame.ref[0] + i, item);
    }
    struct seen *seen = see(&f);
    for (int i = 0; i < 200 && (i < 10 || (_i > 0 && seen->helped[HEARTH_WORK_TRACE] == 0)); i++) {
        hearth_collection c = fixture_collect(&f, 2);
        sent += c.sent;
        stolen += c.stolen;
        ck_assert_uint_eq(seen->posted, seen->taken);
    }
    ck_assert_uint_eq(seen->sent, sent);
    ck_assert_uint_eq(seen->received, sent);
    ck_assert_uint_eq(seen->stolen, stolen);
    if (_i < 2)
        ck_assert_uint_gt(sent, 0);
    if (_i > 0)
        ck_assert_int_gt(seen->helped[HEARTH_WORK_TRACE], 0);
    ck_assert_int_eq(seen->helped[HEARTH_WORK_ROOTS] + seen->helped[HEARTH_WORK_PACE], 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
    free(seen);
}
END_TEST

struct other {
    struct fixture *f;
    atomic_bool here, enough;
};

static void *poll_until_enough(void *argument)
{
    struct other *other = argument;
    hearth_mutator *m;

    EXPECT(hearth_attach(other->f->heap, NULL, &m) == HEARTH_OK);
    other->here = true;
    while (!other->enough)
        hearth_safepoint(m);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

START_TEST(mutators_come_stop_and_go)
{
    struct fixture f;
    pthread_t thread;

    fixture_open(&f, "");
    struct seen *seen = see(&f);
    struct other other = {.f = &f};
    ck_assert_int_eq(pthread_create(&thread, NULL, poll_until_enough, &other), 0);
    while (!other.here)
        usleep(100);
    ck_assert_int_eq(seen->attached, 1);
    for (int i = 0; i < 5; i++)
        HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_ge(seen->stood, 1);
    ck_assert_int_le(seen->stood, 5); /* between two collections it may not have woken */
    other.enough = true;
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    ck_assert_int_eq(seen->detached, 1);
    ck_assert_int_eq(seen->standing, 0);
    fixture_close(&f);
    free(seen);
}
END_TEST

/* An observer set while a thread stands is not told that it goes on: see_mutator_resumed would fail. */
START_TEST(only_pairs_that_begin_afterwards)
{
    struct fixture f;
    pthread_t thread;

    fixture_open(&f, "");
    struct other other = {.f = &f};
    struct seen *seen[20];
    ck_assert_int_eq(pthread_create(&thread, NULL, poll_until_enough, &other), 0);
    while (!other.here)
        usleep(100);
    for (int i = 0; i < 20; i++) {
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        seen[i] = see(&f);
    }
    other.enough = true;
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    fixture_close(&f);
    for (int i = 0; i < 20; i++)
        free(seen[i]);
}
END_TEST

START_TEST(nursery_and_budget_change)
{
    struct fixture f;

    fixture_open(&f, "nursery=1m,heap-min=4m,heap-limit=64m");
    struct seen *seen = see(&f);
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 400000; i++) /* 12.8 MB that live */
        fixture_push(&f, &frame.ref[0], i);
    ck_assert_uint_ne(seen->nursery, 0);
    ck_assert_uint_ne(seen->budget, 0);
    ck_assert_uint_eq(seen->budget, fixture_stats(&f).budget_bytes);
    int before = seen->resized;
    HARNESS_OK(hearth_set_heap_limit(f.heap, seen->budget - HA_BLOCK));
    ck_assert_int_eq(seen->resized, before + 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
    free(seen);
}
END_TEST

/* A window that is full, as a node may be. */
START_TEST(memory_spills)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "fake-nodes=2,window=64m,heap-limit=100m,heap-min=100m,nursery=64m");
    struct seen *seen = see(&f);
    HARNESS_OK(hearth_root_add(f.heap, &list));
    HARNESS_OK(hearth_gc_disable(f.heap));
    while (fixture_stats(&f).spilled_blocks < 20)
        for (int i = 0; i < 1000; i++)
            fixture_push(&f, &list, 0);
    ck_assert_uint_eq(seen->spilled, fixture_stats(&f).spilled_blocks * HA_BLOCK);
    HARNESS_OK(hearth_root_remove(f.heap, &list));
    fixture_close(&f);
    free(seen);
}
END_TEST

/* The runner holds the library's objects, so its notes list what a program's do. */
START_TEST(probes_are_listed)
{
    static const char *const names[] = {
        "stop__requested",   "stopped",          "resumed",          "collection__begin",
        "collection__end",   "worker__begin",    "worker__end",      "phase__begin",
        "phase__end",        "batch__posted",    "batch__taken",     "mutator__attached",
        "mutator__detached", "mutator__stopped", "mutator__resumed", "nursery__changed",
        "budget__changed",   "spilled"};
    enum { NAMES = sizeof names / sizeof *names };
    char command[64], line[256];
    int found[NAMES] = {0}, hearth = 0;

    if (!HG_PROBES || system("command -v readelf >/dev/null") != 0) {
        fprintf(stderr, "probes_are_listed: no <sys/sdt.h> or no readelf here\n");
        return;
    }
    snprintf(command, sizeof command, "readelf -n /proc/%d/exe", (int)getpid());
    FILE *notes = popen(command, "r");
    ck_assert_ptr_nonnull(notes);
    while (fgets(line, sizeof line, notes) != NULL) {
        char name[64];
        if (strstr(line, "Provider:") != NULL)
            hearth = strstr(line, "Provider: hearth\n") != NULL;
        if (hearth && sscanf(line, " Name: %63s", name) == 1)
            for (int i = 0; i < NAMES; i++)
                found[i] += strcmp(name, names[i]) == 0;
    }
    ck_assert_int_eq(pclose(notes), 0);
    for (int i = 0; i < NAMES; i++)
        ck_assert_msg(found[i] >= 1, "probe %s", names[i]);
}
END_TEST

HARNESS_SUITE(events)
{
    Suite *suite = suite_create("events");
    TCase *tests = tcase_create("events");

    tcase_add_loop_test(tests, phases_in_order, 0, 2);
    tcase_add_loop_test(tests, batches_arrive, 0, 3);
    tcase_add_test(tests, mutators_come_stop_and_go);
    tcase_add_test(tests, only_pairs_that_begin_afterwards);
    tcase_add_test(tests, nursery_and_budget_change);
    tcase_add_test(tests, memory_spills);
    tcase_add_test(tests, probes_are_listed);
    suite_add_tcase(suite, tests);
    return suite;
}
