/* tests/oracle_control.c - the control interface and introspection in the shadow model.
 *
 * What the heap says about who refers to whom must be what the shadows say; freezing, thresholds and external
 * memory change when and what is collected, never what lives. Invariant: while anything is frozen the model is not
 * exact, as dead objects stay; at the end nothing is frozen and thresholds are the default. One thread. */
#include "tests/oracle_after.h"

enum { FOUND_MAX = 512 };

/* Objects that the heap gave. */
struct found {
    void *object[FOUND_MAX];
    size_t count; /* also of those that do not fit */
};

static bool found_add(void *data, void *object)
{
    struct found *found = data;

    if (found->count < FOUND_MAX)
        found->object[found->count] = object;
    found->count++;
    return true;
}

static bool found_has(const struct found *found, const void *object)
{
    for (size_t i = 0; i < found->count && i < FOUND_MAX; i++)
        if (found->object[i] == object)
            return true;
    return false;
}

static bool refers_to(const struct oracle_object *object, const struct oracle_object *target)
{
    for (size_t i = 0; i < object->slots; i++)
        if (object->ref[i] == (uintptr_t)target)
            return true;
    return false;
}

/* Every shadow that refers to the object is among them; dead ones may be, too. */
static void look_at_referrers(struct oracle *oracle, struct oracle_object *object)
{
    struct found found = {.count = 0};

    HARNESS_OK(hearth_gc_get_referrers(oracle->mutator, &object->address, 1, found_add, &found));
    if (found.count > FOUND_MAX)
        return;
    oracle_prune(oracle);
    for (struct oracle_object *o = oracle->objects; o != NULL; o = o->next)
        if (!o->lingers && refers_to(o, object) && !found_has(&found, o->address))
            ORACLE_FAIL(oracle, "object %llu at %p refers to %p, and is not found",
                        (unsigned long long)o->id, o->address, object->address);
}

/* As many as the shadow has, and the same. */
static void look_at_referents(struct oracle *oracle, const struct oracle_object *object)
{
    struct found found = {.count = 0};
    void *address = object->address;
    size_t expected = 0;

    HARNESS_OK(hearth_gc_get_referents(oracle->mutator, &address, 1, found_add, &found));
    for (size_t i = 0; i < object->slots; i++)
        expected += object->ref[i] != 0 && (object->ref[i] & 1) == 0;
    if (found.count != expected)
        ORACLE_FAIL(oracle, "object %p has %zu referents, expected %zu", address, found.count,
                    expected);
    for (size_t i = 0; i < object->slots && expected <= FOUND_MAX; i++) {
        const struct oracle_object *target = oracle_target(object, i);
        if (target != NULL && !found_has(&found, target->address))
            ORACLE_FAIL(oracle, "object %p refers to %p, which is not found", address,
                        target->address);
    }
}

static void freeze(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;

    if (after->frozen) {
        HARNESS_OK(hearth_gc_unfreeze(oracle->mutator));
        ck_assert_uint_eq(hearth_gc_get_freeze_count(oracle->heap->heap), 0);
    } else {
        HARNESS_OK(hearth_gc_freeze(oracle->mutator));
        ck_assert_uint_ge(hearth_gc_get_freeze_count(oracle->heap->heap), oracle_prune(oracle));
    }
    after->frozen = !after->frozen;
}

static void external(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;
    ptrdiff_t bytes = (ptrdiff_t)oracle_dice(oracle, 1 << 20) - (1 << 19);

    if (bytes < 0 && (size_t)-bytes > after->external) {
        HARNESS_STATUS(hearth_external_add(oracle->mutator, bytes), HEARTH_EINVAL);
        return;
    }
    HARNESS_OK(hearth_external_add(oracle->mutator, bytes));
    after->external += (size_t)bytes;
    ck_assert_uint_eq(hearth_external_bytes(oracle->heap->heap), after->external);
}

static void thresholds(struct oracle *oracle)
{
    size_t given[3], t0 = oracle_dice(oracle, 4) == 0 ? 0 : oracle_dice(oracle, 2000);

    HARNESS_OK(hearth_gc_set_threshold(oracle->heap->heap, t0, oracle_dice(oracle, 12),
                                       oracle_dice(oracle, 12)));
    HARNESS_OK(hearth_gc_get_threshold(oracle->heap->heap, given));
    ck_assert_uint_eq(given[0], t0);
}

void oracle_control_step(struct oracle *oracle)
{
    struct oracle_object *object = oracle_pick(oracle);

    switch (oracle_dice(oracle, 8)) {
    case 0:
        freeze(oracle);
        break;
    case 1:
        thresholds(oracle);
        break;
    case 2:
    case 3:
        external(oracle);
        break;
    case 4:
    case 5:
        if (object != NULL)
            look_at_referrers(oracle, object);
        break;
    default:
        if (object != NULL)
            look_at_referents(oracle, object);
        break;
    }
}

void oracle_control_clear(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;

    if (after->frozen)
        HARNESS_OK(hearth_gc_unfreeze(oracle->mutator));
    after->frozen = false;
    if (after->external != 0)
        HARNESS_OK(hearth_external_add(oracle->mutator, -(ptrdiff_t)after->external));
    after->external = 0;
    HARNESS_OK(hearth_gc_set_threshold(oracle->heap->heap, 0, 10, 10));
}
