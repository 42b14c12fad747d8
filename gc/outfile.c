/* gc/outfile.c - names of the files that a heap writes. See outfile.h.
 *
 * The count of heaps is the process's: options come from the environment, so all its heaps are given the same
 * names, and none may write over another's file. A forked child goes on counting. No locks. */
#include "gc/outfile.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "topology/error.h"

static unsigned hg_file_heaps; /* so far (atomic) */

bool hg_file_wanted(const char *value)
{
    return value[0] != '\0' && strcmp(value, "off") != 0;
}

unsigned hg_file_heap(void)
{
    return __atomic_add_fetch(&hg_file_heaps, 1, __ATOMIC_RELAXED);
}

void hg_file_heap_undo(unsigned heap)
{
    __atomic_compare_exchange_n(&hg_file_heaps, &heap, heap - 1, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

hearth_status hg_file_name(char name[HG_FILE_BYTES], const char *option, const char *pattern,
                           unsigned heap)
{
    size_t used = 0;
    int length = 0;
    name[0] = '\0';
    for (const char *at = pattern; *at != '\0' && used < HG_FILE_BYTES; at++) {
        if (*at == '%' && *++at != 'p')
            return ht_fail(HEARTH_EOPTION, "option %s: \"%.64s\" has a %% that is not %%p", option,
                           pattern);
        if (*at == 'p' && at > pattern && at[-1] == '%')
            length = snprintf(name + used, HG_FILE_BYTES - used, "%d", (int)getpid());
        else
            length = snprintf(name + used, HG_FILE_BYTES - used, "%c", *at);
        used += (size_t)length;
    }
    if (heap > 1 && used < HG_FILE_BYTES)
        used += (size_t)snprintf(name + used, HG_FILE_BYTES - used, ".%u", heap);
    if (used >= HG_FILE_BYTES)
        return ht_fail(HEARTH_EOPTION, "option %s: \"%.64s...\" is too long", option, pattern);
    return HEARTH_OK;
}
