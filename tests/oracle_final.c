/* tests/oracle_final.c - finalizers in the shadow model.
 *
 * A finalizer gets an object whose shadow still lingers: object and all it refers to must be whole. It may bring
 * the object back, allocate, collect, or fail. Invariant: an object's shadow knows whether it has a finalizer,
 * has had one run, or neither; every call must agree. One thread. */
#include <stdlib.h>

#include "tests/oracle_after.h"

/* Everything the object reaches is right, by way of ephemerons, too. */
static void check_closure(struct oracle *oracle, struct oracle_object *object)
{
    struct oracle_marks marks = {NULL, 0, 0, 0};

    oracle_mark(&marks, object);
    oracle_mark_ephemerons(oracle, &marks);
    free(marks.entry);
    for (struct oracle_object *o = oracle->objects; o != NULL; o = o->next)
        if (o->reached) {
            o->reached = false;
            oracle_check_object(oracle, o);
        }
}

static hearth_status finalize(hearth_mutator *mutator, void *address, void *data)
{
    struct oracle_object *object = data;
    struct oracle *oracle = hearth_heap_data(mutator->heap);
    struct oracle_after *after = oracle->after;

    if (object->address != address || object->finalizer != ORACLE_HAS_FINALIZER)
        ORACLE_FAIL(oracle, "finalizer of object %llu at %p called for %p (state %u)",
                    (unsigned long long)object->id, object->address, address, object->finalizer);
    if (!hearth_is_finalized(mutator->heap, address))
        ORACLE_FAIL(oracle, "%p is being finalized and is not said to be", address);
    object->finalizer = ORACLE_FINALIZED;
    after->finalizers--;
    after->run++;
    oracle_cells_sync(oracle,
                      false); /* what this collection cleared, before anything is brought back */
    check_closure(oracle, object);
    switch (oracle_dice(oracle, 8)) {
    case 0:
    case 1:
    case 2:
        oracle_hold(oracle, object);
        break;
    case 3: {
        struct oracle_object *other = oracle_new(oracle, ORACLE_NODE, 0);
        if (other != NULL)
            oracle_hold(oracle, other);
        break;
    }
    case 4:
        HARNESS_OK(hearth_gc_collect(mutator, (int)oracle_dice(oracle, 3)));
        break;
    case 5:
        after->failed++;
        return HEARTH_ESTATE;
    default:
        break;
    }
    return HEARTH_OK;
}

static void add(struct oracle *oracle, struct oracle_object *object)
{
    hearth_mutator *m = oracle->mutator;
    int priority = (int)oracle_dice(oracle, 3) - 1;

    if (object->finalizer != ORACLE_NO_FINALIZER) {
        HARNESS_STATUS(hearth_finalizer_add(m, object->address, finalize, object, 0),
                       HEARTH_ESTATE);
        if (object->finalizer == ORACLE_HAS_FINALIZER) {
            HARNESS_STATUS(hearth_finalizer_add_again(m, object->address, finalize, object, 0),
                           HEARTH_ESTATE);
            return;
        }
        HARNESS_OK(hearth_finalizer_add_again(m, object->address, finalize, object, priority));
    } else {
        HARNESS_OK(hearth_finalizer_add(m, object->address, finalize, object, priority));
    }
    object->finalizer = ORACLE_HAS_FINALIZER;
    oracle->after->finalizers++;
}

static void take_away(struct oracle *oracle, struct oracle_object *object)
{
    if (object->finalizer != ORACLE_HAS_FINALIZER) {
        HARNESS_STATUS(hearth_finalizer_remove(oracle->mutator, object->address), HEARTH_ESTATE);
        return;
    }
    HARNESS_OK(hearth_finalizer_remove(oracle->mutator, object->address));
    object->finalizer = ORACLE_NO_FINALIZER;
    oracle->after->finalizers--;
}

void oracle_final_step(struct oracle *oracle)
{
    struct oracle_object *object = oracle_pick(oracle);

    if (object == NULL)
        return;
    if (hearth_is_finalized(oracle->heap->heap, object->address) !=
        (object->finalizer == ORACLE_FINALIZED))
        ORACLE_FAIL(oracle, "object %llu at %p: finalized: %d", (unsigned long long)object->id,
                    object->address, object->finalizer != ORACLE_FINALIZED);
    if (oracle_dice(oracle, 4) == 0)
        take_away(oracle, object);
    else
        add(oracle, object);
}

/* Those of objects that are dead already and due are run. */
void oracle_final_clear(struct oracle *oracle)
{
    HARNESS_OK(hearth_finalize_run(oracle->mutator, SIZE_MAX, NULL));
    for (struct oracle_object *object = oracle->objects; object != NULL; object = object->next)
        if (object->finalizer == ORACLE_HAS_FINALIZER)
            take_away(oracle, object);
}
