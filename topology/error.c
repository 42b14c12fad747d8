/* topology/error.c - status names, and the calling thread's last error.
 *
 * Invariant: the message is always terminated, and it belongs to the last status that is not OK.
 * Lock order: none; the record is thread-local, so it lies on the node where the thread's first
 * pages lie and is never touched by another thread. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "topology/error.h"

enum { HT_MESSAGE_BYTES = 320 };

/* What hearth_last_status and hearth_last_error answer. */
struct ht_error {
    hearth_status status;           /* of the last failure, HEARTH_OK before the first */
    char message[HT_MESSAGE_BYTES]; /* one sentence, cut when it is longer             */
};

static _Thread_local struct ht_error ht_last;

struct ht_status_text {
    const char *name; /* as written in C      */
    const char *text; /* what it means        */
};

static const struct ht_status_text ht_status_table[] = {
#define HEARTH_X(name, value, text) [value] = {"HEARTH_" #name, text},
    HEARTH_STATUS_MAP(HEARTH_X)
#undef HEARTH_X
};

_Static_assert(sizeof(ht_status_table) / sizeof(ht_status_table[0]) == HEARTH_STATUS_COUNT,
               "the table has a row for every status");

static bool ht_status_known(hearth_status status)
{
    unsigned number = (unsigned)status;

    return number < HEARTH_STATUS_COUNT && ht_status_table[number].name != NULL;
}

const char *hearth_strerror(hearth_status status)
{
    return ht_status_known(status) ? ht_status_table[status].text : "not a hearth status";
}

const char *hearth_status_name(hearth_status status)
{
    return ht_status_known(status) ? ht_status_table[status].name : "HEARTH_?";
}

/* The text is formatted beside the record first: an argument may be the last message itself, as in
 * ht_fail(status, "heap: %s", hearth_last_error()). errno survives, for callers that add it. */
hearth_status ht_fail(hearth_status status, const char *format, ...)
{
    char text[HT_MESSAGE_BYTES];
    int saved = errno;
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        snprintf(text, sizeof(text), "%s", hearth_strerror(status));
    va_end(args);
    memcpy(ht_last.message, text, sizeof(text));
    ht_last.status = status;
    errno = saved;
    return status;
}

hearth_status hearth_last_status(void)
{
    return ht_last.status;
}

const char *hearth_last_error(void)
{
    return ht_last.message;
}

const char *hearth_version(void)
{
    return HEARTH_VERSION;
}
