/* tests/oracle_after.c - weak references, ephemerons, weak tables and pins in the shadow model.
 *
 * Invariant: as in oracle_after.h. A strict look clears first what the heap has cleared, and then marks: so a
 * cell that the heap cleared while its key was reachable otherwise is found, whatever other cells hold. */
#include "tests/oracle_after.h"

#include <stdlib.h>
#include <string.h>

#include "alloc/class.h"

static struct oracle_cell *cell_free(struct oracle_after *after)
{
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        if (after->cell[i].kind == CELL_FREE)
            return &after->cell[i];
    return NULL;
}

static void cell_drop(struct oracle_cell *cell)
{
    cell->kind = CELL_FREE;
    cell->slot = NULL;
    cell->key = cell->value = NULL;
}

/* --- marking ------------------------------------------------------------------------------------- */

/* What an entry holds strongly by itself. */
static struct oracle_object *cell_holds(const struct oracle_after *after,
                                        const struct oracle_cell *cell)
{
    if (cell->kind != CELL_ENTRY || cell->key == NULL)
        return NULL;
    if (after->table_kind == HEARTH_TABLE_WEAK_KEYS)
        return cell->value;
    return after->table_kind == HEARTH_TABLE_WEAK_VALUES ? cell->key : NULL;
}

static bool is_ephemeron(const struct oracle_after *after, const struct oracle_cell *cell)
{
    return cell->kind == CELL_EPHEMERON ||
           (cell->kind == CELL_ENTRY && after->table_kind == HEARTH_TABLE_EPHEMERON);
}

/* Until no ephemeron has a key that is marked and a value that is not. */
void oracle_mark_ephemerons(struct oracle *oracle, struct oracle_marks *marks)
{
    const struct oracle_after *after = oracle->after;
    size_t before;

    do {
        oracle_mark_all(marks);
        before = marks->reached;
        for (size_t i = 0; i < ORACLE_CELLS; i++) {
            const struct oracle_cell *cell = &after->cell[i];
            if (is_ephemeron(after, cell) && cell->key != NULL && cell->key->reached)
                oracle_mark(marks, cell->value);
        }
    } while (marks->reached != before);
}

void oracle_after_mark(struct oracle *oracle, struct oracle_marks *marks)
{
    struct oracle_after *after = oracle->after;

    for (size_t i = 0; i < ORACLE_PINS; i++)
        oracle_mark(marks, after->pin[i]);
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        oracle_mark(marks, cell_holds(after, &after->cell[i]));
    oracle_mark_ephemerons(oracle, marks);
}

void oracle_after_linger(struct oracle *oracle, struct oracle_marks *marks)
{
    struct oracle_after *after = oracle->after;

    for (size_t i = 0; i < ORACLE_CELLS; i++) {
        oracle_mark(marks, after->cell[i].key);
        oracle_mark(marks, after->cell[i].value);
    }
    if (after->finalizers != 0)
        for (struct oracle_object *object = oracle->objects; object != NULL; object = object->next)
            if (object->finalizer == ORACLE_HAS_FINALIZER)
                oracle_mark(marks, object);
    oracle_mark_all(marks);
}

/* --- asking -------------------------------------------------------------------------------------- */

/* What the heap gives of a cell: its key or target, and its value. */
static void *cell_ask(struct oracle *oracle, const struct oracle_cell *cell, void **value)
{
    hearth_mutator *m = oracle->mutator;

    *value = NULL;
    if (cell->kind == CELL_EPHEMERON) {
        *value = hearth_ephemeron_value(m, cell->slot);
        return hearth_ephemeron_key(m, cell->slot);
    }
    if (cell->kind != CELL_ENTRY)
        return hearth_weak_get(m, cell->slot);
    return hearth_table_get(m, oracle->after->table, cell->key->address, value) ? cell->key->address
                                                                                : NULL;
}

/* True if it has been cleared. */
static bool cell_cleared(struct oracle *oracle, const struct oracle_cell *cell)
{
    void *value, *key = cell_ask(oracle, cell, &value);
    void *wanted = cell->value != NULL ? cell->value->address : NULL;

    if (key == NULL && value == NULL)
        return true;
    if (key != cell->key->address || value != wanted)
        ORACLE_FAIL(oracle, "cell %zu (kind %d) gives %p and %p, expected %p and %p",
                    (size_t)(cell - oracle->after->cell), cell->kind, key, value,
                    cell->key->address, wanted);
    return false;
}

void oracle_cells_sync(struct oracle *oracle, bool strict)
{
    struct oracle_after *after = oracle->after;
    struct oracle_object *was[ORACLE_CELLS];
    struct oracle_marks marks = {NULL, 0, 0, 0};

    for (size_t i = 0; i < ORACLE_CELLS; i++) {
        struct oracle_cell *cell = &after->cell[i];
        was[i] = NULL;
        if (cell->kind == CELL_FREE || cell->key == NULL || !cell_cleared(oracle, cell))
            continue;
        bool weak_value = cell->kind == CELL_ENTRY && after->table_kind == HEARTH_TABLE_WEAK_VALUES;
        was[i] = weak_value ? cell->value : cell->key;
        cell->key = cell->value = NULL;
        if (cell->kind == CELL_ENTRY)
            cell_drop(cell);
    }
    if (!strict)
        return;
    oracle_mark_alive(oracle, &marks);
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        if (was[i] != NULL && !was[i]->lingers)
            ORACLE_FAIL(oracle,
                        "cell %zu (kind %d): object %llu at %p must live, and it was cleared", i,
                        after->cell[i].kind, (unsigned long long)was[i]->id, was[i]->address);
    for (struct oracle_object *object = oracle->objects; object != NULL; object = object->next)
        object->reached = false;
    free(marks.entry);
}

void oracle_after_check(struct oracle *oracle)
{
    oracle_cells_sync(oracle, true);
}

/* --- making -------------------------------------------------------------------------------------- */

static void called(hearth_mutator *mutator, void *weak, void *data)
{
    struct oracle *oracle = hearth_heap_data(mutator->heap);
    struct oracle_after *after = oracle->after;

    ck_assert_ptr_null(data);
    if (hearth_weak_get(mutator, weak) != NULL)
        ORACLE_FAIL(oracle, "callback of weak reference %p, which is not cleared", weak);
    for (size_t i = 0; i < ORACLE_CELLS; i++) {
        struct oracle_cell *cell = &after->cell[i];
        if (cell->kind == CELL_FREE || cell->slot != weak)
            continue;
        if (!cell->calls || ++cell->called != 1)
            ORACLE_FAIL(oracle, "cell %zu: callback %u", i, cell->called);
    }
    oracle_cells_sync(oracle, false);
}

/* An allocation may have no memory. */
static bool made(struct oracle *oracle, const void *object)
{
    hearth_status status = hearth_last_status();

    if (object == NULL && status != HEARTH_ELIMIT && status != HEARTH_ENOMEM)
        ORACLE_FAIL(oracle, "a weak reference: %s", hearth_last_error());
    oracle->failures += object == NULL;
    return object != NULL;
}

/* What was picked is reachable, and stays so while the call allocates. */
static void cell_make(struct oracle *oracle, enum oracle_cell_kind kind)
{
    struct oracle_object *key = oracle_pick(oracle), *value = oracle_pick(oracle);
    bool calls = oracle_dice(oracle, 2) != 0;
    void *object;

    if (key == NULL)
        return;
    if (kind == CELL_EPHEMERON)
        object = hearth_ephemeron_new(oracle->mutator, key->address,
                                      value != NULL ? value->address : NULL);
    else
        object =
            hearth_weak_new(oracle->mutator, key->address, kind == CELL_LONG ? HEARTH_WEAK_LONG : 0,
                            calls ? called : NULL, NULL);
    struct oracle_cell *cell = made(oracle, object) ? cell_free(oracle->after) : NULL;
    if (cell == NULL)
        return; /* garbage at once: never called */
    cell->kind = kind;
    cell->slot = object;
    cell->key = key;
    cell->value = kind == CELL_EPHEMERON ? value : NULL;
    cell->calls = calls && kind != CELL_EPHEMERON;
    cell->called = 0;
    cell->by_hand = false;
}

static void table_new(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;
    hearth_table_kind kind = (hearth_table_kind)oracle_dice(oracle, 3);

    for (size_t i = 0; i < ORACLE_CELLS; i++)
        if (after->cell[i].kind == CELL_ENTRY)
            cell_drop(&after->cell[i]);
    after->table = NULL;
    void *table = hearth_table_new(oracle->mutator, kind);
    after->table_kind = kind;
    if (made(oracle, table))
        after->table = table;
}

/* Forget the entry of a key, also one that has vanished whose key had this address. */
static void entry_forget(struct oracle_after *after, const void *address)
{
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        if (after->cell[i].kind == CELL_ENTRY && after->cell[i].key->address == address)
            cell_drop(&after->cell[i]);
}

static void table_put(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;
    struct oracle_object *key = oracle_pick(oracle), *value = oracle_pick(oracle);

    if (key == NULL || value == NULL || after->table == NULL || cell_free(after) == NULL)
        return;
    hearth_status status =
        hearth_table_put(oracle->mutator, after->table, key->address, value->address);
    if (status != HEARTH_OK) {
        made(oracle, NULL);
        return;
    }
    entry_forget(after, key->address);
    struct oracle_cell *cell = cell_free(after);
    if (cell == NULL) { /* a finalizer was run meanwhile and used the last one */
        ck_assert(hearth_table_remove(oracle->mutator, after->table, key->address));
        return;
    }
    *cell = (struct oracle_cell){.kind = CELL_ENTRY, .key = key, .value = value};
}

static bool each(hearth_mutator *mutator, void *key, void *value, void *data)
{
    const struct oracle_after *after = data;

    (void)mutator;
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        if (after->cell[i].kind == CELL_ENTRY && after->cell[i].key->address == key &&
            after->cell[i].value->address == value)
            return true;
    ORACLE_FAIL(after->oracle, "the table gives %p and %p, which were not put", key, value);
}

/* Whatever it is: by its root slot it is dropped, or by the call for it. */
static void cell_change(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;
    struct oracle_cell *cell = &after->cell[oracle_dice(oracle, ORACLE_CELLS)];
    struct oracle_object *value = oracle_pick(oracle);
    hearth_mutator *m = oracle->mutator;
    bool drops = oracle_dice(oracle, 2) != 0;

    oracle_cells_sync(oracle, false);
    if (cell->kind == CELL_ENTRY) {
        ck_assert(hearth_table_remove(m, after->table, cell->key->address));
        ck_assert(!hearth_table_remove(m, after->table, cell->key->address));
        cell_drop(cell);
    } else if (drops) {
        cell_drop(cell);
    } else if (cell->kind == CELL_EPHEMERON && cell->key != NULL) {
        HARNESS_OK(
            hearth_ephemeron_set_value(m, cell->slot, value != NULL ? value->address : NULL));
        cell->value = value;
    } else if (cell->kind == CELL_SHORT || cell->kind == CELL_LONG) {
        HARNESS_OK(hearth_weak_clear(m, cell->slot));
        cell->key = NULL;
        cell->by_hand = true;
    }
}

static void table_look(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;
    size_t entries = 0, count = hearth_table_count(oracle->mutator, after->table);

    for (size_t i = 0; i < ORACLE_CELLS; i++)
        entries += after->cell[i].kind == CELL_ENTRY;
    if (count != entries)
        ORACLE_FAIL(oracle, "the table has %zu entries, expected %zu", count, entries);
    HARNESS_OK(hearth_table_each(oracle->mutator, after->table, each, after));
}

/* What is given is a strong reference, whatever its target was before: also if its finalizer is due, which
 * is therefore run before. */
static void cell_revive(struct oracle *oracle)
{
    const struct oracle_cell *cell = &oracle->after->cell[oracle_dice(oracle, ORACLE_CELLS)];
    size_t ran;

    do
        HARNESS_OK(hearth_finalize_run(oracle->mutator, SIZE_MAX, &ran));
    while (ran != 0);
    oracle_cells_sync(oracle, false);
    if (cell->kind != CELL_FREE && cell->key != NULL)
        oracle_root_set(oracle, cell->key);
    else if (oracle->after->table != NULL)
        table_look(oracle);
}

static void pin(struct oracle *oracle)
{
    struct oracle_object **at = &oracle->after->pin[oracle_dice(oracle, ORACLE_PINS)];
    struct oracle_object *object = oracle_pick(oracle);

    if (*at != NULL) {
        HARNESS_OK(hearth_unpin(oracle->mutator, (*at)->address));
        *at = NULL;
    } else if (object != NULL) {
        uint64_t hash = hearth_identity_hash(oracle->mutator, object->address);
        HARNESS_OK(hearth_pin(oracle->mutator, object->address));
        ck_assert(hash != 0 && hash == hearth_identity_hash(oracle->mutator, object->address));
        *at = object;
    }
}

void oracle_after_step(struct oracle *oracle)
{
    uint64_t dice = oracle_dice(oracle, 18);

    oracle->step++;
    if (dice >= 16)
        oracle_control_step(oracle);
    else if (dice < 5)
        cell_make(oracle, dice < 2 ? CELL_SHORT : dice == 2 ? CELL_LONG : CELL_EPHEMERON);
    else if (dice < 8)
        table_put(oracle);
    else if (dice < 10)
        cell_change(oracle);
    else if (dice == 10)
        cell_revive(oracle);
    else if (dice == 11)
        pin(oracle);
    else if (dice == 12 && oracle->after->tables && oracle_dice(oracle, 16) == 0)
        table_new(oracle);
    else
        oracle_final_step(oracle);
}

/* --- beginning and ending ------------------------------------------------------------------------ */

void oracle_after_begin(struct oracle *oracle, bool table)
{
    struct oracle_after *after = calloc(1, sizeof(*after));

    ck_assert_ptr_nonnull(after);
    after->oracle = oracle;
    oracle->after = after;
    hearth_heap_set_data(oracle->heap->heap, oracle);
    HARNESS_OK(hearth_root_add(oracle->heap->heap, &after->table));
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        HARNESS_OK(hearth_root_add(oracle->heap->heap, &after->cell[i].slot));
    after->tables = table;
    if (table)
        table_new(oracle);
}

void oracle_after_clear(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;

    oracle_control_clear(oracle);
    oracle_final_clear(oracle);
    for (size_t i = 0; i < ORACLE_PINS; i++)
        if (after->pin[i] != NULL) {
            HARNESS_OK(hearth_unpin(oracle->mutator, after->pin[i]->address));
            after->pin[i] = NULL;
        }
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        cell_drop(&after->cell[i]);
    after->table = NULL;
}

void oracle_after_end(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;

    oracle_after_clear(oracle);
    oracle->after = NULL;
    for (size_t i = 0; i < ORACLE_CELLS; i++)
        HARNESS_OK(hearth_root_remove(oracle->heap->heap, &after->cell[i].slot));
    HARNESS_OK(hearth_root_remove(oracle->heap->heap, &after->table));
    hearth_heap_set_data(oracle->heap->heap, NULL);
    for (struct oracle_object *object = oracle->objects; object != NULL; object = object->next)
        object->lingers = false;
    free(after);
}

bool oracle_after_settle(struct oracle *oracle)
{
    struct oracle_after *after = oracle->after;
    uint64_t run;

    oracle_cells_sync(oracle, true);
    do {
        run = after->run;
        HARNESS_OK(hearth_gc_collect(oracle->mutator, 2));
    } while (after->run != run);
    oracle_cells_sync(oracle, true);
    for (size_t i = 0; i < ORACLE_CELLS; i++) {
        const struct oracle_cell *cell = &after->cell[i];
        if (cell->kind != CELL_FREE && cell->key == NULL && cell->calls && !cell->by_hand &&
            cell->called == 0)
            ORACLE_FAIL(oracle, "cell %zu was cleared, and not called", i);
    }
    return !after->tables && !after->frozen;
}

void oracle_after_count(struct oracle *oracle, uint64_t *objects, uint64_t *bytes)
{
    struct oracle_after *after = oracle->after;

    for (size_t i = 0; i < ORACLE_CELLS; i++)
        if (after->cell[i].slot != NULL) {
            *objects += 1;
            *bytes += hearth_usable_size(oracle->heap->heap, after->cell[i].slot) + HEARTH_HEADER;
        }
}
