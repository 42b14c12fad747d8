/* gc/chain.c - following a few references from node to node instead of sending them.
 *
 * A list that changes nodes at every link would otherwise wake a thread for each of them. Invariant: what a chain
 * leaves is on the stack, if it belongs to the node that the worker acts for, or sent. No locks; the worker's
 * own. Node: the stack's and buffers' is the worker's home. */
#include "gc/trace_work.h"

uint64_t hg_nodes_awake(const struct hg_worker *w)
{
    uint64_t awake = 0;
    for (int n = 0; n < w->trace->mail.nodes; n++) {
        const struct hg_queue *queue = w->trace->mail.queue[n];
        uint32_t others = __atomic_load_n(&queue->workers, __ATOMIC_RELAXED) - (n == w->home);
        if (others > __atomic_load_n(&queue->sleepers, __ATOMIC_RELAXED))
            awake |= (uint64_t)1 << n;
    }
    return awake;
}

/* What a chain left: the home node's references stay, else those of the newest one's node if its workers
 * sleep; the others are sent. (Without memory for that they go on the stack, below those not yet looked at.) */
static void hg_sort_out(struct hg_worker *w)
{
    size_t count = w->top;
    int newest = count != 0 ? hg_node_of(w, w->stack[count - 1]) : w->home;
    int keep = hg_nodes_awake(w) >> newest & 1 ? w->home : newest;
    for (size_t i = 0; i < count; i++)
        if (hg_node_of(w, w->stack[i]) == w->home)
            keep = w->home;
    hg_act_for(w, keep);
    w->top = 0;
    for (size_t i = 0; i < count; i++) {
        uintptr_t entry = w->stack[i];
        if (hg_node_of(w, entry) == keep)
            w->stack[w->top++] = entry;
        else
            hg_send(w, entry);
    }
}

bool hg_follow(struct hg_worker *w)
{
    uint32_t all = 0;
    uint64_t to = 0;
    for (int n = 0; w->routed && n < w->trace->mail.nodes && all <= HG_FOLLOW; n++) {
        uint32_t count = hg_outgoing(w, n);
        all += count;
        to |= (uint64_t)(count != 0) << n;
    }
    if (all == 0 || all > HG_FOLLOW || (to & hg_nodes_awake(w)) != 0 ||
        (!w->parallel && hg_mail_pending(&w->trace->mail) != 0 && hg_helpers_due(w)))
        return false;
    for (int n = 0; n < w->trace->mail.nodes; n++)
        while (hg_outgoing(w, n) != 0)
            w->stack[w->top++] = *--w->out[n];
    hg_settle(w);
    hg_trace_chain(w);
    hg_sort_out(w);
    return true;
}
