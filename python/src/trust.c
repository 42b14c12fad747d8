/* python/src/trust.c - whose tp_traverse may run on a helper.
 *
 * A tp_traverse that only reads, as it should, may run on any thread while the GIL's holder waits.
 * Those of the interpreter do; those of unknown extensions cannot be vouched for, and objects with one
 * are left to the holder of the GIL. The interpreter's own code is known by its segment (an
 * application that has Python linked into itself is trusted with it); functions elsewhere are looked
 * up once, by the holder: those of modules in the standard library's lib-dynload are trusted too.
 * Locks: the GIL to write; helpers read while nobody writes. */
#define _GNU_SOURCE 1
#include "parallel.h"

#include <dlfcn.h>
#include <string.h>

enum { HP_LEARNT = 256 }; /* a power of 2 */

/* By open addressing; at most half full. */
static traverseproc hp_learnt[HP_LEARNT];
static unsigned hp_learnt_count;

static unsigned hp_learnt_slot(traverseproc traverse)
{
    unsigned slot = (unsigned)(((uintptr_t)traverse >> 4) * 0x9e3779b9u) % HP_LEARNT;
    while (hp_learnt[slot] != NULL && hp_learnt[slot] != traverse)
        slot = (slot + 1) % HP_LEARNT;
    return slot;
}

bool hp_trusted(traverseproc traverse)
{
    return (uintptr_t)traverse - hp_known.text < hp_known.text_bytes ||
           hp_parallel.trust == HP_TRUST_ALL || hp_learnt[hp_learnt_slot(traverse)] == traverse;
}

void hp_trust_learn(traverseproc traverse)
{
    Dl_info info;
    unsigned slot = hp_learnt_slot(traverse);
    if (hp_learnt[slot] == traverse || hp_learnt_count >= HP_LEARNT / 2)
        return;
    if (dladdr((void *)traverse, &info) == 0 || info.dli_fname == NULL)
        return;
    const char *end = strrchr(info.dli_fname, '/'), *folder = "/lib-dynload";
    size_t length = strlen(folder);
    if (end == NULL || (size_t)(end - info.dli_fname) < length ||
        strncmp(end - length, folder, length) != 0)
        return;
    hp_learnt[slot] = traverse;
    hp_learnt_count++;
}
