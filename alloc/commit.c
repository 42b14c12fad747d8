/* alloc/commit.c - committing a window ahead of mimalloc, where the kernel never overcommits.
 *
 * Invariant: used[] has 1 exactly for the arena blocks under live reservations; every block a
 * reservation was ever placed in lies below ready, and blocks below ready stay writable (mimalloc
 * gives released blocks back by MADV_DONTNEED and does not protect them again).
 * Lock order: none; the keeper thread owns it. Nothing here lies on a particular node. */
#include "alloc/commit.h"

#include <errno.h>
#include <string.h>

#include "topology/os.h"

bool ha_commit_init(struct ha_commit *commit, uintptr_t base, size_t bytes)
{
    commit->base = base;
    commit->blocks = bytes >> HA_ARENA_SHIFT;
    commit->ready = 0;
    commit->used = ht_os_alloc(commit->blocks);
    return commit->used != NULL;
}

/* Arena blocks a reservation covers. */
static size_t ha_commit_blocks(size_t bytes)
{
    return (bytes + HA_ARENA_HEAD + ((size_t)1 << HA_ARENA_SHIFT) - 1) >> HA_ARENA_SHIFT;
}

/* The end of the first free run of `count` blocks, 0 if there is none. mimalloc searches from the first
 * block on, and across the words of its bitmap. */
static size_t ha_commit_first_fit(const struct ha_commit *commit, size_t count)
{
    size_t run = 0;

    for (size_t i = 0; i < commit->blocks; i++) {
        run = commit->used[i] ? 0 : run + 1;
        if (run == count)
            return i + 1;
    }
    return 0;
}

bool ha_commit_ahead(struct ha_commit *commit, size_t bytes)
{
    size_t end = ha_commit_first_fit(commit, ha_commit_blocks(bytes));

    if (end == 0) {
        errno = ENOMEM;
        return false;
    }
    if (end > commit->ready) {
        if (!ht_os_commit((void *)(commit->base + (commit->ready << HA_ARENA_SHIFT)),
                          (end - commit->ready) << HA_ARENA_SHIFT)) {
            errno = ENOMEM;
            return false;
        }
        commit->ready = end;
    }
    return true;
}

void ha_commit_note(struct ha_commit *commit, const void *block, size_t bytes, bool used)
{
    size_t first = ((uintptr_t)block - commit->base) >> HA_ARENA_SHIFT;
    size_t count = ha_commit_blocks(bytes);

    memset(commit->used + first, used, count);
    if (commit->ready < first + count)
        commit->ready = first + count;
}
