/* python/src/share.c - marking by several: hearth's mailboxes between the stacks of the workers.
 *
 * A worker marks what it finds and keeps it on its own stack; surplus goes in batches to the shared
 * list of its node (gc/mailbox.h), where whoever has nothing left takes it. Where CPython's memory is
 * hearth's windows of several nodes, a reference into another node's window is not looked at but sent
 * to that node's inbox: its workers read and write the header (NumaGiC, Gidra et al., ASPLOS 2015).
 * Entries of batches are objects to traverse, or with HP_UNSEEN references to look at.
 * Losing a reference for want of memory is harmless here: an object that is not marked is found alive
 * by its reference count afterwards.
 * Node: a worker acts for its own node, and for another while it holds a batch stolen from there. */
#include "parallel.h"

#include "gc/mailbox.h"

enum {
    HP_TICK = 64,  /* objects between looks at the others                              */
    HP_UNSEEN = 1, /* tag of a batch entry                                             */
    HP_HALF = 32   /* left on a stack that gives half away                             */
};

static const struct ha_windows
    *hp_routes; /* NULL: nothing is routed                                        */

void hp_share_route(const struct ha_windows *windows)
{
    hp_routes = windows;
}

/* --- giving ------------------------------------------------------------------------------------ */

/* The oldest `count` entries of the stack to the node's shared list; false: no memory for a batch. */
static bool hp_offer(struct hp_worker *w, uint32_t count)
{
    struct hg_batch *batch = hg_batch_take(w->mail, w->home);
    if (batch == NULL)
        return false;
    memcpy(batch->entry, w->stack, count * sizeof *w->stack);
    batch->count = count;
    w->top -= count;
    memmove(w->stack, w->stack + count, w->top * sizeof *w->stack);
    hg_mail_post(w->mail, w->acting, batch, false);
    return true;
}

void hp_worker_full(struct hp_worker *w)
{
    uint32_t count = w->top < HG_BATCH ? (uint32_t)w->top : HG_BATCH;
    if (w->mail == NULL || !hp_offer(w, count))
        w->top--;
}

static void hp_post(struct hp_worker *w, int node)
{
    struct hg_batch *batch = w->out[node];
    w->out[node] = NULL;
    if (batch != NULL)
        hg_mail_post(w->mail, node, batch, true);
}

static void hp_post_all(struct hp_worker *w)
{
    for (int node = 0; hp_routes != NULL && node < hp_routes->nodes; node++)
        hp_post(w, node);
}

bool hp_worker_route(struct hp_worker *w, PyObject *o)
{
    if (hp_routes == NULL || !ha_windows_contain(hp_routes, (uintptr_t)o))
        return false;
    int node = ha_node_of(hp_routes, (uintptr_t)o);
    if (node == w->acting)
        return false;
    struct hg_batch *batch = w->out[node];
    if (batch == NULL) {
        batch = w->out[node] = hg_batch_take(w->mail, w->home);
        if (batch == NULL)
            return false;
    }
    batch->entry[batch->count++] = (uintptr_t)o | HP_UNSEEN;
    w->sent++;
    if (batch->count == HG_BATCH)
        hp_post(w, node);
    return true;
}

/* Is there somebody to give work to? */
static void hp_give(struct hp_worker *w)
{
    if (w->begin != NULL &&
        w->top > w->plenty) { /* helpers are called when there is work for them */
        w->begin(w);
        w->begin = NULL;
    }
    if (hg_mail_waiting(w->mail, w->acting) >= 2)
        return;
    if (w->top > w->plenty)
        hp_offer(w, w->top / 2 < HG_BATCH ? (uint32_t)(w->top / 2) : HG_BATCH);
    else if (w->top > HP_HALF && __atomic_load_n(&w->mail->sleepers, __ATOMIC_RELAXED) != 0)
        hp_offer(w, (uint32_t)(w->top / 2));
}

/* --- taking ------------------------------------------------------------------------------------ */

static void hp_act_for(struct hp_worker *w, int node)
{
    w->acting = node;
    if (hp_routes != NULL) {
        w->base = hp_routes->base + ((uintptr_t)node << hp_routes->shift);
        w->bytes = (uintptr_t)1 << hp_routes->shift;
    }
}

static bool hp_take_from(struct hp_worker *w, struct hg_batch *batch, int node)
{
    if (batch == NULL)
        return false;
    hp_act_for(w, node);
    for (uint32_t i = 0; i < batch->count; i++) {
        uintptr_t entry = batch->entry[i];
        if (entry & HP_UNSEEN)
            hp_see_mark_parallel((PyObject *)(entry & ~(uintptr_t)HP_UNSEEN), w);
        else if (w->top < w->room)
            w->stack[w->top++] = (PyGC_Head *)entry;
    }
    hg_batch_give(w->mail, batch);
    return true;
}

static bool hp_take(struct hp_worker *w, bool impatient)
{
    if (hp_take_from(w, hg_mail_fetch(w->mail, w->home), w->home))
        return true;
    for (int i = 1; i < w->mail->nodes; i++) {
        int node = w->mail->topology != NULL ? w->mail->topology->node[w->home].order[i]
                                             : (w->home + i) % w->mail->nodes;
        if (hp_take_from(w, hg_mail_steal(w->mail, node, impatient), node))
            return true;
    }
    return false;
}

/* --- the loop ---------------------------------------------------------------------------------- */

HP_HOT void hp_drain(struct hp_worker *w, const enum hp_visit how)
{
    struct hp_ring ring = {.head = 0};
    unsigned tick = 0;
    const unsigned period = w->plenty < HP_TICK ? 1 : HP_TICK;
    for (;;) {
        hp_ring_fill(&ring, w);
        if (ring.head == ring.tail)
            return;
        PyGC_Head *g = ring.at[ring.head++ % HP_RING];
        if (HP_UNLIKELY(!hp_visit(HP_OBJECT(g), w, how, true)) &&
            hp_vec_reserve(&w->strange, w->strange.n + 1))
            w->strange.at[w->strange.n++] = g;
        w->marked++;
        if (++tick >= period) {
            tick = 0;
            hp_give(w);
        }
    }
}

void hp_share_mark(struct hp_worker *w, struct hg_mail *mail)
{
    w->mail = mail;
    hp_act_for(w, w->home);
    for (bool impatient = false;;) {
        if (hp_routes != NULL)
            hp_drain(w, HP_ROUTE);
        else
            hp_drain(w, HP_MARK);
        if (hp_take(w, impatient))
            continue;
        hp_post_all(w);
        enum hg_rest rest = hg_mail_idle(mail, w->home);
        if (rest == HG_REST_DONE)
            break;
        impatient = rest == HG_REST_IMPATIENT;
    }
    w->mail = NULL;
}
