/* python/src/young.c - dividing a young list: every object of it is a candidate.
 *
 * The snapshot puts reference counts where the lists' previous pointers were; the list is built anew
 * from what is found alive. Also used after finalizers have run, for what they may have resurrected.
 * Locks: the GIL. */
#include "parallel.h"

bool hp_divide_young(struct hp_scratch *scratch, PyGC_Head *list, struct hp_dead *dead,
                     bool untrack)
{
    struct hp_vec *rest = &scratch->rest;
    rest->n = 0;
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g)) {
        if (HP_UNLIKELY(rest->n == rest->room) && !hp_vec_reserve(rest, rest->room + 1)) {
            hp_list_repair(list);
            return false;
        }
        rest->at[rest->n++] = g;
        g->_gc_prev = hp_candidate(g);
    }
    if (!hp_vec_reserve(&scratch->stack, rest->n)) {
        hp_list_repair(list);
        return false;
    }
    scratch->size = rest->n;
    scratch->live = 0;
    hp_list_init(list);
    hp_parallel_begin(rest->n);
    hp_subtract(scratch);
    hp_divide(scratch, list, dead, untrack ? HP_YOUNG : HP_AGAIN);
    hp_parallel_end();
    return true;
}
