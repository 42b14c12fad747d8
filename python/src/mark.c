/* python/src/mark.c - marking by one thread.
 *
 * A short ring of prefetched objects stands between the stack and the visit (Cher et al., ASPLOS
 * 2004). Unlike hearth's own ring (gc/trace.c) it holds objects that are marked already: the mark lies
 * in the child's header, which has to be read to know that it is one of the list at all, so what is
 * worth fetching is where an object's references lie. Locks: the GIL. */
#include "collect.h"

enum { HP_RING = 8 };

void hp_see_leaf(struct hp_worker *w, PyObject *o)
{
    hp_see(w, o, HP_MARK, false);
}

void hp_mark(struct hp_worker *w)
{
    PyGC_Head *ring[HP_RING];
    unsigned head = 0, tail = 0;
    for (;;) {
        while (tail - head < HP_RING && w->top != 0) {
            PyGC_Head *g = w->stack[--w->top];
            hp_prefetch(HP_OBJECT(g));
            ring[tail++ % HP_RING] = g;
        }
        if (head == tail)
            return;
        hp_visit(HP_OBJECT(ring[head++ % HP_RING]), w, HP_MARK, false);
    }
}
