/* python/src/scratch.c - the arrays a collection works in, and the shadow of the last full one.
 *
 * Invariant: all memory a collection needs is there before the first list or count is changed, so that
 * running out of it leaves everything as it was. Large arrays are address space only until they are
 * written to.
 * Locks: the GIL. */
#include "collect.h"

#include "topology/os.h"

enum {
    HP_ROOM_MIN = 4096,
    HP_SHADOW_MAX = 64 << 20, /* objects above which no shadow is kept                 */
};

static struct hp_scratch *hp_spare;
static struct hp_vec
    hp_shadow; /* n objects, then HP_SHADOW_PAD nulls                                */

bool hp_vec_reserve(struct hp_vec *vec, size_t room)
{
    if (room <= vec->room)
        return true;
    size_t wish = vec->room * 2 > room ? vec->room * 2 : room;
    if (wish < HP_ROOM_MIN)
        wish = HP_ROOM_MIN;
    PyGC_Head **at = ht_os_realloc(vec->at, wish * sizeof *at);
    if (at == NULL && wish > room) {
        wish = room;
        at = ht_os_realloc(vec->at, wish * sizeof *at);
    }
    if (at == NULL)
        return false;
    vec->at = at;
    vec->room = wish;
    return true;
}

struct hp_scratch *hp_scratch_take(void)
{
    struct hp_scratch *scratch = hp_spare;
    hp_spare = NULL;
    return scratch != NULL ? scratch : ht_os_alloc(sizeof *scratch);
}

static void hp_scratch_free(struct hp_scratch *scratch)
{
    ht_os_free(scratch->all.at);
    ht_os_free(scratch->rest.at);
    ht_os_free(scratch->stack.at);
    ht_os_free(scratch);
}

void hp_scratch_give(struct hp_scratch *scratch)
{
    if (hp_spare == NULL)
        hp_spare = scratch;
    else
        hp_scratch_free(scratch);
}

void hp_scratch_trim(void)
{
    if (hp_spare != NULL)
        hp_scratch_free(hp_spare);
    hp_spare = NULL;
    ht_os_free(hp_shadow.at);
    hp_shadow = (struct hp_vec){0};
}

struct hp_shadow hp_shadow_get(void)
{
    return (struct hp_shadow){hp_shadow.at, hp_shadow.n};
}

void hp_shadow_swap(struct hp_vec *vec, size_t n)
{
    if (n > HP_SHADOW_MAX) {
        hp_shadow.n = 0;
        return;
    }
    struct hp_vec old = hp_shadow;
    hp_shadow = *vec;
    hp_shadow.n = n;
    *vec = old;
    vec->n = 0;
}

void hp_list_repair(PyGC_Head *list)
{
    PyGC_Head *prev = list;
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g)) {
        g->_gc_prev = (g->_gc_prev & HP_FINALIZED) | (uintptr_t)prev;
        prev = g;
    }
    list->_gc_prev = (uintptr_t)prev;
}
