/* alloc/fork.h - window sets across fork().
 *
 * The four steps are called by gc/fork.c, around the locks of the heaps: pause, then hold with all pools
 * locked, then one of the last two. Only one thread forks at a time. */
#ifndef HEARTH_ALLOC_FORK_H
#define HEARTH_ALLOC_FORK_H

/* Keep sets from being made, and all keepers from working; waits for what they are doing, so no pool may be
 * locked. Who asks a keeper now waits, with no lock held. */
void ha_fork_pause(void);
/* Take the locks of all sets and keepers. */
void ha_fork_hold(void);
/* Undo both, in the parent and in the child: where every keeper's thread is gone, and whatever threads that
 * are gone had begun with single chunks is brought to an end. */
void ha_fork_parent(void);
void ha_fork_child(void);

#endif
