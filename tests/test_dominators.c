/* tests/test_dominators.c - the dominator tree of random graphs by definition: d dominates v if v can not be
 * reached without d; deep and nasty shapes; want of memory. */
#include <stdlib.h>
#include <string.h>

#include "gc/dominators.h"
#include "tests/harness.h"
#include "topology/os.h"

enum { SMALL = 24, EDGES = 80 };

struct graph {
    struct hg_flowgraph flow;
    uint32_t capacity;
};

static void graph_open(struct graph *g, uint32_t nodes, uint32_t edges)
{
    g->flow.nodes = nodes;
    g->flow.head = calloc(nodes + 1, sizeof(uint32_t));
    g->flow.to = calloc(edges + 1, sizeof(uint32_t));
    g->capacity = edges;
}

static void graph_close(struct graph *g)
{
    free(g->flow.head);
    free(g->flow.to);
}

/* Which nodes are reached from 0 when `barred` is taken away. */
static void reach(const struct hg_flowgraph *flow, uint32_t barred, bool *reached)
{
    uint32_t stack[SMALL], top = 0;

    memset(reached, 0, flow->nodes * sizeof(*reached));
    if (barred == 0)
        return;
    reached[0] = true;
    stack[top++] = 0;
    while (top > 0) {
        uint32_t v = stack[--top];
        for (uint32_t e = flow->head[v]; e < flow->head[v + 1]; e++) {
            uint32_t to = flow->to[e];
            if (to != barred && !reached[to]) {
                reached[to] = true;
                stack[top++] = to;
            }
        }
    }
}

static void expect_tree(const struct hg_flowgraph *flow)
{
    struct hg_dominators tree;
    bool all[SMALL], without[SMALL], by_tree[SMALL][SMALL] = {{false}};
    uint32_t reached = 0;

    HARNESS_OK(hg_dominators_find(&tree, flow));
    HARNESS_OK(hg_dominators_check(&tree));
    reach(flow, UINT32_MAX, all);
    for (uint32_t v = 0; v < flow->nodes; v++)
        reached += all[v];
    if (tree.count != reached)
        ck_abort_msg("%u nodes in the tree, %u reached", tree.count, reached);
    for (uint32_t i = 0; i < tree.count; i++) {
        for (uint32_t up = i;; up = tree.idom[up]) {
            by_tree[tree.vertex[up]][tree.vertex[i]] = true;
            if (up == 0)
                break;
        }
    }
    for (uint32_t d = 0; d < flow->nodes; d++) {
        reach(flow, d, without);
        for (uint32_t v = 0; v < flow->nodes; v++) {
            bool dominates = all[d] && all[v] && (d == v || !without[v]);
            if (dominates != by_tree[d][v])
                ck_abort_msg("%u dominates %u: %d, the tree says %d", d, v, dominates,
                             by_tree[d][v]);
        }
    }
    hg_dominators_free(&tree);
}

START_TEST(random_graphs_by_definition)
{
    uint64_t random = harness_seed();
    struct graph g;

    for (uint64_t round = 0; round < harness_scaled(3000); round++) {
        uint32_t nodes = 1 + (uint32_t)harness_random_below(&random, SMALL);
        uint32_t edges = (uint32_t)harness_random_below(&random, EDGES);
        uint8_t from[EDGES];
        graph_open(&g, nodes, edges);
        for (uint32_t e = 0; e < edges; e++)
            from[e] = (uint8_t)harness_random_below(&random, nodes);
        uint32_t at = 0;
        for (uint32_t v = 0; v < nodes; v++) {
            g.flow.head[v] = at;
            for (uint32_t e = 0; e < edges; e++)
                if (from[e] == v)
                    g.flow.to[at++] = (uint32_t)harness_random_below(&random, nodes);
        }
        g.flow.head[nodes] = at;
        expect_tree(&g.flow);
        graph_close(&g);
    }
}
END_TEST

/* A list of a million links with a way back from each to the one before: no stack overflows. */
START_TEST(a_deep_list)
{
    uint32_t nodes = (uint32_t)harness_scaled(1000000);
    struct hg_dominators tree;
    struct graph g;

    graph_open(&g, nodes, nodes * 2);
    for (uint32_t v = 0, at = 0; v < nodes; v++) {
        g.flow.head[v] = at;
        if (v > 0)
            g.flow.to[at++] = v - 1;
        if (v + 1 < nodes)
            g.flow.to[at++] = v + 1;
        g.flow.head[v + 1] = at;
    }
    HARNESS_OK(hg_dominators_find(&tree, &g.flow));
    ck_assert_uint_eq(tree.count, nodes);
    for (uint32_t i = 1; i < nodes; i++)
        if (tree.vertex[i] != i || tree.idom[i] != i - 1)
            ck_abort_msg("place %u: node %u below %u", i, tree.vertex[i], tree.idom[i]);
    hg_dominators_free(&tree);
    graph_close(&g);
}
END_TEST

/* Two rails and rungs from either to the other: the entry dominates every node immediately. This is
 * quadratic for algorithms that iterate. */
START_TEST(a_long_ladder)
{
    uint32_t rungs = (uint32_t)harness_scaled(100000), nodes = 1 + 2 * rungs;
    struct hg_dominators tree;
    struct graph g;

    graph_open(&g, nodes, rungs * 6);
    uint32_t at = 0;
    g.flow.to[at++] = 1;
    g.flow.to[at++] = 2;
    g.flow.head[1] = at;
    for (uint32_t v = 1; v < nodes; v++) {
        uint32_t partner = v % 2 ? v + 1 : v - 1;
        if (v + 2 < nodes)
            g.flow.to[at++] = v + 2;
        g.flow.to[at++] = partner;
        g.flow.head[v + 1] = at;
    }
    HARNESS_OK(hg_dominators_find(&tree, &g.flow));
    ck_assert_uint_eq(tree.count, nodes);
    for (uint32_t i = 1; i < nodes; i++)
        if (tree.idom[i] != 0)
            ck_abort_msg("node %u is dominated by %u", tree.vertex[i], tree.vertex[tree.idom[i]]);
    hg_dominators_free(&tree);
    graph_close(&g);
}
END_TEST

START_TEST(without_memory)
{
    struct hg_dominators tree;
    struct graph g;

    graph_open(&g, 2, 1);
    g.flow.to[0] = 1;
    g.flow.head[1] = g.flow.head[2] = 1;
    for (uint64_t n = 1; n <= 12; n++) {
        ht_fault_arm(HT_FAULT_MAP, n, false);
        HARNESS_STATUS(hg_dominators_find(&tree, &g.flow), HEARTH_ENOMEM);
        ht_fault_arm(HT_FAULT_MAP, 0, false);
    }
    HARNESS_OK(hg_dominators_find(&tree, &g.flow));
    HARNESS_OK(hg_dominators_check(&tree));
    tree.idom[1] = 1;
    HARNESS_STATUS_NAMES(hg_dominators_check(&tree), HEARTH_ECORRUPT, "place 1");
    hg_dominators_free(&tree);
    graph_close(&g);
}
END_TEST

HARNESS_SUITE(dominators)
{
    Suite *suite = suite_create("dominators");
    TCase *tcase = tcase_create("dominators");

    tcase_add_test(tcase, random_graphs_by_definition);
    tcase_add_test(tcase, a_deep_list);
    tcase_add_test(tcase, a_long_ladder);
    tcase_add_test(tcase, without_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
