/* tests/test_snapshot.c - heap snapshots: strict JSON, every index in its table, nodes and edges as the
 * shadow has them, ids that stay; files, and what goes wrong. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/inspect_fixture.h"
#include "tests/json.h"
#include "tests/text.h"
#include "topology/os.h"

enum {
    NODE = 7,
    EDGE = 3,
    OBJECTS = 9,
    OBJECT = 3,
    ELEMENT = 1,
    PROPERTY = 2,
    SHORTCUT = 5,
    WEAK = 6
};

struct snapshot {
    struct text text;
    uint64_t *node, *edge; /* numbers                 */
    size_t nodes, edges;   /* records                 */
    const char **string;
    size_t strings;
};

static void snapshot_read(struct snapshot *d)
{
    const char *text = d->text.at;
    size_t count;

    ck_assert(json_check(text));
    const char *about = json_key(text, "snapshot"), *meta = json_key(about, "meta");
    d->nodes = strtoull(json_key(about, "node_count"), NULL, 10);
    d->edges = strtoull(json_key(about, "edge_count"), NULL, 10);
    free(json_array(json_key(meta, "node_fields"), &count));
    ck_assert_uint_eq(count, NODE);
    free(json_array(json_key(meta, "node_types"), &count));
    ck_assert_uint_eq(count, NODE);
    free(json_array(json_key(meta, "edge_fields"), &count));
    ck_assert_uint_eq(count, EDGE);
    d->node = json_numbers(json_key(text, "nodes"), &count);
    ck_assert_uint_eq(count, d->nodes * NODE);
    d->edge = json_numbers(json_key(text, "edges"), &count);
    ck_assert_uint_eq(count, d->edges * EDGE);
    d->string = json_array(json_key(text, "strings"), &d->strings);
    static const char *const empty[] = {"trace_function_infos", "trace_tree", "samples",
                                        "locations"};
    for (int i = 0; i < 4; i++) {
        free(json_array(json_key(text, empty[i]), &count));
        ck_assert_uint_eq(count, 0);
    }
}

/* All that a reader relies on. */
static void snapshot_check(const struct snapshot *d)
{
    uint64_t edges = 0;

    for (size_t i = 0; i < d->nodes; i++) {
        const uint64_t *node = &d->node[i * NODE];
        EXPECT(node[0] == (i < OBJECTS ? 9 : OBJECT) && node[1] < d->strings);
        EXPECT(node[2] > 0 && node[2] <= UINT32_MAX && node[5] == 0 && node[6] == 0);
        edges += node[4];
    }
    EXPECT(edges == d->edges);
    for (size_t i = 0; i < d->edges; i++) {
        const uint64_t *edge = &d->edge[i * EDGE];
        EXPECT(edge[0] == ELEMENT || edge[0] == PROPERTY || edge[0] == SHORTCUT || edge[0] == WEAK);
        EXPECT(edge[0] == ELEMENT || edge[1] < d->strings);
        EXPECT(edge[2] % NODE == 0 && edge[2] / NODE < d->nodes);
    }
}

static struct snapshot snapshot_take(struct shadow *s)
{
    struct snapshot d = {.text = {0}};

    HARNESS_OK(hearth_heap_snapshot(s->m, text_add, &d.text));
    snapshot_read(&d);
    snapshot_check(&d);
    return d;
}

static void snapshot_free(struct snapshot *d)
{
    free(d->text.at);
    free(d->node);
    free(d->edge);
    free(d->string);
}

/* --- against the shadow ---------------------------------------------------------------------------------------- */

struct described {
    uint64_t id, name, size, edges;
};

static int by_id(const void *a, const void *b)
{
    const struct described *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* As gc/snapshot.c makes it, for one node or several. */
static uint64_t id_of(const struct shadow *s, const void *address)
{
    const struct ha_windows *w = s->heap.heap->space.windows;
    uint64_t offset = (uintptr_t)address - w->base;
    uint64_t node = offset >> w->shift, inside = offset & (((uint64_t)1 << w->shift) - 1);

    return ((inside >> 22) * (uint64_t)w->nodes + node) << 18 | (inside & 0x3fffff) >> 4;
}

static void expect_nodes(struct shadow *s, const struct snapshot *d)
{
    struct described *is = calloc(s->count + 1, sizeof(*is));
    struct described *should = calloc(s->count + 1, sizeof(*should));

    ck_assert_uint_eq(d->nodes, OBJECTS + s->count);
    for (size_t i = 0; i < s->count; i++) {
        const struct oracle_object *o = s->object[i];
        const uint64_t *node = &d->node[(OBJECTS + i) * NODE];
        is[i] = (struct described){node[2], node[1], node[3], node[4]};
        should[i].id = id_of(s, o->address);
        should[i].size = hg_footprint((uintptr_t)o->address);
        for (size_t k = 0; k < o->slots; k++)
            should[i].edges += oracle_target(o, k) != NULL;
    }
    qsort(is, s->count, sizeof(*is), by_id);
    qsort(should, s->count, sizeof(*should), by_id);
    for (size_t i = 0; i < s->count; i++) {
        EXPECT(is[i].id == should[i].id && is[i].size == should[i].size);
        EXPECT(is[i].edges == should[i].edges);
        EXPECT(i == 0 || is[i].id != is[i - 1].id);
    }
    free(is);
    free(should);
}

/* Does slot `k` of the object bear the edge's name? */
static bool is_named(const struct snapshot *d, const struct oracle_object *o, size_t k,
                     const uint64_t *edge)
{
    size_t offset = oracle_offset((enum oracle_kind)o->kind, k);
    size_t fixed = o->kind == ORACLE_STRUCTS      ? 24
                   : o->kind == ORACLE_TAILED     ? 32
                   : o->kind == ORACLE_CARDS_REFS ? 8
                                                  : 0;
    char name[32];

    if (edge[0] == ELEMENT)
        return offset >= fixed && edge[1] == (offset - fixed) / sizeof(void *);
    snprintf(name, sizeof(name), "+%zu", offset);
    return json_is(d->string[edge[1]], name);
}

/* Every edge of an object is a slot of the shadow. (That they are as many was seen above.) */
static void expect_edges(struct shadow *s, const struct snapshot *d)
{
    uint64_t *id = calloc(s->count + 1, sizeof(*id));
    const uint64_t *edge = d->edge;

    for (size_t i = 0; i < s->count; i++)
        id[i] = id_of(s, s->object[i]->address);
    for (size_t n = 0; n < d->nodes; n++)
        for (uint64_t e = 0; e < d->node[n * NODE + 4]; e++, edge += EDGE) {
            size_t i = 0;
            if (n < OBJECTS)
                continue;
            while (i < s->count && id[i] != d->node[n * NODE + 2])
                i++;
            EXPECT(i < s->count);
            const struct oracle_object *o = s->object[i];
            uint64_t to = d->node[edge[2] + 2];
            bool found = false;
            for (size_t k = 0; k < o->slots && !found; k++)
                found = oracle_target(o, k) != NULL &&
                        id_of(s, oracle_target(o, k)->address) == to && is_named(d, o, k, edge);
            EXPECT(found);
            hearth_type_info type = {.struct_size = sizeof(type)};
            EXPECT(hearth_type_get(s->heap.heap, s->heap.type[o->kind], &type) == HEARTH_OK);
            EXPECT(json_is(d->string[d->node[n * NODE + 1]], type.name));
        }
    free(id);
}

/* Shortcuts from the root lead to all rooted objects, once each; and so do the kinds of roots. */
static void expect_roots(struct shadow *s, const struct snapshot *d)
{
    const uint64_t *edge = d->edge;
    bool *direct = calloc(d->nodes, sizeof(*direct)), *by_kind = calloc(d->nodes, sizeof(*direct));
    size_t rooted = 0;

    for (size_t n = 0; n < OBJECTS; n++)
        for (uint64_t e = 0; e < d->node[n * NODE + 4]; e++, edge += EDGE) {
            uint64_t to = edge[2] / NODE;
            EXPECT((edge[0] == SHORTCUT) == (n == 0 && to >= OBJECTS));
            EXPECT(n != 0 || !direct[to]);
            direct[to] |= n == 0;
            by_kind[to] |= n >= 2;
        }
    EXPECT(json_is(d->string[d->node[NODE + 1]], "(GC roots)"));
    for (size_t n = OBJECTS; n < d->nodes; n++) {
        EXPECT(direct[n] == by_kind[n]);
        rooted += direct[n];
    }
    for (size_t i = 0; i < s->count; i++)
        rooted -= s->rooted[i];
    EXPECT(rooted == 0);
    free(direct);
    free(by_kind);
}

START_TEST(it_holds_what_is_reachable)
{
    struct shadow s;

    shadow_open(&s, shadow_options[_i], harness_seed() + (uint64_t)_i, 700);
    struct snapshot d = snapshot_take(&s);
    expect_nodes(&s, &d);
    expect_edges(&s, &d);
    expect_roots(&s, &d);
    HARNESS_OK(hearth_gc_collect(s.m, 0));
    struct snapshot again = snapshot_take(&s); /* the same ids, the same order: the same text */
    ck_assert_uint_eq(d.text.length, again.text.length);
    ck_assert(memcmp(d.text.at, again.text.at, d.text.length) == 0);
    snapshot_free(&d);
    snapshot_free(&again);
    shadow_close(&s);
}
END_TEST

START_TEST(odd_names_are_still_json)
{
    struct shadow s;
    hearth_type quoted, nameless;
    void *slot = NULL, *other = NULL;

    shadow_open(&s, "", 1, 0);
    HARNESS_OK(hearth_type_leaf(s.heap.heap, "a \"b\"\\\n\xff", 16, &quoted));
    HARNESS_OK(hearth_type_leaf(s.heap.heap, NULL, 16, &nameless));
    HARNESS_OK(hearth_root_add(s.heap.heap, &slot));
    HARNESS_OK(hearth_root_add(s.heap.heap, &other));
    slot = hearth_new(s.m, quoted);
    other = hearth_new(s.m, nameless);
    struct snapshot d = snapshot_take(&s);
    ck_assert_uint_eq(d.nodes, OBJECTS + 2);
    bool found = false, unnamed = false;
    for (size_t i = 0; i < d.strings; i++) {
        found |= json_is(d.string[i], "a \\u0022b\\u0022\\u005c\\u000a\\u00ff");
        unnamed |= json_is(d.string[i], "(unnamed)");
    }
    ck_assert(found && unnamed);
    snapshot_free(&d);
    HARNESS_OK(hearth_root_remove(s.heap.heap, &slot));
    HARNESS_OK(hearth_root_remove(s.heap.heap, &other));
    shadow_close(&s);
}
END_TEST

/* --- files and failures ------------------------------------------------------------------------------------------- */

START_TEST(into_a_file)
{
    struct shadow s;
    char path[] = "/tmp/hearth-snapshot-XXXXXX";
    int file = mkstemp(path);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, "old", 3), 3);
    close(file);
    shadow_open(&s, "", harness_seed(), 700);
    struct snapshot d = snapshot_take(&s);
    HARNESS_OK(hearth_heap_snapshot_file(s.m, path));
    FILE *in = fopen(path, "r");
    ck_assert_ptr_nonnull(in);
    char *text = calloc(1, d.text.length + 2);
    ck_assert_uint_eq(fread(text, 1, d.text.length + 1, in), d.text.length);
    ck_assert(memcmp(text, d.text.at, d.text.length) == 0);
    fclose(in);
    HARNESS_STATUS(hearth_heap_snapshot_file(s.m, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_heap_snapshot_file(NULL, path), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_heap_snapshot_file(s.m, "/no/such/place"), HEARTH_ESYSTEM,
                         "/no/such/place");
    for (uint64_t n = 1;; n++) { /* what is not whole is not left behind */
        ht_fault_arm(HT_FAULT_WRITE, n, true);
        hearth_status status = hearth_heap_snapshot_file(s.m, path);
        ht_fault_arm(HT_FAULT_WRITE, 0, false);
        if (status == HEARTH_OK)
            break;
        ck_assert_int_eq(status, HEARTH_ESYSTEM);
        ck_assert_ptr_nonnull(strstr(hearth_last_error(), path));
        ck_assert(n == 1 || access(path, F_OK) != 0);
    }
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(unlink(path), 0);
    free(text);
    snapshot_free(&d);
    shadow_close(&s);
}
END_TEST

START_TEST(bad_input_and_no_memory)
{
    static const enum ht_fault kinds[] = {HT_FAULT_ALLOC, HT_FAULT_MAP};
    struct shadow s;

    shadow_open(&s, "", 1, 700);
    HARNESS_STATUS(hearth_heap_snapshot(s.m, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_heap_snapshot(NULL, text_add, NULL), HEARTH_EINVAL);
    for (size_t most = 1;; most++) {
        struct text text = {.most = most};
        hearth_status status = hearth_heap_snapshot(s.m, text_add, &text);
        free(text.at);
        if (status == HEARTH_OK)
            break;
        HARNESS_STATUS((status), HEARTH_ESYSTEM);
        ck_assert_uint_eq(text.calls, most);
    }
    for (int k = 0; k < 2; k++)
        for (uint64_t n = 1;; n++) {
            struct text text = {0};
            ht_fault_arm(kinds[k], n, true);
            hearth_status status = hearth_heap_snapshot(s.m, text_add, &text);
            ht_fault_arm(kinds[k], 0, false);
            HARNESS_OK(hearth_verify(s.m));
            free(text.at);
            if (status == HEARTH_OK)
                break;
            EXPECT(status == HEARTH_ENOMEM && text.length == 0 && n < 100);
        }
    shadow_close(&s);
}
END_TEST

HARNESS_SUITE(snapshot)
{
    Suite *suite = suite_create("snapshot");
    TCase *tcase = tcase_create("snapshot");

    tcase_add_loop_test(tcase, it_holds_what_is_reachable, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, odd_names_are_still_json);
    tcase_add_test(tcase, into_a_file);
    tcase_add_test(tcase, bad_input_and_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
