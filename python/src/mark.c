/* python/src/mark.c - marking by one thread.
 *
 * A short ring of prefetched objects stands between the stack and the visit (visit.h). Unlike hearth's
 * own ring (gc/trace.c) it holds objects that are marked already: the mark lies in the child's header,
 * which has to be read to know that it is one of the list at all, so what is worth fetching is where an
 * object's references lie. Locks: the GIL. */
#include "collect.h"

void hp_see_leaf(struct hp_worker *w, PyObject *o)
{
    hp_see(w, o, HP_MARK, false);
}

void hp_mark(struct hp_worker *w)
{
    struct hp_ring ring = {.head = 0};
    for (;;) {
        hp_ring_fill(&ring, w);
        if (ring.head == ring.tail)
            return;
        hp_visit(HP_OBJECT(ring.at[ring.head++ % HP_RING]), w, HP_MARK, false);
    }
}
