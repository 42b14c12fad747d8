/* examples/respd/reply.c - writing answers (RESP, version 2), and reading the small things commands are made of.
 *
 * Answers gather in the loop's buffer, in plain memory, while the commands of one read are executed. Invariant:
 * if memory for them is refused, reply_lost is set, nothing more is added, and the connection is closed rather than
 * answered wrongly. The loop's own thread only, no locks. */
#include "respd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Room for `bytes` more; NULL if there is no memory. */
static char *more(struct worker *w, size_t bytes)
{
    if (w->reply_room - w->reply_length < bytes) {
        size_t room = w->reply_room * 2;
        if (room < w->reply_length + bytes)
            room = w->reply_length + bytes + 4096;
        char *reply = w->reply_lost ? NULL : realloc(w->reply, room);
        if (reply == NULL) {
            w->reply_lost = true;
            return NULL;
        }
        w->reply = reply;
        w->reply_room = room;
    }
    return w->reply + w->reply_length;
}

void reply_raw(struct worker *w, const char *text, size_t length)
{
    char *to = more(w, length);
    if (to == NULL || length == 0)
        return;
    memcpy(to, text, length);
    w->reply_length += length;
}

void reply_text(struct worker *w, const char *literal)
{
    reply_raw(w, literal, strlen(literal));
}

void reply_ok(struct worker *w)
{
    reply_raw(w, "+OK\r\n", 5);
}

void reply_status(struct worker *w, const char *status)
{
    reply_text(w, "+");
    reply_text(w, status);
    reply_text(w, "\r\n");
}

/* One line: what would end it becomes a blank. */
void reply_error(struct worker *w, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text)
        length = sizeof text - 1;
    for (int i = 0; i < length; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    reply_text(w, "-");
    reply_raw(w, text, length < 0 ? 0 : (size_t)length);
    reply_text(w, "\r\n");
}

/* `sign`, the number, and the end of the line. */
static void number(struct worker *w, char sign, long long value)
{
    char text[32], *end = text + sizeof text, *at = end;
    unsigned long long rest =
        value < 0 ? 0ull - (unsigned long long)value : (unsigned long long)value;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (value < 0)
        *--at = '-';
    *--at = sign;
    reply_raw(w, at, (size_t)(end - at));
}

void reply_integer(struct worker *w, long long value)
{
    number(w, ':', value);
}

void reply_array(struct worker *w, long long count)
{
    number(w, '*', count);
}

/* What follows is moved. */
static void insert(struct worker *w, size_t at, const char *text, size_t length)
{
    size_t behind = w->reply_length - at;
    if (more(w, length) == NULL)
        return;
    memmove(w->reply + at + length, w->reply + at, behind);
    memcpy(w->reply + at, text, length);
    w->reply_length += length;
}

void reply_array_at(struct worker *w, size_t at, long long count)
{
    char line[32];
    insert(w, at, line, (size_t)snprintf(line, sizeof line, "*%lld\r\n", count));
}

void reply_string_at(struct worker *w, size_t at, const char *string)
{
    char line[128];
    int length = snprintf(line, sizeof line, "$%zu\r\n%.90s\r\n", strlen(string), string);
    insert(w, at, line, (size_t)length);
}

void reply_bytes(struct worker *w, struct bytes bytes)
{
    number(w, '$', (long long)bytes.length);
    char *to = more(w, bytes.length + 2);
    if (to == NULL)
        return;
    if (bytes.length != 0)
        memcpy(to, bytes.at, bytes.length);
    memcpy(to + bytes.length, "\r\n", 2);
    w->reply_length += bytes.length + 2;
}

void reply_string(struct worker *w, const char *string)
{
    reply_bytes(w, (struct bytes){string, strlen(string)});
}

void reply_nil(struct worker *w)
{
    reply_raw(w, "$-1\r\n", 5);
}

void reply_wrong_type(struct worker *w)
{
    reply_text(w, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

void reply_syntax(struct worker *w)
{
    reply_text(w, "-ERR syntax error\r\n");
}

void reply_no_memory(struct worker *w)
{
    __atomic_fetch_add(&w->server->refused, 1, __ATOMIC_RELAXED);
    reply_text(w, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
}

/* --- reading -------------------------------------------------------------------------------------- */

/* As Redis reads integers: no blanks, no plus, no leading zeros. */
bool parse_integer(struct bytes text, long long *out)
{
    bool negative = text.length > 1 && text.at[0] == '-';
    size_t i = negative;
    unsigned long long value = 0, limit = (unsigned long long)INT64_MAX + negative;
    if (text.length == 0 || text.length > 20 ||
        (text.at[i] == '0' && (negative || text.length > 1)))
        return false;
    for (; i < text.length; i++) {
        unsigned digit = (unsigned char)text.at[i] - '0';
        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? (long long)(0 - value) : (long long)value;
    return true;
}

bool is_word(struct bytes text, const char *word)
{
    return strlen(word) == text.length && strncasecmp(text.at, word, text.length) == 0;
}

/* [abc], [^abc], [a-z], with backslashes; *at is behind the bracket, and left at the closing one. */
static bool in_class(struct bytes pattern, size_t *at, char c)
{
    bool inverted = *at < pattern.length && pattern.at[*at] == '^', found = false;
    *at += inverted;
    for (; *at < pattern.length && pattern.at[*at] != ']'; ++*at) {
        const char *p = pattern.at + *at;
        size_t left = pattern.length - *at;
        if (p[0] == '\\' && left >= 2) {
            found |= p[1] == c;
            ++*at;
        } else if (left >= 3 && p[1] == '-') {
            char low = p[0] < p[2] ? p[0] : p[2], high = p[0] < p[2] ? p[2] : p[0];
            found |= low <= c && c <= high;
            *at += 2;
        } else {
            found |= p[0] == c;
        }
    }
    return found != inverted;
}

/* Shell patterns: * ? [...] \. Linear but for the last star, which alone is tried again. */
bool matches(struct bytes pattern, struct bytes text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, tried = 0;
    while (t < text.length || p < pattern.length) {
        bool one = false;
        if (p < pattern.length && pattern.at[p] == '*') {
            star = p++;
            tried = t;
            continue;
        }
        if (p < pattern.length && t < text.length) {
            if (pattern.at[p] == '?') {
                one = true;
            } else if (pattern.at[p] == '[') {
                p++;
                one = in_class(pattern, &p, text.at[t]);
            } else {
                p += pattern.at[p] == '\\' && p + 1 < pattern.length;
                one = pattern.at[p] == text.at[t];
            }
        }
        if (one) {
            p += p < pattern.length;
            t++;
        } else if (star != SIZE_MAX && tried < text.length) {
            t = ++tried;
            p = star + 1;
        } else {
            return false;
        }
    }
    return true;
}
