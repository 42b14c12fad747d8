/* alloc/fork.c - window sets across fork().
 *
 * The windows are ordinary private memory: the child has all of it, shared with the parent until one of them
 * writes, with the same memory policy. What is missing are the threads.
 * Lock order: table lock < set locks < keeper locks, all of them held from ha_fork_hold on. */
#include "alloc/fork.h"

#include "alloc/window_state.h"

static struct ha_window_state *ha_fork_sets; /* while the table lock is held */

void ha_fork_pause(void)
{
    ha_fork_sets = ha_table_hold();
    for (struct ha_window_state *state = ha_fork_sets; state != NULL; state = state->next)
        if (state->keeper != NULL)
            ha_keeper_pause(state->keeper);
}

void ha_fork_hold(void)
{
    for (struct ha_window_state *state = ha_fork_sets; state != NULL; state = state->next) {
        pthread_mutex_lock(&state->lock);
        if (state->keeper != NULL)
            ha_keeper_hold(state->keeper);
    }
}

void ha_fork_parent(void)
{
    for (struct ha_window_state *state = ha_fork_sets; state != NULL; state = state->next) {
        if (state->keeper != NULL)
            ha_keeper_resume(state->keeper);
        pthread_mutex_unlock(&state->lock);
    }
    ha_table_release();
}

/* Nobody refills the node now, and chunks that were being given back are free. Set lock held. */
static void ha_fork_settle(struct ha_window_state *state, int node)
{
    struct ha_window_node *n = &state->node[node];
    size_t first = (size_t)node << (state->windows.shift - HA_CHUNK_SHIFT);

    pthread_cond_init(&n->refilled, NULL);
    n->refilling = false;
    for (size_t slot = first; n->giving != 0 && slot < first + n->top; slot++)
        if (state->kind[slot] == HA_SLOT_GIVING) {
            ha_discard((char *)state->windows.base + (slot << HA_CHUNK_SHIFT), HA_CHUNK);
            ha_chunk_push(state, node, slot);
            n->giving--;
        }
}

void ha_fork_child(void)
{
    for (struct ha_window_state *state = ha_fork_sets; state != NULL; state = state->next) {
        if (state->keeper != NULL)
            ha_keeper_forked(state->keeper);
        for (int node = 0; node < state->windows.nodes; node++)
            ha_fork_settle(state, node);
        pthread_mutex_unlock(&state->lock);
    }
    ha_table_release();
}
