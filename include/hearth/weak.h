/* hearth/weak.h - references that do not keep alive: weak references, ephemerons, weak tables.
 *
 * All three are heap objects themselves: they live while they are reachable, and are reclaimed like any other
 * object. What a collection finds dead it clears before any finalizer of that collection runs (the order
 * of CPython's gc module); a long weak reference, an ephemeron and the key of a table are cleared only
 * if no finalizer has resurrected the object (Java's phantom order, Lua's ephemeron tables).
 *
 * Referents, keys and values may be objects of the heap or addresses outside hearth's memory, which count as
 * alive for ever. Addresses inside it that are no objects give EOBJECT. Arguments need not be rooted:
 * calls that allocate hold them meanwhile. Calls that allocate are safepoints; the others are not. Own
 * thread's mutator only (ETHREAD), not in callbacks of the collector or native sections (ESTATE). */
#ifndef HEARTH_WEAK_H
#define HEARTH_WEAK_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HEARTH_WEAK_LONG = 1u << 0 /* keeps its target until it can not be resurrected any more   */
};

/* Called once after the collection that cleared `weak`, when pending finalizers are run (on whichever thread
 * does that), with `weak` already cleared. It may allocate, collect and use the heap as any code of a
 * mutator. Not called if the weak reference itself was unreachable. */
typedef void hearth_weak_fn(hearth_mutator *mutator, void *weak, void *data);

/* A weak reference to `target`. `flags`: 0 or HEARTH_WEAK_LONG. `fn` may be NULL. `data`, an object or NULL,
 * is held strongly by the weak reference and given to `fn`. NULL on failure: EINVAL (target NULL, unknown
 * flags), EOBJECT, and what hearth_new gives. */
HEARTH_API HEARTH_NODISCARD void *hearth_weak_new(hearth_mutator *mutator, void *target,
                                                  unsigned flags, hearth_weak_fn *fn, void *data);

/* The target, NULL if it is gone or was cleared. What is returned is an ordinary reference: root it before the
 * next safepoint. A wrong argument gives NULL and EOBJECT. */
HEARTH_API HEARTH_NODISCARD void *hearth_weak_get(hearth_mutator *mutator, const void *weak);

/* Forget the target; the callback will not be called, unless it is due already. EOBJECT: no weak reference. */
HEARTH_API hearth_status hearth_weak_clear(hearth_mutator *mutator, void *weak);

/* An ephemeron (Hayes, OOPSLA 1997): `value` is kept alive by it only while `key` is reachable otherwise than
 * through the value. When the key dies both are NULL. `value` may be NULL. Errors as hearth_weak_new. */
HEARTH_API HEARTH_NODISCARD void *hearth_ephemeron_new(hearth_mutator *mutator, void *key,
                                                       void *value);
/* Key and value, NULL if the key has died. The rules of hearth_weak_get. */
HEARTH_API HEARTH_NODISCARD void *hearth_ephemeron_key(hearth_mutator *mutator,
                                                       const void *ephemeron);
HEARTH_API HEARTH_NODISCARD void *hearth_ephemeron_value(hearth_mutator *mutator,
                                                         const void *ephemeron);
/* Another value. ESTATE if the key has died; EOBJECT. */
HEARTH_API hearth_status hearth_ephemeron_set_value(hearth_mutator *mutator, void *ephemeron,
                                                    void *value);

/* What the entries of a weak table hold strongly. An entry vanishes when what it holds weakly dies. */
typedef enum hearth_table_kind {
    HEARTH_TABLE_WEAK_KEYS, /* the value: also if it refers to the key, which then never dies     */
    HEARTH_TABLE_WEAK_VALUES, /* the key                                                            */
    HEARTH_TABLE_EPHEMERON    /* the value while the key is reachable otherwise: what is wanted for
                                     properties of objects                                          */
} hearth_table_kind;

/* Hash and equality of keys, for tables that compare by contents. They must agree, must not use the table or
 * reach a safepoint, and see only living keys. */
typedef uint64_t hearth_hash_fn(const void *key, void *data);
typedef bool hearth_equal_fn(const void *a, const void *b, void *data);

/* A table. By default keys are compared by identity (addresses never change). All of its memory is heap
 * objects. A table is used by one thread at a time: threads that share one lock it themselves. NULL on
 * failure: EINVAL (unknown kind), and what hearth_new gives. */
HEARTH_API HEARTH_NODISCARD void *hearth_table_new(hearth_mutator *mutator, hearth_table_kind kind);
/* The same with hash and equality of the embedder's; `data` is passed on to them (plain memory). */
HEARTH_API HEARTH_NODISCARD void *hearth_table_new_with(hearth_mutator *mutator,
                                                        hearth_table_kind kind,
                                                        hearth_hash_fn *hash,
                                                        hearth_equal_fn *equal, void *data);

/* Add or replace. Errors: EINVAL (key NULL; value NULL where values are weak), EOBJECT, and what hearth_new
 * gives; the table is then as before. Allocates. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_table_put(hearth_mutator *mutator, void *table,
                                                           void *key, void *value);
/* Look up: true and *value if there is an entry. `value` may be NULL. False with EOBJECT or EINVAL on wrong
 * arguments. The rules of hearth_weak_get. */
HEARTH_API bool hearth_table_get(hearth_mutator *mutator, void *table, const void *key,
                                 void **value);
/* Remove: true if there was an entry. */
HEARTH_API bool hearth_table_remove(hearth_mutator *mutator, void *table, const void *key);
/* Entries whose keys and values live, as far as the last collection knows. */
HEARTH_API size_t hearth_table_count(hearth_mutator *mutator, void *table);

/* Call `fn` for every entry until it returns false. It may allocate, collect, and change the table: removed
 * entries are not shown, added ones may be. The table neither grows nor shrinks meanwhile; so fn must
 * return. EOBJECT, EINVAL. A safepoint only if fn is. */
typedef bool hearth_table_fn(hearth_mutator *mutator, void *key, void *value, void *data);
HEARTH_API hearth_status hearth_table_each(hearth_mutator *mutator, void *table,
                                           hearth_table_fn *fn, void *data);

#ifdef __cplusplus
}
#endif
#endif
