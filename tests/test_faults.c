/* tests/test_faults.c - every system call and every allocation of hearth's own fails once, or from then
 * on, in the middle of a heap's whole life.
 *
 * For each kind of call and every n: the n-th one of a life fails, until a life has fewer than n. What
 * must hold: no crash and no leak; a call that fails returns the status that fits the kind, with a
 * message; what was built before is whole; afterwards the same heap works, and so does the next one.
 * A life in a fresh process also makes the windows; one in a used process finds them. */
#include <sys/wait.h>

#include "alloc/window_state.h"
#include "tests/mutator_fixture.h"

static const struct {
    const char *name;
    unsigned allowed; /* bit per status that a public call may return because of it */
} kinds[HT_FAULT_KINDS] = {
    [HT_FAULT_MAP] = {"map", 1u << HEARTH_ENOMEM},
    [HT_FAULT_COMMIT] = {"commit", 1u << HEARTH_ENOMEM},
    [HT_FAULT_BIND] = {"bind", 0},
    [HT_FAULT_ADVISE] = {"advise", 0},
    [HT_FAULT_ALLOC] = {"alloc", 1u << HEARTH_ENOMEM},
    [HT_FAULT_THREAD] = {"thread", 1u << HEARTH_ESYSTEM},
    [HT_FAULT_ARENA] = {"arena", 1u << HEARTH_ESYSTEM},
    [HT_FAULT_RESERVE] = {"reserve", 1u << HEARTH_ENOMEM},
    [HT_FAULT_HWLOC] = {"hwloc", 1u << HEARTH_ENOMEM | 1u << HEARTH_ESYSTEM},
    [HT_FAULT_AFFINITY] = {"affinity", 0},
    [HT_FAULT_PTHREAD] = {"pthread", 1u << HEARTH_ESYSTEM},
    [HT_FAULT_FILE] = {"file", 0},
    [HT_FAULT_WRITE] = {"write", 0},
    [HT_FAULT_ASK] = {"ask", 0},
};

enum { LIST = 1500, WIDE = 20000, HANDLES = 300, ROOTS = 200 };

struct life {
    const char *options;
    enum ht_fault kind;
    uint64_t n;
    bool sticky;
    int failures; /* of public calls */
    struct fixture f;
    hearth_type cards;
    void *root[ROOTS];
    size_t list, rooted; /* how far each got */
    bool provided;
};

#define FAIL(life, ...)                                                                            \
    do {                                                                                           \
        fprintf(stderr, "\n%s, n = %llu%s: ", kinds[(life)->kind].name,                            \
                (unsigned long long)(life)->n, (life)->sticky ? ", sticky" : "");                  \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "; last error: %s\n", hearth_last_error());                                \
        ck_abort_msg("%s, n = %llu%s: see above", kinds[(life)->kind].name,                        \
                     (unsigned long long)(life)->n, (life)->sticky ? ", sticky" : "");             \
    } while (0)

#define MUST(life, condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL(life, "line %d: %s", __LINE__, #condition);                                       \
    } while (0)

/* The call may fail, but as the kind allows. True: it succeeded. */
static bool tried(struct life *life, hearth_status status, int line)
{
    if (status == HEARTH_OK)
        return true;
    if (!(kinds[life->kind].allowed >> status & 1) || hearth_last_status() != status ||
        hearth_last_error()[0] == '\0')
        FAIL(life, "line %d: %s", line, hearth_status_name(status));
    life->failures++;
    return false;
}

#define TRY(life, call)     tried((life), (call), __LINE__)
#define TRY_NEW(life, made) ((made) != NULL || tried((life), hearth_last_status(), __LINE__))

static void provide(void *data, hearth_visitor *visitor)
{
    struct life *life = data;

    for (size_t i = 0; i < life->rooted; i++)
        hearth_visit(visitor, &life->root[i]);
}

/* --- parts of a life ------------------------------------------------------------------------------------- */

static bool begin(struct life *life)
{
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = "cards",
                             .size = 4000,
                             .ref_bitmap = ~UINT64_C(0),
                             .flags = HEARTH_TYPE_CARDS};

    if (!TRY(life, fixture_try_heap(&life->f.heap, life->options))) {
        MUST(life, life->f.heap == NULL);
        return false;
    }
    if (!TRY(life, hearth_attach(life->f.heap, NULL, &life->f.mutator))) {
        MUST(life, hearth_heap_destroy(life->f.heap) == HEARTH_OK);
        return false;
    }
    while (!TRY(life, hearth_type_fixed(life->f.heap, "node", sizeof(struct fixture_node), 3,
                                        &life->f.node)) ||
           !TRY(life, hearth_type_refs(life->f.heap, "refs", &life->f.refs)) ||
           !TRY(life, hearth_type_bytes(life->f.heap, "bytes", &life->f.bytes)) ||
           !TRY(life, hearth_type_register(life->f.heap, &info, &life->cards)))
        ht_fault_arm(life->kind, 0, false);
    return true;
}

/* Global roots and a provider beside them. */
static void add_roots(struct life *life)
{
    life->provided = TRY(life, hearth_root_provider_add(life->f.heap, provide, life));
    for (size_t i = 0; i < ROOTS; i++) {
        if (!TRY(life, hearth_root_add(life->f.heap, &life->root[i])))
            break;
        life->rooted = i + 1;
    }
}

/* A list in the frame, over nodes, old in the end; and what is stored into it when it is old. */
static void grow_list(struct life *life, void **list)
{
    hearth_mutator *m = life->f.mutator;

    for (size_t i = 0; i < LIST && life->list < 2 * LIST; i++) {
        struct fixture_node *node = i % 3 == 0 ? hearth_new_on(m, life->f.node, 0, (int)(i & 1))
                                               : hearth_new(m, life->f.node);

        if (!TRY_NEW(life, node))
            continue;
        node->value = life->list++;
        hearth_store_init(&node->left, *list);
        *list = node;
    }
}

/* Every node of the list gets a young one, so that every node is remembered. */
static void store_young(struct life *life, void *list)
{
    hearth_mutator *m = life->f.mutator;

    for (struct fixture_node *node = list; node != NULL; node = node->left) {
        struct fixture_node *young = hearth_new(m, life->f.node);

        if (!TRY_NEW(life, young))
            break;
        young->value = node->value;
        MUST(life, hearth_store_checked(m, node, &node->right, young) == HEARTH_OK);
    }
}

static void check_list(struct life *life, void *list)
{
    size_t count = life->list;

    for (struct fixture_node *node = list; node != NULL; node = node->left) {
        struct fixture_node *young = node->right;

        MUST(life, node->value == --count);
        MUST(life, young == NULL || young->value == node->value);
    }
    MUST(life, count == 0);
}

/* Large objects in blocks and in chunks, arrays with cards; references to the list from all of them. */
static void make_large(struct life *life, void **refs, void *list)
{
    static const size_t counts[] = {100, 5000, 100000, 1000000};
    hearth_mutator *m = life->f.mutator;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        void **array = hearth_new_array(m, life->f.refs, counts[i]);

        if (!TRY_NEW(life, array))
            continue;
        refs[i] = array;
        MUST(life, hearth_store_checked(m, array, &array[counts[i] - 1], list) == HEARTH_OK);
    }
    refs[4] = hearth_new(m, life->cards);
    (void)TRY_NEW(life, refs[4]);
    for (int i = 0; i < 3; i++)
        (void)TRY_NEW(life, hearth_new_array(m, life->f.bytes, (size_t)700000 << i));
}

/* Stores into all of them, once they are old, so that their cards are dirty. */
static void dirty_large(struct life *life, void **refs)
{
    hearth_mutator *m = life->f.mutator;

    for (int i = 0; i < 5; i++) {
        struct fixture_node *young = refs[i] != NULL ? hearth_new(m, life->f.node) : NULL;

        if (refs[i] == NULL || !TRY_NEW(life, young))
            continue;
        young->value = 77;
        MUST(life, hearth_store_checked(m, refs[i], (void **)refs[i] + 7, young) == HEARTH_OK);
    }
}

static void check_large(struct life *life, void **refs)
{
    for (int i = 0; i < 5; i++)
        if (refs[i] != NULL && ((void **)refs[i])[7] != NULL)
            MUST(life, ((struct fixture_node *)((void **)refs[i])[7])->value == 77);
}

/* Wide and shallow, for several workers and batches between nodes. */
static void make_wide(struct life *life, void **wide)
{
    hearth_mutator *m = life->f.mutator;

    *wide = hearth_new_on(m, life->f.refs, WIDE, 0);
    if (!TRY_NEW(life, *wide))
        return;
    for (size_t i = 0; i < WIDE; i++) {
        struct fixture_node *node = hearth_new_on(m, life->f.node, 0, (int)(i / 64 & 1));

        if (node == NULL) {
            (void)TRY_NEW(life, node);
            break;
        }
        node->value = i;
        MUST(life, hearth_store(m, *wide, (void **)*wide + i, node) == HEARTH_OK);
    }
}

static void check_wide(struct life *life, void **wide)
{
    for (size_t i = 0; wide != NULL && i < WIDE && wide[i] != NULL; i++)
        MUST(life, ((struct fixture_node *)wide[i])->value == i);
}

static void *other_thread(void *argument)
{
    const hearth_attach_options conservative = {
        .struct_size = sizeof conservative, .node = HEARTH_NODE_AUTO, .conservative = true};
    struct life *life = argument;
    hearth_mutator *m = NULL;
    struct fixture_node *node;
    hearth_scope scope;

    if (!TRY(life, hearth_attach(life->f.heap, &conservative, &m)))
        return NULL;
    node = hearth_new(m, life->f.node);
    (void)TRY_NEW(life, node);
    if (TRY(life, hearth_scope_open(m, &scope)))
        for (size_t i = 0; i < HANDLES; i++)
            (void)TRY_NEW(life, hearth_handle(m, node));
    (void)TRY(life, hearth_gc_collect(m, 0));
    return NULL; /* the scope stays open: thread exit closes it */
}

static void visit_thread(struct life *life)
{
    pthread_t thread;

    MUST(life, hearth_native_begin(life->f.mutator) == HEARTH_OK);
    MUST(life, pthread_create(&thread, NULL, other_thread, life) == 0);
    MUST(life, pthread_join(thread, NULL) == 0);
    MUST(life, hearth_native_end(life->f.mutator) == HEARTH_OK);
}

/* Handles over several pages. */
static void use_handles(struct life *life, void *object)
{
    hearth_scope scope;

    if (!TRY(life, hearth_scope_open(life->f.mutator, &scope)))
        return;
    for (size_t i = 0; i < HANDLES; i++)
        (void)TRY_NEW(life, hearth_handle(life->f.mutator, object));
    MUST(life, hearth_scope_close(life->f.mutator, &scope) == HEARTH_OK);
}

/* Collections never fail: want of memory makes them slower at most. */
static void collect(struct life *life, int generation)
{
    MUST(life, hearth_gc_collect(life->f.mutator, generation) == HEARTH_OK);
}

static void end(struct life *life)
{
    hearth_mutator *m = life->f.mutator;

    for (size_t i = 0; i < life->rooted; i++)
        MUST(life, hearth_root_remove(life->f.heap, &life->root[i]) == HEARTH_OK);
    if (life->provided)
        MUST(life, hearth_root_provider_remove(life->f.heap, provide, life) == HEARTH_OK);
    MUST(life, hearth_detach(m) == HEARTH_OK);
    MUST(life, hearth_heap_destroy(life->f.heap) == HEARTH_OK);
}

/* After the fault: everything is whole and works. */
static void recover(struct life *life, void **list, void **wide, void **refs)
{
    ht_fault_arm(life->kind, 0, false);
    MUST(life, hearth_verify(life->f.mutator) == HEARTH_OK);
    for (int generation = 0; generation < 3; generation++) {
        grow_list(life, list);
        store_young(life, *list);
        collect(life, generation);
        check_list(life, *list);
        check_wide(life, *wide);
        check_large(life, refs);
    }
    MUST(life, hearth_verify(life->f.mutator) == HEARTH_OK);
}

/* A whole life with the fault armed. False: it was not reached. */
static bool live(struct life *life)
{
    uint64_t before = ht_fault_count(life->kind);
    bool reached;

    if (life->n != 0)
        ht_fault_arm(life->kind, life->n, life->sticky);
    if (begin(life)) {
        HEARTH_FRAME(life->f.mutator, frame, 7); /* list, wide, five large ones */
        add_roots(life);
        grow_list(life, &frame.ref[0]);
        for (size_t i = 0; i < life->rooted; i++)
            life->root[i] = frame.ref[0];
        collect(life, 1);
        store_young(life, frame.ref[0]);
        collect(life, 0);
        make_large(life, &frame.ref[2], frame.ref[0]);
        visit_thread(life);
        collect(life, 1);
        dirty_large(life, &frame.ref[2]);
        make_wide(life, &frame.ref[1]);
        use_handles(life, frame.ref[0]);
        collect(life, 0);
        collect(life, 2);
        collect(life, 2);
        check_list(life, frame.ref[0]);
        check_wide(life, frame.ref[1]);
        check_large(life, &frame.ref[2]);
        reached = ht_fault_count(life->kind) - before >= life->n;
        recover(life, &frame.ref[0], &frame.ref[1], &frame.ref[2]);
        HEARTH_FRAME_END(life->f.mutator, frame);
        end(life);
    } else {
        reached = ht_fault_count(life->kind) - before >= life->n;
    }
    ht_fault_arm(life->kind, 0, false);
    return reached;
}

/* --- all n ------------------------------------------------------------------------------------------------- */

static const char base_options[] = "fake-nodes=2,workers=3,release-after=5,window=256m,"
                                   "heap-limit=128m,nursery=1m";

static bool live_with(enum ht_fault kind, uint64_t n, bool sticky)
{
    struct life life = {.options = base_options, .kind = kind, .n = n, .sticky = sticky};
    struct life next = {.options = base_options, .kind = kind};
    bool reached = live(&life);

    MUST(&life, !sticky || life.failures > 0 || !reached || kinds[kind].allowed == 0 ||
                    kind == HT_FAULT_THREAD || kind == HT_FAULT_ALLOC || kind == HT_FAULT_RESERVE ||
                    kind == HT_FAULT_COMMIT || kind == HT_FAULT_MAP || kind == HT_FAULT_PTHREAD);
    (void)live(&next); /* without any: all of it works */
    MUST(&life, next.failures == 0);
    return reached;
}

/* The next n: one by one at first, then in steps, so that hundreds do not take minutes. Under the slow
 * checkers (TSan, valgrind) a life takes a good part of a second. */
static uint64_t next_n(uint64_t n)
{
    static uint64_t state;
    uint64_t one_by_one = harness_scaled(120);

    if (state == 0)
        state = harness_seed() | 1;
    if (n < (one_by_one < 60 ? one_by_one / 4 : one_by_one))
        return n + 1;
    return n + 1 + harness_random_below(&state, 1 + n / harness_scaled(8));
}

/* In one process: the windows are there. */
START_TEST(in_a_used_process)
{
    enum ht_fault kind = (enum ht_fault)(_i / 2);
    struct life first = {.options = base_options, .kind = kind};
    uint64_t n = 1;

    fixture_alone();
    (void)live(&first);
    ck_assert_int_eq(first.failures, 0);
    while (live_with(kind, n, _i % 2))
        n = next_n(n);
}
END_TEST

/* Where the kernel never overcommits: windows that are made writable piece by piece. */
static void open_uncommitted(void)
{
    char path[] = "/tmp/hearth-test-XXXXXX";
    int file = mkstemp(path);
    struct hearth_options options;
    struct hearth_topology *topology = NULL;
    struct ha_windows *windows = NULL;
    hearth_options *parsed = NULL;

    EXPECT(file >= 0 && write(file, "2\n", 2) == 2);
    close(file);
    EXPECT(hearth_options_create(&parsed) == HEARTH_OK);
    EXPECT(harness_parse(parsed, base_options) == HEARTH_OK);
    options = *parsed;
    hearth_options_destroy(parsed);
    EXPECT(ht_topology_create(&topology, &options) == HEARTH_OK);
    EXPECT(ha_windows_open(&windows, topology, &options, path) == HEARTH_OK);
    EXPECT(!windows->committed);
    ht_topology_destroy(topology);
    unlink(path);
}

/* In a process of its own, which must end well and leak nothing. */
static bool live_alone(enum ht_fault kind, uint64_t n, bool sticky)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (kind == HT_FAULT_COMMIT)
            open_uncommitted();
        exit(live_with(kind, n, sticky) ? 40 : 41);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 40 && WEXITSTATUS(status) != 41))
        ck_abort_msg("%s, n = %llu%s: the process ended with status 0x%x", kinds[kind].name,
                     (unsigned long long)n, sticky ? ", sticky" : "", (unsigned)status);
    return WEXITSTATUS(status) == 40;
}

START_TEST(in_a_fresh_process)
{
    enum ht_fault kind = (enum ht_fault)(_i / 2);
    uint64_t n = 1;

    fixture_alone();
    while (live_alone(kind, n, _i % 2))
        n = next_n(n);
}
END_TEST

/* The lives above meet every kind of call at all, but for files that are written: test_snapshot.c does. */
START_TEST(kinds_are_met)
{
    struct life life = {.options = base_options};

    fixture_alone();
    open_uncommitted();
    (void)live(&life);
    ck_assert_int_eq(life.failures, 0);
    for (int kind = 0; kind < HT_FAULT_KINDS; kind++)
        if (kind != HT_FAULT_AFFINITY && kind != HT_FAULT_WRITE)
            ck_assert_msg(ht_fault_count((enum ht_fault)kind) > 0, "%s", kinds[kind].name);
}
END_TEST

HARNESS_SUITE(faults)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, kinds_are_met);
    tcase_add_loop_test(tests, in_a_used_process, 0, 2 * HT_FAULT_KINDS);
    tcase_add_loop_test(tests, in_a_fresh_process, 0, 2 * HT_FAULT_KINDS);
    suite_add_tcase(suite, tests);
    return suite;
}
