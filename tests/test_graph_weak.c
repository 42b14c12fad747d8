/* tests/test_graph_weak.c - weak references and ephemerons in paths, retained sizes and snapshots, against a
 * model that is worked out by repetition until nothing changes. Collection is off: nothing is cleared. */
#include "tests/mutator_fixture.h"

#include "gc/cell.h"
#include "tests/json.h"
#include "tests/text.h"

enum { PAIRS = 24, EPHEMERONS = 20, WEAKS = 4, ALL = PAIRS + EPHEMERONS + WEAKS, NONE = -1 };

/* What each refers to: a pair its two; an ephemeron key and value; a weak reference target and data. */
struct model {
    struct fixture f;
    void *object[ALL];
    int first[ALL], second[ALL];
    bool rooted[ALL], reached[ALL];
    void *slot[ALL]; /* global roots */
};

static int any(uint64_t *random, int bound)
{
    return (int)harness_random_below(random, (uint64_t)bound);
}

static void *made(struct model *m, int i)
{
    return i == NONE ? NULL : m->object[i];
}

static void model_open(struct model *m, const char *options, uint64_t seed)
{
    uint64_t random = seed;
    fixture_alone();
    *m = (struct model){.f = fixture_open(options)};
    HARNESS_OK(hearth_gc_disable(m->f.heap));
    for (int i = 0; i < ALL; i++) {
        m->first[i] = any(&random, i < PAIRS ? ALL : PAIRS);
        m->second[i] = i < PAIRS + EPHEMERONS ? any(&random, ALL) : NONE;
        m->rooted[i] = any(&random, 12) == 0;
        if (i < PAIRS)
            m->object[i] = fixture_new(m->f.mutator, m->f.node, (uint64_t)i);
        else if (i < PAIRS + EPHEMERONS)
            m->object[i] = hearth_ephemeron_new(m->f.mutator, m->object[m->first[i]], NULL);
        else
            m->object[i] = hearth_weak_new(m->f.mutator, m->object[m->first[i]], 0, NULL, NULL);
        EXPECT(m->object[i] != NULL);
    }
    for (int i = 0; i < ALL; i++) {
        struct fixture_node *node = m->object[i];
        HARNESS_OK(hearth_root_add(m->f.heap, &m->slot[i]));
        m->slot[i] = m->rooted[i] ? m->object[i] : NULL;
        if (i < PAIRS) {
            HARNESS_OK(hearth_store(m->f.mutator, node, &node->left, made(m, m->first[i])));
            HARNESS_OK(hearth_store(m->f.mutator, node, &node->right, made(m, m->second[i])));
        } else if (i < PAIRS + EPHEMERONS) {
            HARNESS_OK(hearth_ephemeron_set_value(m->f.mutator, node, made(m, m->second[i])));
        }
    }
}

static void model_close(struct model *m)
{
    for (int i = 0; i < ALL; i++)
        HARNESS_OK(hearth_root_remove(m->f.heap, &m->slot[i]));
    fixture_close(&m->f);
}

/* What the roots reach, without entering `barred`, `also` being one of them. Returns how many. */
static int model_reach(struct model *m, int barred, int also)
{
    bool changed = true;
    int count = 0;
    for (int i = 0; i < ALL; i++)
        m->reached[i] = (m->rooted[i] || i == also) && i != barred;
    while (changed) {
        changed = false;
        for (int i = 0; i < ALL; i++) {
            bool is_pair = i < PAIRS, is_ephemeron = !is_pair && i < PAIRS + EPHEMERONS;
            int first = m->first[i], second = m->second[i];
            if (m->reached[i] && is_pair && first != barred && !m->reached[first])
                changed = m->reached[first] = true;
            if (m->reached[i] && (is_pair || (is_ephemeron && m->reached[first])) &&
                second != barred && !m->reached[second])
                changed = m->reached[second] = true;
        }
    }
    for (int i = 0; i < ALL; i++)
        count += m->reached[i];
    return count;
}

static bool count_step(void *data, const hearth_path_step *step)
{
    *(size_t *)data += step->object != NULL;
    return true;
}

START_TEST(the_value_needs_its_key)
{
    for (uint64_t round = 0; round < harness_scaled(12); round++) {
        struct model m;
        model_open(&m, _i ? "fake-nodes=2" : "", harness_seed() + round * 2 + (uint64_t)_i);
        for (int i = 0; i < ALL; i++) {
            size_t length, steps = 0;
            hearth_retained retained = {.struct_size = sizeof(retained)};
            model_reach(&m, NONE, NONE);
            HARNESS_OK(
                hearth_path_from_roots(m.f.mutator, m.object[i], count_step, &steps, &length));
            EXPECT(steps == length && (length > 0) == m.reached[i]);
            HARNESS_OK(hearth_retained_size(m.f.mutator, m.object[i], &retained));
            int with = model_reach(&m, NONE, i);
            EXPECT((int)retained.objects == with - model_reach(&m, i, NONE));
        }
        model_close(&m);
    }
}
END_TEST

/* Each key is the value of the one before; the ephemerons are met in either order. */
START_TEST(long_chains)
{
    enum { CHAIN = 2000 };
    struct fixture f = fixture_open("");
    HEARTH_FRAME(f.mutator, frame, 4);
    frame.ref[0] = hearth_new_array(f.mutator, f.refs, CHAIN);
    void *first = frame.ref[3] = frame.ref[1] = fixture_new(f.mutator, f.node, 0);
    for (int i = 0; i < CHAIN; i++) {
        frame.ref[2] = fixture_new(f.mutator, f.node, 1);
        void *ephemeron = hearth_ephemeron_new(f.mutator, frame.ref[1], frame.ref[2]);
        void **slot = (void **)frame.ref[0] + (_i ? i : CHAIN - 1 - i);
        EXPECT(ephemeron != NULL);
        HARNESS_OK(hearth_store(f.mutator, frame.ref[0], slot, ephemeron));
        frame.ref[1] = frame.ref[2];
    }
    void *last = frame.ref[1];
    frame.ref[1] = frame.ref[2] = NULL;
    size_t length = 0, steps = 0;
    hearth_retained retained = {.struct_size = sizeof(retained)};
    HARNESS_OK(hearth_path_from_roots(f.mutator, last, count_step, &steps, &length));
    ck_assert_uint_eq(length, 3); /* array, ephemeron, value: whose key was reached before */
    HARNESS_OK(hearth_retained_size(f.mutator, first, &retained));
    ck_assert_uint_eq(retained.objects, CHAIN + 1);
    for (uint64_t n = 1;; n++) { /* waiting needs memory */
        ht_fault_arm(HT_FAULT_ALLOC, n, true);
        hearth_status status = hearth_retained_size(f.mutator, first, &retained);
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        if (status == HEARTH_OK)
            break;
        EXPECT(status == HEARTH_ENOMEM && n < 100);
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(weak_edges_in_a_snapshot)
{
    struct fixture f = fixture_open("");
    struct text text = {0};
    size_t edges, weak = 0;
    HEARTH_FRAME(f.mutator, frame, 4);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], 0, NULL, NULL);
    frame.ref[2] = hearth_ephemeron_new(f.mutator, frame.ref[0], frame.ref[1]);
    frame.ref[3] = hearth_weak_new(f.mutator, fixture_new(f.mutator, f.node, 2), 0, NULL, NULL);
    HARNESS_OK(hearth_heap_snapshot(f.mutator, text_add, &text));
    ck_assert(json_check(text.at));
    uint64_t *edge = json_numbers(json_key(text.at, "edges"), &edges);
    for (size_t i = 0; i < edges; i += 3)
        weak += edge[i] == 6;
    ck_assert_uint_eq(weak, 2); /* the fourth's target is held by nothing: it is not there */
    free(edge);
    free(text.at);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(graph_weak)
{
    Suite *suite = suite_create("graph_weak");
    TCase *tcase = tcase_create("graph_weak");

    tcase_add_loop_test(tcase, the_value_needs_its_key, 0, 2);
    tcase_add_loop_test(tcase, long_chains, 0, 2);
    tcase_add_test(tcase, weak_edges_in_a_snapshot);
    suite_add_tcase(suite, tcase);
    return suite;
}
