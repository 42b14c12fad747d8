/* topology/error.h - setting the calling thread's last error. The only thread-local state of
 * hearth. */
#ifndef HEARTH_TOPOLOGY_ERROR_H
#define HEARTH_TOPOLOGY_ERROR_H

#include "hearth/status.h"

/* Record `status` and a printf-formatted sentence naming the wrong value; returns `status`, so that
 * a function can `return ht_fail(...)`. Never allocates. */
hearth_status ht_fail(hearth_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

#endif
