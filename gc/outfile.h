/* gc/outfile.h - names of the files that a heap writes by itself: options trace and stats-page. */
#ifndef HEARTH_GC_OUTFILE_H
#define HEARTH_GC_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "hearth/status.h"

enum { HG_FILE_BYTES = 320 };

/* Does the option's value ask for a file? */
bool hg_file_wanted(const char *value);
/* The next heap of this process that writes files: 1, 2, ... Any thread. */
unsigned hg_file_heap(void);
/* It came to nothing: the next one gets its number, unless another has been given out since. */
void hg_file_heap_undo(unsigned heap);
/* `pattern` with %p replaced by the process's number and, from the second such heap on, its number appended
 * ("x.json.2"). Any other % is an error: EOPTION, which names `option`. */
hearth_status hg_file_name(char name[HG_FILE_BYTES], const char *option, const char *pattern,
                           unsigned heap);

#endif
