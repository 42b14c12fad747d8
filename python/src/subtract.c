/* python/src/subtract.c - trial deletion: which of the candidates are garbage.
 *
 * Every candidate's _gc_prev holds its reference count and the COLLECTING bit. References among
 * candidates are subtracted; who has any left is referred to from outside, and with it all it reaches
 * is alive: the bit is cleared. The list gets them at its end, in the candidates' order. Those with
 * none left are counted: when as many have been reached, all are alive.
 * Below HP_NEAR candidates all is in the cache, and prefetching would cost more than it saves.
 * Locks: the GIL; helpers subtract too (parallel.c). */
#include "parallel.h"

enum {
    HP_NEAR = 4096,
    HP_FAR_AHEAD = 8 /* candidates between prefetch and visit */
};

HP_HOT void hp_fetch(const struct hp_vec *rest, size_t i, const bool far)
{
    if (far && i + HP_FAR_AHEAD < rest->n) {
        __builtin_prefetch(rest->at[i + HP_FAR_AHEAD]);
        __builtin_prefetch((char *)rest->at[i + HP_FAR_AHEAD] + 32);
    }
}

HP_HOT void hp_subtract_all(struct hp_worker *w, const struct hp_vec *rest, const bool far)
{
    for (size_t i = 0; i < rest->n; i++) {
        hp_fetch(rest, i, far);
        hp_visit(HP_OBJECT(rest->at[i]), w, HP_SUBTRACT, false);
    }
}

void hp_subtract(struct hp_scratch *scratch)
{
    struct hp_vec *rest = &scratch->rest;
    struct hp_worker w = {.stack = NULL};
    if (!hp_parallel_subtract(&w, rest)) {
        if (rest->n < HP_NEAR)
            hp_subtract_all(&w, rest, false);
        else
            hp_subtract_all(&w, rest, true);
    }
    scratch->zeros = w.zeros;
}

/* --- what there may be to do for the dead ------------------------------------------------------ */

/* By type. Garbage has few types: a small cache saves asking each object whether it is a weak
 * reference, which means a walk along the bases of its type. */
enum { HP_LEGACY = 1, HP_FINALIZE = 2, HP_REFERENCE = 4, HP_TYPES = 16 };

struct hp_type_cache {
    PyTypeObject *type;
    Py_ssize_t weak; /* where the list of its weak references lies, 0: nowhere               */
    unsigned what;
};

static __attribute__((noinline)) void hp_type_ask(struct hp_type_cache *entry, PyTypeObject *type)
{
    bool reference = PyType_IsSubtype(type, &_PyWeakref_RefType) || type == &_PyWeakref_ProxyType ||
                     type == &_PyWeakref_CallableProxyType;
    entry->type = type;
    entry->weak = type->tp_weaklistoffset > 0 ? type->tp_weaklistoffset : 0;
    entry->what = (type->tp_del != NULL ? HP_LEGACY : 0u) |
                  (type->tp_finalize != NULL ? HP_FINALIZE : 0u) | (reference ? HP_REFERENCE : 0u);
}

HP_HOT unsigned hp_needs(struct hp_type_cache *cache, PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    struct hp_type_cache *entry = &cache[((uintptr_t)type >> 6) % HP_TYPES];
    if (HP_UNLIKELY(entry->type != type))
        hp_type_ask(entry, type);
    if (entry->weak != 0 && *(PyObject **)(void *)((char *)o + entry->weak) != NULL)
        return entry->what | HP_REFERENCE;
    return entry->what;
}

/* --- the division ------------------------------------------------------------------------------ */

/* Where the living go. */
struct hp_living {
    PyGC_Head *tail;
    PyGC_Head **at; /* full collections: the array behind what is marked              */
    size_t n;
    enum hp_how how;
};

HP_HOT void hp_live(struct hp_living *living, PyGC_Head *g, const enum hp_how how)
{
    if (how != HP_AGAIN &&
        HP_UNLIKELY(hp_untrackable(HP_OBJECT(g), how == HP_FULL) == HP_UNTRACK)) {
        g->_gc_next = 0;
        g->_gc_prev &= HP_FINALIZED;
        return;
    }
    hp_list_build(g, &living->tail);
    if (how == HP_FULL)
        living->at[living->n] = g;
    living->n++;
}

/* The object is alive: with it all it reaches. Returns how many more. */
HP_HOT size_t hp_revive(struct hp_worker *w, PyGC_Head *g)
{
    size_t reached = 0;
    hp_visit(HP_OBJECT(g), w, HP_REVIVE, false);
    for (; w->top != 0; reached++)
        hp_visit(HP_OBJECT(w->stack[--w->top]), w, HP_REVIVE, false);
    return reached;
}

/* Some that were put to the dead have been reached since. */
static void hp_take_back(struct hp_scratch *scratch, struct hp_dead *dead, struct hp_living *living)
{
    PyGC_Head *tail = &dead->list;
    size_t n = 0;
    for (size_t i = 0; i < dead->n; i++) {
        PyGC_Head *g = scratch->rest.at[i];
        if (!(g->_gc_prev & HP_COLLECTING)) {
            hp_live(living, g, living->how);
            continue;
        }
        hp_list_build(g, &tail);
        g->_gc_prev |= HP_COLLECTING;
        scratch->rest.at[n++] = g;
    }
    hp_list_close(&dead->list, tail);
    dead->n = n;
}

/* One pass: who has no reference left is taken for dead until somebody alive that comes later reaches
 * it. When all that had none have been reached, nobody has to be visited any more. */
HP_HOT void hp_divide_rest(struct hp_worker *w, struct hp_scratch *scratch, PyGC_Head *list,
                           struct hp_dead *dead, const enum hp_how how, const bool far)
{
    struct hp_vec *rest = &scratch->rest;
    struct hp_living living = {HP_PREV(list), scratch->all.at, scratch->live, how};
    struct hp_type_cache cache[HP_TYPES] = {{0}};
    PyGC_Head *tail = &dead->list;
    size_t n = 0, reached = 0, met = 0;
    unsigned needs = 0;
    for (size_t i = 0; i < rest->n; i++) {
        PyGC_Head *g = rest->at[i];
        if (far && i + HP_FAR_AHEAD < rest->n)
            __builtin_prefetch(rest->at[i + HP_FAR_AHEAD], 1);
        uintptr_t prev = g->_gc_prev;
        if (HP_LIKELY((prev & HP_COLLECTING) && prev < HP_ONE_REF)) {
            needs |= hp_needs(cache, HP_OBJECT(g));
            g->_gc_prev = (uintptr_t)tail | (prev & ~HP_COUNTED);
            tail->_gc_next = (uintptr_t)g;
            tail = g;
            rest->at[n++] = g;
            continue;
        }
        if (prev & HP_COLLECTING) {
            g->_gc_prev = prev & ~HP_COLLECTING;
            if (w->zeros != 0)
                reached += hp_revive(w, g);
        } else {
            met++;
        }
        hp_live(&living, g, how);
    }
    hp_list_close(&dead->list, tail);
    *dead = (struct hp_dead){dead->list, n, needs & HP_LEGACY, needs & HP_FINALIZE,
                             needs & HP_REFERENCE};
    if (HP_UNLIKELY(reached != met))
        hp_take_back(scratch, dead, &living);
    hp_list_close(list, living.tail);
    rest->n = dead->n;
    scratch->live = living.n;
}

void hp_divide(struct hp_scratch *scratch, PyGC_Head *list, struct hp_dead *dead, enum hp_how how)
{
    struct hp_worker w = {
        .stack = scratch->stack.at, .room = scratch->stack.room, .zeros = scratch->zeros};
    if (how == HP_FULL)
        hp_divide_rest(&w, scratch, list, dead, HP_FULL, true);
    else if (how == HP_AGAIN)
        hp_divide_rest(&w, scratch, list, dead, HP_AGAIN, true);
    else if (scratch->rest.n >= HP_NEAR)
        hp_divide_rest(&w, scratch, list, dead, HP_YOUNG, true);
    else
        hp_divide_rest(&w, scratch, list, dead, HP_YOUNG, false);
}
