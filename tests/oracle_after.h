/* tests/oracle_after.h - the part of the shadow model that oracle_after.c and oracle_final.c share.
 *
 * What a collection does beyond reachability happens at any allocation, when the model cannot know. So the
 * model only ever asks: what is weak still gives its target, or it gives nothing, for ever. The shadows of
 * targets are kept until then ("lingering"), with all they reach; what must live must be given.
 * Invariant: a cell with a kind is held by its root slot, or is an entry of the table. One thread. */
#ifndef HEARTH_TESTS_ORACLE_AFTER_H
#define HEARTH_TESTS_ORACLE_AFTER_H

#include "tests/oracle.h"

enum oracle_cell_kind { CELL_FREE, CELL_SHORT, CELL_LONG, CELL_EPHEMERON, CELL_ENTRY };
enum { ORACLE_CELLS = 40, ORACLE_PINS = 8 };

/* A weak reference, an ephemeron, or an entry of the table. */
struct oracle_cell {
    enum oracle_cell_kind kind;
    void *slot;                /* a global root: the heap's object; ENTRY: NULL               */
    struct oracle_object *key; /* or target; NULL: cleared                                    */
    struct oracle_object *value;
    bool calls;      /* has a callback                                              */
    unsigned called; /* how often it was called                                     */
    bool by_hand;    /* cleared by the program                                      */
};

struct oracle_after {
    struct oracle *oracle;
    struct oracle_cell cell[ORACLE_CELLS];
    void *table; /* a global root                               */
    hearth_table_kind table_kind;
    bool tables; /* there may be one: its memory is not counted by the model      */
    struct oracle_object *pin[ORACLE_PINS];
    uint64_t finalizers; /* registered and not yet run                  */
    uint64_t run;        /* finalizers                                  */
    uint64_t failed;     /* finalizers that returned an error           */
    size_t external;     /* bytes counted for memory outside */
    bool frozen;         /* dead objects stay */
};

/* Freezing, thresholds, external memory, referrers; back to what a new heap has. */
void oracle_control_step(struct oracle *oracle);
void oracle_control_clear(struct oracle *oracle);

/* Ask every cell: those that give nothing any more are cleared in the model, too. `strict`: nothing that must live
 * without them may be among them. Nothing that was given is unknown. No safepoint. */
void oracle_cells_sync(struct oracle *oracle, bool strict);

/* Mark what the marks and the ephemerons reach. */
void oracle_mark_ephemerons(struct oracle *oracle, struct oracle_marks *marks);

/* Register, remove, look at finalizers; take all away. */
void oracle_final_step(struct oracle *oracle);
void oracle_final_clear(struct oracle *oracle);

static inline uint64_t oracle_dice(struct oracle *oracle, uint64_t bound)
{
    return oracle_below(oracle, bound);
}

#endif
