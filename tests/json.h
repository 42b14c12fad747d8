/* tests/json.h - a strict reader of JSON (RFC 8259) for what the library writes.
 *
 * json_check accepts a whole document or says where it is wrong; the readers below take a document that
 * was checked. Depth is limited. No state. */
#ifndef HEARTH_TESTS_JSON_H
#define HEARTH_TESTS_JSON_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 16 };

static inline const char *json_space(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
    return at;
}

/* Behind a string; NULL: it is none. */
static inline const char *json_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at != '\\')
            continue;
        at++;
        if (*at == 'u') {
            for (int i = 1; i <= 4; i++)
                if (!isxdigit((unsigned char)at[i]))
                    return NULL;
            at += 4;
        } else if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL) {
            return NULL;
        }
    }
    return at + 1;
}

/* Behind a number without sign or exponent, as all of ours are. */
static inline const char *json_number(const char *at)
{
    if (!isdigit((unsigned char)*at) || (*at == '0' && isdigit((unsigned char)at[1])))
        return NULL;
    while (isdigit((unsigned char)*at))
        at++;
    if (*at == '.' && !isdigit((unsigned char)*++at))
        return NULL;
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

static inline const char *json_value(const char *at, int depth)
{
    char open = *at, close = open == '{' ? '}' : ']';

    if (open == '"')
        return json_string(at);
    if (strncmp(at, "null", 4) == 0)
        return at + 4;
    if (open != '{' && open != '[')
        return json_number(at);
    if (depth == JSON_DEPTH)
        return NULL;
    at = json_space(at + 1);
    if (*at == close)
        return at + 1;
    for (;; at = json_space(at + 1)) {
        if (open == '{') {
            at = json_string(at);
            if (at == NULL || *(at = json_space(at)) != ':')
                return NULL;
            at = json_space(at + 1);
        }
        at = json_value(at, depth + 1);
        if (at == NULL)
            return NULL;
        at = json_space(at);
        if (*at == close)
            return at + 1;
        if (*at != ',')
            return NULL;
    }
}

static inline bool json_check(const char *text)
{
    const char *end = json_value(json_space(text), 0);

    return end != NULL && *json_space(end) == '\0';
}

/* The value of a key of the object that begins at `at`; NULL: it has no such key. */
static inline const char *json_key(const char *at, const char *key)
{
    size_t length = strlen(key);

    for (at = json_space(at + 1); *at != '}';) {
        bool hit = strncmp(at + 1, key, length) == 0 && at[length + 1] == '"';
        at = json_space(json_space(json_string(at)) + 1);
        if (hit)
            return at;
        at = json_space(json_value(at, 0));
        if (*at == ',')
            at = json_space(at + 1);
    }
    return NULL;
}

/* The values of an array: where each begins; the caller frees them. */
static inline const char **json_array(const char *at, size_t *count)
{
    const char **value = NULL;
    size_t capacity = 0;

    *count = 0;
    if (at == NULL || *at != '[')
        return NULL;
    for (at = json_space(at + 1); *at != ']';) {
        if (*count == capacity) {
            capacity = capacity * 2 + 64;
            value = realloc(value, capacity * sizeof(*value));
        }
        value[(*count)++] = at;
        at = json_space(json_value(at, 0));
        if (*at == ',')
            at = json_space(at + 1);
    }
    return value;
}

/* The numbers of an array of numbers. */
static inline uint64_t *json_numbers(const char *at, size_t *count)
{
    const char **value = json_array(at, count);
    uint64_t *number = calloc(*count + 1, sizeof(*number));

    for (size_t i = 0; i < *count; i++)
        number[i] = strtoull(value[i], NULL, 10);
    free(value);
    return number;
}

/* Is the value this string, byte by byte without escapes? */
static inline bool json_is(const char *value, const char *text)
{
    size_t length = strlen(text);

    return value[0] == '"' && strncmp(value + 1, text, length) == 0 && value[length + 1] == '"';
}

#endif
