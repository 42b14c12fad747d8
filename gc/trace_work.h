/* gc/trace_work.h - what the marking loop (trace.c), the work distribution (trace_work.c) and chains
 * (chain.c) ask of each other. Internal to tracing. */
#ifndef HEARTH_GC_TRACE_WORK_H
#define HEARTH_GC_TRACE_WORK_H

#include "gc/trace.h"

/* Send a tagged reference to its node's inbox; to objects outside of all windows (static ones): nothing. */
void hg_send(struct hg_worker *worker, uintptr_t entry);
/* The node a reference in the windows leads to. */
static inline int hg_node_of(const struct hg_worker *worker, uintptr_t entry)
{
    return (int)((entry - worker->all_base) >> worker->shift);
}
/* References waiting in an outgoing buffer. */
static inline uint32_t hg_outgoing(const struct hg_worker *worker, int node)
{
    const uintptr_t *at = worker->out[node];
    return at != NULL ? (uint32_t)(at - hg_batch_of(at)->entry) : 0;
}
/* All that is outgoing is a few references to nodes whose workers all sleep or never came: to go after them
 * costs less than to send them, wake somebody and sleep. (A list that changes nodes at every link would
 * else wake a thread for each.) */
bool hg_follow(struct hg_worker *worker);
/* A bit for each node of which a worker, other than this one, is at work. */
uint64_t hg_nodes_awake(const struct hg_worker *worker);
/* From now on trace objects of this node, and send references to others. */
void hg_act_for(struct hg_worker *worker, int node);
/* Is it time to call helpers? For other nodes' objects earlier than for more hands. */
bool hg_helpers_due(const struct hg_worker *worker);
/* Count what was traced since `acting` last changed. */
void hg_settle(struct hg_worker *worker);
/* The stack is full: move its older half to shared batches; without memory for them, drop references. */
void hg_spill(struct hg_worker *worker);
/* The same for the stack of roots, which must not be dropped: without memory, trace them. */
void hg_spill_roots(struct hg_worker *worker);
/* Look at the other workers; true: leave the loop, because helpers were called or a thief goes home. */
bool hg_trace_tick(struct hg_worker *worker, bool parallel);
/* Trace until the worker's stack is empty, or `returns` is set. */
void hg_trace_drain(struct hg_worker *worker);
/* Trace the few references on the stack whatever their nodes, as long as they stay few. */
void hg_trace_chain(struct hg_worker *worker);
/* Visit the slots of an object that is marked already. */
void hg_trace_again(struct hg_worker *worker, uintptr_t object, uintptr_t promote);
void hg_trace_remembered(struct hg_worker *worker, uintptr_t object);
void hg_worker_visitor(struct hg_worker *worker);

#endif
