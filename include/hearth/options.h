/* hearth/options.h - one table of options behind the API, the environment and hearth-info.
 *
 * Grammar everywhere: "name=value,name=value". Sizes take k, m, g, t (powers of 1024); booleans take
 * 1/0, on/off, true/false, yes/no. HEARTH_OPTIONS in the environment is applied last, at
 * hearth_heap_create, so that an operator can override the program (as mimalloc does).
 * The names, types, defaults and help texts are in topology/options.c and printed by hearth-info. */
#ifndef HEARTH_OPTIONS_H
#define HEARTH_OPTIONS_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hearth_options hearth_options;

typedef enum hearth_option_kind {
    HEARTH_OPTION_BOOL,   /* on | off                                  */
    HEARTH_OPTION_INT,    /* decimal integer within [min, max]         */
    HEARTH_OPTION_SIZE,   /* bytes, with k m g t suffixes              */
    HEARTH_OPTION_FLOAT,  /* decimal fraction within [min, max]        */
    HEARTH_OPTION_CHOICE, /* one of the words in `choices`             */
    HEARTH_OPTION_TEXT    /* a file's name of at most 255 bytes        */
} hearth_option_kind;

typedef struct hearth_option_info {
    const char *name;        /* as written in HEARTH_OPTIONS             */
    const char *help;        /* one sentence                             */
    const char *choices;     /* "a|b|c" for CHOICE, else NULL            */
    const char *fallback;    /* the default, as text                     */
    double min, max;         /* bounds of INT, SIZE and FLOAT            */
    hearth_option_kind kind; /* how the value is read                    */
} hearth_option_info;

/* A set of options with every default filled in. The caller owns it and destroys it; a heap copies
 * what it needs. Errors: EINVAL (out is NULL), ENOMEM. Any thread. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_options_create(hearth_options **out);
HEARTH_API void hearth_options_destroy(hearth_options *options); /* NULL is allowed */

/* Set one option from text. EOPTION names the option or the value; the set is then unchanged. */
HEARTH_API hearth_status hearth_options_set(hearth_options *options, const char *name,
                                            const char *value);

/* Apply "name=value,name=value". All or nothing: on EOPTION the set is unchanged. */
HEARTH_API hearth_status hearth_options_parse(hearth_options *options, const char *text);

/* Write the present value of an option as text (always terminated). ESIZE if it does not fit. */
HEARTH_API hearth_status hearth_options_get(const hearth_options *options, const char *name,
                                            char *buffer, size_t size);

/* The table itself, for tools: entry 0 .. hearth_option_count()-1; NULL beyond. Static storage. */
HEARTH_API size_t hearth_option_count(void);
HEARTH_API const hearth_option_info *hearth_option_at(size_t index);

#ifdef __cplusplus
}
#endif
#endif
