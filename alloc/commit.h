/* alloc/commit.h - committing a window ahead of mimalloc, where the kernel never overcommits.
 *
 * mimalloc 2.0.9 ignores a failed mprotect of arena blocks and then writes to them. So the blocks it
 * will take next are made writable before it is asked, by us, where failing is clean; its own
 * mprotect finds nothing to do and cannot fail. It takes the first free run of 32 MiB blocks, so
 * the run is known from a mirror of which blocks are in use.
 * No lock: belongs to the keeper thread. One per window. */
#ifndef HEARTH_ALLOC_COMMIT_H
#define HEARTH_ALLOC_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HA_ARENA_SHIFT = 25,      /* mimalloc's arena block is 32 MiB                   */
    HA_ARENA_HEAD = 64 * 1024 /* header mimalloc puts before a reservation          */
};

struct ha_commit {
    uintptr_t base; /* of the window                                                 */
    size_t blocks;  /* arena blocks in it                                            */
    size_t ready;   /* blocks [0, ready) are writable                                */
    uint8_t *used;  /* 1 per block that a live reservation covers                    */
};

/* False: no memory for the mirror. */
bool ha_commit_init(struct ha_commit *commit, uintptr_t base, size_t bytes);
/* Make the blocks that a reservation of `bytes` will take writable. False with errno ENOMEM: the
 * window is full or the system refuses; nothing has changed that a later call would not need. */
bool ha_commit_ahead(struct ha_commit *commit, size_t bytes);
/* Note a reservation that mimalloc made, or is about to lose. */
void ha_commit_note(struct ha_commit *commit, const void *block, size_t bytes, bool used);

#endif
