/* tests/text.h - a text that grows by what the library writes, for the tests of its writers.
 *
 * Begins as zero; `at` ends with '\0' and is the caller's to free. No state. */
#ifndef HEARTH_TESTS_TEXT_H
#define HEARTH_TESTS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *at;
    size_t length, calls, most; /* most: give up at this call; 0: never */
};

/* A hearth_write_fn; `data` is a struct text. */
static inline bool text_add(void *data, const char *part, size_t length)
{
    struct text *text = data;

    if (++text->calls == text->most)
        return false;
    text->at = realloc(text->at, text->length + length + 1);
    memcpy(text->at + text->length, part, length);
    text->length += length;
    text->at[text->length] = '\0';
    return true;
}

#endif
