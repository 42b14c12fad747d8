/* tests/test_graph.c - the numbered copy of what is reachable: the check after every way of filling it, and
 * that it finds what is wrong. World stopped as for every look. */
#include "gc/graph.h"

#include "tests/inspect_fixture.h"
#include "topology/os.h"

static void expect_counts(struct shadow *s, const struct hg_graph *graph, size_t barred)
{
    size_t *distance = calloc(s->count + 1, sizeof(*distance)), reached = 0, rooted = 0;
    uint32_t position;

    shadow_distances(s, barred, distance);
    for (size_t i = 0; i < s->count; i++) {
        bool found = hg_graph_find(graph, (uintptr_t)s->object[i]->address, &position);
        EXPECT(found == (distance[i] != SIZE_MAX));
        EXPECT(!found || graph->node[position] == (uintptr_t)s->object[i]->address);
        reached += distance[i] != SIZE_MAX;
        rooted += distance[i] == 0;
    }
    EXPECT(reached == graph->count && rooted == graph->rooted && graph->next == graph->count);
    EXPECT(graph->roots >= graph->rooted);
    EXPECT(!hg_graph_find(graph, 0, &position) && !hg_graph_find(graph, (uintptr_t)s, &position));
    free(distance);
}

START_TEST(it_holds_what_is_reachable)
{
    struct shadow s;
    struct hg_graph graph;

    shadow_open_mode(&s, _i);
    hearth_heap *heap = s.heap.heap;
    for (int round = 0; round < 6; round++) {
        size_t barred = round == 0 ? SIZE_MAX : shadow_pick(&s);
        HARNESS_OK(hg_inspect_begin(s.m, "test"));
        HARNESS_OK(hg_graph_init(&graph, heap, "test"));
        if (round > 0)
            *hg_graph_number(&graph, (uintptr_t)s.object[barred]->address) = HG_BARRED;
        HARNESS_OK(hg_graph_roots(&graph, "test"));
        HARNESS_OK(hg_graph_check(&graph));
        HARNESS_OK(hg_graph_follow(&graph, 0, "test"));
        HARNESS_OK(hg_graph_check(&graph));
        expect_counts(&s, &graph, barred);
        hg_graph_free(&graph);
        hg_inspect_end(s.m);
    }
    shadow_close(&s);
}
END_TEST

START_TEST(following_stops_at_what_is_looked_for)
{
    struct shadow s;
    struct hg_graph graph;

    shadow_open_mode(&s, _i);
    size_t *distance = calloc(s.count + 1, sizeof(*distance));
    shadow_distances(&s, SIZE_MAX, distance);
    for (int round = 0; round < 6; round++) {
        size_t i = shadow_pick(&s);
        uint32_t position, steps = 0;
        HARNESS_OK(hg_inspect_begin(s.m, "test"));
        HARNESS_OK(hg_graph_init(&graph, s.heap.heap, "test"));
        HARNESS_OK(hg_graph_roots(&graph, "test"));
        HARNESS_OK(hg_graph_follow(&graph, (uintptr_t)s.object[i]->address, "test"));
        HARNESS_OK(hg_graph_check(&graph));
        EXPECT(hg_graph_find(&graph, (uintptr_t)s.object[i]->address, &position));
        for (; graph.parent[position] != HG_NO_PARENT; position = graph.parent[position])
            steps++;
        EXPECT(steps == distance[i]);
        hg_graph_free(&graph);
        hg_inspect_end(s.m);
    }
    free(distance);
    shadow_close(&s);
}
END_TEST

START_TEST(damage_is_found)
{
    struct shadow s;
    struct hg_graph graph;

    shadow_open(&s, "", 3, 800);
    HARNESS_OK(hg_inspect_begin(s.m, "test"));
    HARNESS_OK(hg_graph_init(&graph, s.heap.heap, "test"));
    HARNESS_OK(hg_graph_roots(&graph, "test"));
    HARNESS_OK(hg_graph_follow(&graph, 0, "test"));
    size_t last = graph.count - 1;
    EXPECT(last > graph.rooted);
    graph.node[last] += 8;
    HARNESS_STATUS_NAMES(hg_graph_check(&graph), HEARTH_ECORRUPT, "no object");
    graph.node[last] -= 8;
    graph.parent[last] = (uint32_t)last;
    HARNESS_STATUS_NAMES(hg_graph_check(&graph), HEARTH_ECORRUPT, "parent");
    graph.parent[last] = 0;
    graph.parent[0] = 0;
    HARNESS_STATUS_NAMES(hg_graph_check(&graph), HEARTH_ECORRUPT, "parent");
    graph.parent[0] = HG_NO_PARENT;
    uint32_t *number = hg_graph_number(&graph, graph.node[last]);
    ++*number;
    HARNESS_STATUS_NAMES(hg_graph_check(&graph), HEARTH_ECORRUPT, "number");
    --*number;
    HARNESS_OK(hg_graph_check(&graph));
    hg_graph_free(&graph);
    hg_inspect_end(s.m);
    shadow_close(&s);
}
END_TEST

HARNESS_SUITE(graph)
{
    Suite *suite = suite_create("graph");
    TCase *tcase = tcase_create("graph");

    tcase_add_loop_test(tcase, it_holds_what_is_reachable, 0, SHADOW_OPTIONS);
    tcase_add_loop_test(tcase, following_stops_at_what_is_looked_for, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, damage_is_found);
    suite_add_tcase(suite, tcase);
    return suite;
}
