/* python/src/trust.c - whose tp_traverse may run on a helper.
 *
 * A tp_traverse that only reads, as it should, may run on any thread while the GIL's holder waits.
 * Those of the interpreter do; those of unknown extensions cannot be vouched for, and objects with one
 * are left to the holder of the GIL. The interpreter's own code is known by its segment (an
 * application that has Python linked into itself is trusted with it); other libraries are looked
 * up once each, by the holder, and remembered whether they are trusted or not: those of modules in the
 * standard library's lib-dynload are. The interpreter unloads no library.
 * Locks: the GIL to write; helpers read while nobody writes. */
#define _GNU_SOURCE 1
#include "parallel.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

enum { HP_LIBRARIES = 512 }; /* more are asked for each time, and not trusted */

struct hp_library {
    uintptr_t start, end; /* where it is mapped                              */
    bool trusted;         /* helpers may call its functions                  */
};

static struct hp_library hp_library[HP_LIBRARIES]; /* by address */
static unsigned hp_library_count;

/* Index of the first library that ends behind the address. */
static unsigned hp_library_at(uintptr_t address)
{
    unsigned low = 0, high = hp_library_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (hp_library[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct hp_library *hp_library_of(uintptr_t address)
{
    unsigned at = hp_library_at(address);
    return at < hp_library_count && address >= hp_library[at].start ? &hp_library[at] : NULL;
}

bool hp_trusted(traverseproc traverse)
{
    if ((uintptr_t)traverse - hp_known.text < hp_known.text_bytes ||
        hp_parallel.trust == HP_TRUST_ALL)
        return true;
    const struct hp_library *library = hp_library_of((uintptr_t)traverse);
    return library != NULL && library->trusted;
}

/* Is the file in a folder lib-dynload? */
static bool hp_of_the_standard_library(const char *file)
{
    static const char folder[] = "/lib-dynload";
    const char *end = strrchr(file, '/');
    size_t length = sizeof folder - 1;
    return end != NULL && (size_t)(end - file) >= length &&
           strncmp(end - length, folder, length) == 0;
}

void hp_trust_learn(traverseproc traverse)
{
    struct dl_find_object found;
    uintptr_t address = (uintptr_t)traverse;
    if (hp_library_of(address) != NULL)
        return;
    hp_parallel_stats.looked_up++;
    if (hp_library_count == HP_LIBRARIES || _dl_find_object((void *)traverse, &found) != 0 ||
        found.dlfo_link_map == NULL)
        return;
    struct hp_library library = {(uintptr_t)found.dlfo_map_start, (uintptr_t)found.dlfo_map_end,
                                 hp_of_the_standard_library(found.dlfo_link_map->l_name)};
    unsigned at = hp_library_at(address);
    memmove(&hp_library[at + 1], &hp_library[at], (hp_library_count - at) * sizeof hp_library[0]);
    hp_library[at] = library;
    hp_library_count++;
}
