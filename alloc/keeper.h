/* alloc/keeper.h - the arena keeper: the one thread of a window set that calls mimalloc.
 *
 * It owns one mimalloc heap per node and never exits (a heap's blocks are abandoned when its thread
 * ends, and abandoned ones slow down every thread of the process that uses mimalloc). Other threads
 * hand it requests. It also runs the periodic callbacks of ha_keeper_watch, and otherwise sleeps.
 *
 * Lock order: the keeper lock is taken last and not held while mimalloc or a callback runs. */
#ifndef HEARTH_ALLOC_KEEPER_H
#define HEARTH_ALLOC_KEEPER_H

#include <mimalloc.h>

#include "alloc/window.h"

struct ha_keeper;

/* A reservation on its way back to mimalloc. Lies in the reservation itself, so that giving back
 * needs no memory and no waiting. */
struct ha_reservation {
    void *block;                 /* as ha_keeper_reserve returned it              */
    size_t bytes;                /* as it was asked                               */
    int node;                    /* of which window                               */
    uint32_t generation;         /* ha_keeper_generation when it was reserved      */
    struct ha_reservation *next; /* the keeper's list                             */
};

/* Make a keeper and start its thread. ENOMEM, or ESYSTEM when no thread can be made; nothing is left
 * over then. */
hearth_status ha_keeper_start(struct ha_keeper **out, const struct ha_windows *windows);
/* Open a heap in the arena of every window. ESYSTEM if mimalloc refuses; may be tried again. */
hearth_status ha_keeper_open(struct ha_keeper *keeper, const mi_arena_id_t *arena);

/* `bytes` (more than 16 MiB) of address space in the node's window; NULL with errno ENOMEM. Waits
 * for the keeper, except on the keeper thread itself. */
void *ha_keeper_reserve(struct ha_keeper *keeper, int node, size_t bytes);
/* Give a reservation back; does not wait. Every reservation asked for later sees it returned. */
void ha_keeper_release(struct ha_keeper *keeper, struct ha_reservation *reservation);
/* True on the keeper thread, that is inside a callback. */
bool ha_keeper_here(const struct ha_keeper *keeper);
/* Forks that led from the keeper's making to this process. Constant but for the child of a fork. */
uint32_t ha_keeper_generation(const struct ha_keeper *keeper);
/* In a child of fork() the keeper's thread starts when somebody needs it: somebody may, for memory to age. */
void ha_keeper_wake(struct ha_keeper *keeper);

/* Forks (alloc/fork.c). Pause: returns when the thread does nothing, and it begins nothing more; then hold:
 * takes the lock. Then resume in the parent, forked in the child; both give the lock back. */
void ha_keeper_pause(struct ha_keeper *keeper);
void ha_keeper_hold(struct ha_keeper *keeper);
void ha_keeper_resume(struct ha_keeper *keeper);
void ha_keeper_forked(struct ha_keeper *keeper);

/* Times the thread has woken up: for the tests that it sleeps. */
uint64_t ha_keeper_wakeups(struct ha_keeper *keeper);

#endif
