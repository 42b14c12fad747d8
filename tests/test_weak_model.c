/* tests/test_weak_model.c - random graphs of objects, weak references and ephemerons against a model.
 *
 * The model is an array of shadows with the same references. After a collection it computes by plain
 * repetition which must live: what roots reach through strong references, and the values of ephemerons
 * that live and whose keys do. After a full collection exactly those are there and every weak slot is as
 * the model says; after a minor one at least those. */
#include "tests/cell_fixture.h"

enum model_kind { MODEL_FREE, MODEL_PLAIN, MODEL_LEAF, MODEL_WEAK, MODEL_EPHEMERON };
enum { MODEL_SHADOWS = 900, MODEL_ROOTS = 30, MODEL_LARGE = 5000 };

struct shadow {
    enum model_kind kind;
    void *object;
    int ref[2]; /* plain: both strong; weak: target, data; ephemeron: key, value; -1: NULL   */
    bool live;
};

struct model {
    struct fixture f;
    uint64_t random;
    struct shadow shadow[MODEL_SHADOWS];
    int root[MODEL_ROOTS]; /* shadows, -1: none                                            */
    void **slot;           /* the roots: an array of references, itself a root             */
    size_t live;
};

static uint64_t below(struct model *model, uint64_t bound)
{
    return harness_random_below(&model->random, bound);
}

static void *object_of(const struct model *model, int shadow)
{
    return shadow < 0 ? NULL : model->shadow[shadow].object;
}

static bool mark(struct model *model, int shadow)
{
    if (shadow < 0 || model->shadow[shadow].live)
        return false;
    model->shadow[shadow].live = true;
    model->live++;
    return true;
}

/* What the references of one living shadow keep alive. */
static bool mark_refs(struct model *model, const struct shadow *shadow)
{
    bool changed = false;

    if (shadow->kind == MODEL_PLAIN)
        changed |= mark(model, shadow->ref[0]);
    if (shadow->kind == MODEL_PLAIN || shadow->kind == MODEL_WEAK)
        changed |= mark(model, shadow->ref[1]);
    if (shadow->kind == MODEL_EPHEMERON && shadow->ref[0] >= 0 &&
        model->shadow[shadow->ref[0]].live)
        changed |= mark(model, shadow->ref[1]);
    return changed;
}

static void compute(struct model *model)
{
    bool changed = true;

    model->live = 0;
    for (int i = 0; i < MODEL_SHADOWS; i++)
        model->shadow[i].live = false;
    for (int i = 0; i < MODEL_ROOTS; i++)
        mark(model, model->root[i]);
    while (changed) {
        changed = false;
        for (int i = 0; i < MODEL_SHADOWS; i++)
            if (model->shadow[i].live)
                changed |= mark_refs(model, &model->shadow[i]);
    }
}

/* A weak slot: what it held before if that lives, or, after a minor collection, if it is still there. */
static void check_weak(struct model *model, struct shadow *shadow, const void *now, bool full)
{
    int was = shadow->ref[0];
    bool cleared = was >= 0 && now == NULL;

    EXPECT(now == NULL || now == object_of(model, was));
    EXPECT(was < 0 || now != NULL || !model->shadow[was].live);
    EXPECT(!full || was < 0 || model->shadow[was].live || now == NULL);
    if (cleared) {
        shadow->ref[0] = -1;
        if (shadow->kind == MODEL_EPHEMERON)
            shadow->ref[1] = -1;
    }
}

static void check_shadow(struct model *model, struct shadow *shadow, bool full)
{
    hearth_mutator *m = model->f.mutator;
    const struct fixture_node *node = shadow->object;

    EXPECT(hearth_is_object(model->f.heap, shadow->object));
    if (shadow->kind == MODEL_PLAIN) {
        EXPECT(node->left == object_of(model, shadow->ref[0]));
        EXPECT(node->right == object_of(model, shadow->ref[1]));
    } else if (shadow->kind == MODEL_WEAK) {
        check_weak(model, shadow, hearth_weak_get(m, shadow->object), full);
        EXPECT(((struct hg_cell *)shadow->object)->other == object_of(model, shadow->ref[1]));
    } else if (shadow->kind == MODEL_EPHEMERON) {
        check_weak(model, shadow, hearth_ephemeron_key(m, shadow->object), full);
        EXPECT(hearth_ephemeron_value(m, shadow->object) == object_of(model, shadow->ref[1]));
    }
}

/* After a minor collection the dead may be there or not: they are forgotten, and never referred to again but
 * by weak slots, whose shadows keep the address only to compare it. */
static void collect(struct model *model, int generation)
{
    bool full = generation == 2 || !model->f.heap->options.generational;

    cell_collect(&model->f, generation);
    compute(model);
    for (int i = 0; i < MODEL_SHADOWS; i++)
        if (model->shadow[i].live)
            check_shadow(model, &model->shadow[i], full);
    if (full) {
        size_t live = fixture_stats(model->f.heap).live_objects;
        EXPECT(live == model->live + 1);
        for (int i = 0; i < MODEL_SHADOWS; i++)
            if (!model->shadow[i].live)
                model->shadow[i].kind = MODEL_FREE;
    }
}

/* A living shadow, from a random root along random strong references; -1: none was found. */
static int pick(struct model *model)
{
    int at = model->root[below(model, MODEL_ROOTS)];

    for (uint64_t steps = below(model, 6); at >= 0 && steps > 0; steps--) {
        const struct shadow *shadow = &model->shadow[at];
        bool second = shadow->kind == MODEL_WEAK || below(model, 2);
        int to = shadow->ref[second];
        if (shadow->kind == MODEL_LEAF || to < 0 || !model->shadow[to].live)
            break; /* a key that a minor collection left: nobody looks at what it refers to */
        at = to;
    }
    return at;
}

static void *new_object(struct model *model, enum model_kind kind, int first, int second)
{
    struct fixture *f = &model->f;
    void *a = object_of(model, first), *b = object_of(model, second);
    uint64_t size = below(model, 40) == 0 ? MODEL_LARGE * 8 : below(model, 300) + 1;
    struct fixture_node *node;

    switch (kind) {
    case MODEL_WEAK:
        return a == NULL ? NULL : hearth_weak_new(f->mutator, a, below(model, 2), NULL, b);
    case MODEL_EPHEMERON:
        return a == NULL ? NULL : hearth_ephemeron_new(f->mutator, a, b);
    case MODEL_LEAF:
        return hearth_new_array(f->mutator, f->bytes, size);
    default:
        node = below(model, 40) == 0 ? hearth_new_array(f->mutator, f->refs, MODEL_LARGE)
                                     : hearth_new(f->mutator, f->node);
        if (node != NULL) {
            hearth_store_init(&node->left, a);
            hearth_store_init(&node->right, b);
        }
        return node;
    }
}

/* A new object, held by a root. */
static void add(struct model *model)
{
    enum model_kind kind = MODEL_PLAIN + (enum model_kind)below(model, 5) % 4;
    int i = (int)below(model, MODEL_SHADOWS), first = pick(model), second = pick(model);
    struct shadow *shadow = &model->shadow[i];

    if (shadow->kind != MODEL_FREE)
        return;
    void *object = new_object(model, kind, first, second);
    if (object == NULL)
        return;
    bool refers = kind != MODEL_LEAF;
    *shadow = (struct shadow){kind, object, {refers ? first : -1, refers ? second : -1}, true};
    uint64_t where = below(model, MODEL_ROOTS);
    model->root[where] = i;
    cell_set(&model->f, model->slot, where, object);
}

/* Change a reference of a living object. */
static void change(struct model *model)
{
    int at = pick(model), to = below(model, 4) == 0 ? -1 : pick(model);
    hearth_mutator *m = model->f.mutator;

    if (at < 0)
        return;
    struct shadow *shadow = &model->shadow[at];
    struct fixture_node *node = shadow->object;
    if (shadow->kind == MODEL_PLAIN) {
        int which = (int)below(model, 2);
        EXPECT(hearth_store(m, node, which ? &node->right : &node->left, object_of(model, to)) ==
               HEARTH_OK);
        shadow->ref[which] = to;
    } else if (shadow->kind == MODEL_EPHEMERON && shadow->ref[0] >= 0) {
        EXPECT(hearth_ephemeron_set_value(m, node, object_of(model, to)) == HEARTH_OK);
        shadow->ref[1] = to;
    } else if (shadow->kind == MODEL_WEAK && below(model, 8) == 0) {
        EXPECT(hearth_weak_clear(m, node) == HEARTH_OK);
        shadow->ref[0] = -1;
    }
}

static void step(struct model *model)
{
    uint64_t what = below(model, 1000);

    if (what < 550) {
        add(model);
    } else if (what < 850) {
        change(model);
    } else if (what < 980) {
        uint64_t where = below(model, MODEL_ROOTS);
        int to = below(model, 2) ? -1 : pick(model);
        model->root[where] = to;
        cell_set(&model->f, model->slot, where, object_of(model, to));
    } else {
        collect(model, what < 990 ? 0 : what < 993 ? 1 : 2);
    }
}

START_TEST(the_heap_agrees_with_a_model)
{
    static const char *const mode[] = {"verify=on", "workers=3,help-after=0,verify=on",
                                       "fake-nodes=2,mode=local,workers=3,help-after=0,verify=on",
                                       "generational=off,verify=on", "workers=3,help-after=0"};
    struct model *model = calloc(1, sizeof *model);
    uint64_t steps = harness_scaled(12000);

    fixture_alone(); /* collections only where the model expects them */
    model->f = fixture_open(mode[_i % 5]);
    HARNESS_OK(hearth_gc_disable(model->f.heap));
    model->random = harness_seed() + (uint64_t)_i;
    HEARTH_FRAME(model->f.mutator, frame, 1);
    model->slot = frame.ref[0] = cell_refs(&model->f, MODEL_ROOTS);
    for (int i = 0; i < MODEL_ROOTS; i++)
        model->root[i] = -1;
    if (_i >= 5) /* no memory for the table of keys, ever */
        ht_fault_arm(HT_FAULT_MAP, 1, true);
    for (uint64_t i = 0; i < steps; i++)
        step(model);
    collect(model, 2);
    ht_fault_arm(HT_FAULT_MAP, 0, false);
    HEARTH_FRAME_END(model->f.mutator, frame);
    fixture_close(&model->f);
    free(model);
}
END_TEST

HARNESS_SUITE(weak_model)
{
    Suite *suite = suite_create("weak_model");
    TCase *model = tcase_create("model");
    tcase_add_loop_test(model, the_heap_agrees_with_a_model, 0, 10);
    suite_add_tcase(suite, model);
    return suite;
}
