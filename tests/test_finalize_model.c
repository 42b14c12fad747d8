/* tests/test_finalize_model.c - random programs with finalizers and resurrection against a shadow model.
 *
 * The model knows every object by a number, what it refers to, whether it has a finalizer, and what is due, all
 * in plain memory. After each collection: what is due was unreachable and had a finalizer (after a full
 * collection, all of that is); what is reachable from roots and from what is due is alive with its values;
 * the rest is gone after a full collection. Items leave the queue in the model's order. */
#include "tests/finalize_fixture.h"

enum { ROOTS = 12, OBJECTS = 600 };

struct shadow {
    struct fixture_node *node; /* NULL: no such object                 */
    uint64_t id;               /* its value                             */
    int left, right;           /* what it refers to, -1: nothing        */
    bool armed;                /* has a finalizer that is not due       */
    bool finalized;            /* its finalizer was run, and not renewed */
    uint64_t serial;           /* of the registration                   */
    int priority;
    uint64_t due; /* 0, or since which collection            */
    bool reached; /* scratch                                */
};

struct model {
    struct fixture f;
    struct shadow object[OBJECTS];
    int root[ROOTS];
    void **slot; /* the frame's references: the real roots          */
    uint64_t random, ids, serial, collections;
    size_t due, ran, resurrected, freed;
};

static struct model model;

static hearth_status model_finalizer(hearth_mutator *mutator, void *object, void *data)
{
    uint64_t *called = data;
    (void)mutator;
    *called = ((struct fixture_node *)object)->value;
    return HEARTH_OK;
}
static uint64_t model_called;

static void reach(int first)
{
    static int stack[3 * OBJECTS];
    int top = 0;

    stack[top++] = first;
    while (top > 0) {
        int i = stack[--top];
        if (i < 0 || model.object[i].reached)
            continue;
        model.object[i].reached = true;
        stack[top++] = model.object[i].left;
        stack[top++] = model.object[i].right;
    }
}

/* From the roots and what is due in the model. */
static void reach_all(void)
{
    for (int i = 0; i < OBJECTS; i++)
        model.object[i].reached = false;
    for (int i = 0; i < ROOTS; i++)
        reach(model.root[i]);
    for (int i = 0; i < OBJECTS; i++)
        if (model.object[i].node != NULL && model.object[i].due != 0)
            reach(i);
}

static bool is_due(const struct shadow *o)
{
    const struct hg_entry *entry =
        hg_entry_find(&model.f.heap->pending.entries, (uintptr_t)o->node);
    return entry != NULL && hg_entry_is_due(entry);
}

static bool is_there(const struct shadow *o)
{
    return hearth_is_object(model.f.heap, o->node) && o->node->value == o->id;
}

/* There have been collections. */
static void compare(bool full)
{
    bool found[OBJECTS] = {false};

    reach_all();
    for (int i = 0; i < OBJECTS; i++) {
        struct shadow *o = &model.object[i];
        if (o->node == NULL || !o->armed)
            continue;
        found[i] = is_due(o);
        EXPECT(!found[i] || !o->reached);
        EXPECT(!full || found[i] == !o->reached);
    }
    for (int i = 0; i < OBJECTS; i++)
        if (found[i]) {
            model.object[i].armed = false;
            model.object[i].due = model.collections + 1;
            model.due++;
        }
    model.collections++;
    reach_all();
    for (int i = 0; i < OBJECTS; i++) {
        struct shadow *o = &model.object[i];
        if (o->node == NULL)
            continue;
        bool there = is_there(o);
        EXPECT(there || !o->reached);
        EXPECT(!full || there == o->reached);
        EXPECT(!there || hearth_is_finalized(model.f.heap, o->node) == o->finalized);
        if (!there) {
            o->node = NULL;
            model.freed++;
        }
    }
    EXPECT(fixture_stats(model.f.heap).finalizers_due == model.due);
}

static int pick(uint64_t bound)
{
    return (int)harness_random_below(&model.random, bound);
}

/* A root that refers to something; else -1. */
static int pick_root(void)
{
    int r = pick(ROOTS);
    return model.root[r] >= 0 ? r : -1;
}

static void set_root(int r, int object)
{
    model.root[r] = object;
    model.slot[r] = object >= 0 ? model.object[object].node : NULL;
}

static void arm(int i)
{
    struct shadow *o = &model.object[i];
    int priority = pick(4) == 0 ? pick(3) - 1 : 0;
    bool again = o->finalized && pick(2);
    bool ok = !o->armed && o->due == 0 && (again || !o->finalized);
    hearth_status status =
        again ? hearth_finalizer_add_again(model.f.mutator, o->node, model_finalizer, &model_called,
                                           priority)
              : hearth_finalizer_add(model.f.mutator, o->node, model_finalizer, &model_called,
                                     priority);
    EXPECT(status == (ok ? HEARTH_OK : HEARTH_ESTATE));
    if (!ok)
        return;
    o->armed = true;
    o->finalized = false;
    o->serial = ++model.serial;
    o->priority = priority;
}

static void step_new(void)
{
    int i = 0, r = pick(ROOTS);

    while (i < OBJECTS && model.object[i].node != NULL)
        i++;
    if (i == OBJECTS)
        return;
    struct fixture_node *node = fixture_new(model.f.mutator, model.f.node, ++model.ids);
    compare(false); /* in stress mode there were collections */
    model.object[i] = (struct shadow){.node = node, .id = model.ids, .left = -1, .right = -1};
    if (pick(3) != 0) {
        model.object[i].left = model.root[r];
        hearth_store(model.f.mutator, node, &node->left, model.slot[r]);
    }
    set_root(r, i);
    if (pick(3) == 0)
        arm(i);
}

static void step_store(void)
{
    int from = pick_root(), to = pick(ROOTS);

    if (from < 0)
        return;
    int i = model.root[from];
    if (pick(2) && model.object[i].left >= 0) /* one further */
        i = model.object[i].left;
    struct shadow *o = &model.object[i];
    o->right = model.root[to];
    hearth_store(model.f.mutator, o->node, &o->node->right, model.slot[to]);
}

static void step_finalizer(void)
{
    int r = pick_root();

    if (r < 0)
        return;
    struct shadow *o = &model.object[model.root[r]];
    if (pick(3) != 0) {
        arm(model.root[r]);
        return;
    }
    EXPECT(hearth_finalizer_remove(model.f.mutator, o->node) ==
           (o->armed ? HEARTH_OK : HEARTH_ESTATE));
    o->armed = false;
}

/* The next of the queue, which is sorted by priority and registration. */
static int next_due(void)
{
    int best = -1;

    for (int i = 0; i < OBJECTS; i++) {
        const struct shadow *o = &model.object[i], *b = &model.object[best < 0 ? 0 : best];
        if (o->node == NULL || o->due == 0)
            continue;
        if (best < 0 || o->priority > b->priority ||
            (o->priority == b->priority && o->serial < b->serial))
            best = i;
    }
    return best;
}

static void step_run(void)
{
    int i = next_due();
    hearth_finalize_item item = {.struct_size = sizeof item};

    EXPECT(hearth_finalize_next(model.f.mutator, &item) == HEARTH_OK);
    if (i < 0) {
        EXPECT(item.object == NULL);
        return;
    }
    struct shadow *o = &model.object[i];
    EXPECT(item.object == o->node && item.priority == o->priority);
    EXPECT(hearth_finalize_call(model.f.mutator, &item) == HEARTH_OK);
    EXPECT(model_called == o->id);
    o->due = 0;
    o->finalized = true;
    model.due--;
    model.ran++;
    if (pick(2)) { /* resurrect it, or what it refers to */
        set_root(pick(ROOTS), pick(3) == 0 ? o->left : i);
        model.resurrected++;
    }
}

static void step(void)
{
    switch (pick(16)) {
    case 0:
        set_root(pick(ROOTS), -1);
        break;
    case 1:
    case 2:
        step_store();
        break;
    case 3:
        step_finalizer();
        break;
    case 4:
    case 5:
        step_run();
        break;
    case 6: {
        int generation = pick(3);
        fixture_collect(model.f.mutator, generation);
        compare(generation == 2);
        break;
    }
    case 7: { /* to what a root refers to */
        int r = pick_root();
        if (r >= 0)
            set_root(r, model.object[model.root[r]].left);
        break;
    }
    default:
        step_new();
    }
}

START_TEST(random_programs)
{
    char options[160];
    fixture_alone();
    snprintf(options, sizeof options, "%s,finalize=queue", finalize_ways[_i]);
    model.f = fixture_open(options);
    model.random = harness_seed() + (uint64_t)_i;
    uint64_t steps = harness_scaled(4000);

    HEARTH_FRAME(model.f.mutator, frame, ROOTS);
    model.slot = frame.ref;
    for (int i = 0; i < ROOTS; i++)
        model.root[i] = -1;
    for (uint64_t i = 0; i < steps; i++)
        step();
    for (int i = 0; i < ROOTS; i++)
        set_root(i, -1);
    fixture_collect(model.f.mutator, 2);
    compare(true);
    while (model.due > 0)
        step_run();
    if (steps >= 1000) {
        ck_assert_uint_gt(model.ran, 10);
        ck_assert_uint_gt(model.resurrected, 5);
        ck_assert_uint_gt(model.freed, 100);
    }
    HEARTH_FRAME_END(model.f.mutator, frame);
    fixture_close(&model.f);
}
END_TEST

HARNESS_SUITE(finalize_model)
{
    Suite *suite = suite_create("finalize_model");
    TCase *tcase = tcase_create("finalize_model");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, random_programs, 0, FINALIZE_WAYS);
    suite_add_tcase(suite, tcase);
    return suite;
}
