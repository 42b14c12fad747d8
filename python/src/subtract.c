/* python/src/subtract.c - trial deletion: which of the candidates are garbage.
 *
 * Every candidate's _gc_prev holds its reference count and the COLLECTING bit. References among candidates are
 * subtracted; who has any left is referred to from outside, and with it all it reaches is alive: the bit is
 * cleared. The list gets them at its end, in the candidates' order.
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

void hp_subtract(struct hp_worker *w, const struct hp_vec *rest)
{
    if (rest->n < HP_NEAR)
        hp_subtract_all(w, rest, false);
    else
        hp_subtract_all(w, rest, true);
}

/* Who has references left is alive, with all it reaches. */
HP_HOT void hp_revive(struct hp_worker *w, const struct hp_vec *rest, const bool far)
{
    for (size_t i = 0; i < rest->n; i++) {
        PyGC_Head *g = rest->at[i];
        if (far && i + HP_FAR_AHEAD < rest->n)
            __builtin_prefetch(rest->at[i + HP_FAR_AHEAD]);
        uintptr_t prev = g->_gc_prev;
        if (!(prev & HP_COLLECTING) || prev < HP_ONE_REF)
            continue;
        g->_gc_prev = prev & ~HP_COLLECTING;
        hp_visit(HP_OBJECT(g), w, HP_MARK, false);
        while (w->top != 0)
            hp_visit(HP_OBJECT(w->stack[--w->top]), w, HP_MARK, false);
    }
}

/* The living to the list, garbage to the front of the candidates. */
HP_HOT void hp_divide(struct hp_scratch *scratch, PyGC_Head *list, const bool tuples,
                      const bool full, const bool far)
{
    struct hp_vec *rest = &scratch->rest;
    size_t garbage = 0, live = scratch->live;
    PyGC_Head *tail = HP_PREV(list);
    for (size_t i = 0; i < rest->n; i++) {
        PyGC_Head *g = rest->at[i];
        if (far && i + HP_FAR_AHEAD < rest->n)
            __builtin_prefetch(rest->at[i + HP_FAR_AHEAD], 1);
        if (g->_gc_prev & HP_COLLECTING) {
            rest->at[garbage++] = g;
            continue;
        }
        if (tuples && HP_UNLIKELY(hp_untrackable(HP_OBJECT(g), full) == HP_UNTRACK)) {
            g->_gc_next = 0;
            g->_gc_prev &= HP_FINALIZED;
            continue;
        }
        hp_list_build(g, &tail);
        if (full)
            scratch->all.at[live] = g;
        live++;
    }
    hp_list_close(list, tail);
    rest->n = garbage;
    scratch->live = live;
}

static void hp_worker_init(struct hp_worker *w, struct hp_scratch *scratch)
{
    *w = (struct hp_worker){.stack = scratch->stack.at, .room = scratch->stack.room};
}

void hp_try_young(struct hp_scratch *scratch, PyGC_Head *list, bool tuples)
{
    struct hp_worker w;
    hp_worker_init(&w, scratch);
    struct hp_vec *rest = &scratch->rest;
    bool far = rest->n >= HP_NEAR;
    if (!hp_parallel_subtract(&w, rest))
        hp_subtract(&w, rest);
    if (far) {
        hp_revive(&w, rest, true);
        hp_divide(scratch, list, tuples, false, true);
    } else {
        hp_revive(&w, rest, false);
        hp_divide(scratch, list, tuples, false, false);
    }
}

void hp_try_rest(struct hp_scratch *scratch, PyGC_Head *list)
{
    struct hp_worker w;
    hp_worker_init(&w, scratch);
    if (!hp_parallel_subtract(&w, &scratch->rest))
        hp_subtract(&w, &scratch->rest);
    hp_revive(&w, &scratch->rest, true);
    hp_divide(scratch, list, true, true, true);
}
