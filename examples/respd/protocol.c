/* examples/respd/protocol.c - from bytes to commands: hiredis' reader with our own objects, and inline commands.
 *
 * A request is an array of strings. The reader makes no reply objects of it: each string is copied behind the one
 * before into the connection's buffer, which is kept, so reading a command allocates nothing. (The reader's own
 * buffer cannot be pointed into: it is moved while a command is still incomplete.)
 *
 * Invariant: after a violation of the protocol c->broken says what is answered, in Redis' words, and nothing more is
 * read. Plain memory of the connection, its loop's thread only. */
#include "respd.h"

#include <hiredis/sds.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 64 << 10, LARGEST = 1 << 30, MANY = 64 };

static int broken(struct connection *c, const char *text)
{
    if (c->broken == NULL)
        c->broken = text;
    return -1;
}

/* --- arguments ------------------------------------------------------------------------------------ */

static bool room_for(struct connection *c, size_t bytes)
{
    if (c->count == c->end_room) {
        size_t room = c->end_room == 0 ? 8 : c->end_room * 2;
        size_t *end = realloc(c->end, room * sizeof *end);
        if (end == NULL)
            return false;
        c->end = end;
        c->end_room = room;
    }
    if (c->text_room - c->text_length < bytes) {
        size_t room = c->text_room * 2 < c->text_length + bytes ? c->text_length + bytes + 128
                                                                : c->text_room * 2;
        char *text = realloc(c->text, room);
        if (text == NULL)
            return false;
        c->text = text;
        c->text_room = room;
    }
    return true;
}

static bool add_argument(struct connection *c, const char *at, size_t length)
{
    if (c->text_length + length + c->count * sizeof *c->end > LARGEST) {
        broken(c, "ERR Protocol error: the request is longer than 1 GiB");
        return false;
    }
    if (!room_for(c, length)) {
        broken(c, "ERR out of memory for the arguments of a command");
        return false;
    }
    if (length != 0)
        memcpy(c->text + c->text_length, at, length);
    c->text_length += length;
    c->end[c->count++] = c->text_length;
    return true;
}

/* What large commands needed is not kept. */
static void forget_arguments(struct connection *c)
{
    c->count = c->text_length = 0;
    if (c->text_room > LONGEST_LINE) {
        free(c->text);
        c->text = NULL;
        c->text_room = 0;
    }
    if (c->end_room > MANY) {
        free(c->end);
        c->end = NULL;
        c->end_room = 0;
    }
}

/* --- hiredis' reader ------------------------------------------------------------------------------ */

/* Redis wants '$' there. */
static void *wrong_type(const redisReadTask *task, char type)
{
    struct connection *c = task->privdata;
    if (c->broken == NULL) {
        snprintf(c->broken_text, sizeof c->broken_text,
                 "ERR Protocol error: expected '$', got '%c'", type);
        c->broken = c->broken_text;
    }
    return c;
}

static void *on_string(const redisReadTask *task, char *text, size_t length)
{
    struct connection *c = task->privdata;
    if (task->type != REDIS_REPLY_STRING)
        return wrong_type(task, task->type == REDIS_REPLY_STATUS ? '+' : '-');
    if (c->broken == NULL)
        add_argument(c, text, length);
    return c;
}

static void *on_array(const redisReadTask *task, int elements)
{
    (void)elements;
    return task->parent == NULL ? task->privdata : wrong_type(task, '*');
}

static void *on_integer(const redisReadTask *task, long long value)
{
    (void)value;
    return wrong_type(task, ':');
}

/* "*-1" is a request of nothing, "$-1" an error. */
static void *on_nil(const redisReadTask *task)
{
    struct connection *c = task->privdata;
    if (task->parent != NULL)
        broken(c, "ERR Protocol error: invalid bulk length");
    return c;
}

static void on_free(void *object)
{
    (void)object;
}

redisReplyObjectFunctions protocol_functions = {on_string, on_array, on_integer, on_nil, on_free};

/* What hiredis calls wrong, in Redis' words. */
static int reader_failed(struct connection *c)
{
    const char *said = c->reader->errstr, *got = strstr(said, "got \"");
    if (strstr(said, "ulti-bulk") != NULL)
        return broken(c, "ERR Protocol error: invalid multibulk length");
    if (strstr(said, "ulk string") != NULL)
        return broken(c, "ERR Protocol error: invalid bulk length");
    if (got != NULL) {
        snprintf(c->broken_text, sizeof c->broken_text,
                 "ERR Protocol error: expected '$', got '%c'",
                 isprint((unsigned char)got[5]) ? got[5] : '?');
        return broken(c, c->broken_text);
    }
    return broken(c, "ERR Protocol error: the request cannot be read");
}

/* hiredis waits for the rest of a line or a string however long it says it is: stop what is too long. It has read
 * the item's type, and stands before the number. */
static int too_long(struct connection *c)
{
    redisReader *r = c->reader;
    const char *at = r->buf + r->pos;
    size_t left = r->len - r->pos;
    const char *end = memchr(at, '\r', left < LONGEST_LINE ? left : LONGEST_LINE);
    int type = r->ridx >= 0 ? r->rstack[r->ridx].type : -1;
    long long length;
    if (end == NULL && left >= LONGEST_LINE)
        return broken(c, type == REDIS_REPLY_STRING
                             ? "ERR Protocol error: too big bulk count string"
                             : "ERR Protocol error: too big mbulk count string");
    if (end != NULL && type == REDIS_REPLY_STRING &&
        parse_integer((struct bytes){at, (size_t)(end - at)}, &length) && length >= LONGEST)
        return broken(c, "ERR Protocol error: invalid bulk length");
    return 0;
}

/* --- inline commands ------------------------------------------------------------------------------ */

static int hex(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10
                                        : -1;
}

/* One character of a string in double quotes; *at is left behind it. */
static char unescape(const char **at, const char *end)
{
    static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
    const char *p = *at;
    if (*p != '\\' || end - p < 2) {
        *at = p + 1;
        return *p;
    }
    if (end - p >= 4 && p[1] == 'x' && hex(p[2]) >= 0 && hex(p[3]) >= 0) {
        *at = p + 4;
        return (char)(hex(p[2]) * 16 + hex(p[3]));
    }
    const char *known = strchr(from, p[1]);
    *at = p + 2;
    return known != NULL && p[1] != '\0' ? to[known - from] : p[1];
}

/* One word into c->text. NULL: quotes that do not match, or no memory. */
static const char *inline_word(struct connection *c, const char *at, const char *end)
{
    char quote = '\0';
    if (!room_for(c, (size_t)(end - at)))
        return NULL;
    for (; at < end && (quote != '\0' || !isspace((unsigned char)*at));) {
        if (quote == '\0' && (*at == '"' || *at == '\'')) {
            quote = *at++;
        } else if (quote != '\0' && *at == quote) {
            if (at + 1 < end && !isspace((unsigned char)at[1]))
                return NULL;
            quote = '\0';
            at++;
        } else if (quote == '\'' && end - at >= 2 && at[0] == '\\' && at[1] == '\'') {
            c->text[c->text_length++] = '\'';
            at += 2;
        } else {
            c->text[c->text_length++] = quote == '"' ? unescape(&at, end) : *at++;
        }
    }
    c->end[c->count++] = c->text_length;
    return quote == '\0' ? at : NULL;
}

/* What is typed by hand: words of a line. */
static int inline_command(struct connection *c)
{
    redisReader *r = c->reader;
    const char *at = r->buf + r->pos, *line = at;
    size_t left = r->len - r->pos;
    const char *end = memchr(at, '\n', left);
    if (end == NULL)
        return left > LONGEST_LINE ? broken(c, "ERR Protocol error: too big inline request") : 0;
    size_t whole = (size_t)(end - line) + 1;
    end -= end > at && end[-1] == '\r';
    for (;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at >= end)
            break;
        if ((at = inline_word(c, at, end)) == NULL)
            return broken(c, "ERR Protocol error: unbalanced quotes in request");
    }
    r->pos += whole;
    if (r->pos >= 1024 || r->pos == r->len) {
        sdsrange(r->buf, (ssize_t)r->pos, -1);
        r->pos = 0;
        r->len = sdslen(r->buf);
    }
    return 1;
}

/* Empty requests are passed over. */
int protocol_next(struct connection *c)
{
    redisReader *r = c->reader;
    for (;;) {
        void *request = NULL;
        int got = 1;
        if (r->ridx == -1) {
            forget_arguments(c);
            if (r->pos == r->len)
                return 0;
            if (r->buf[r->pos] != '*') {
                if ((got = inline_command(c)) <= 0)
                    return got;
                if (c->count != 0)
                    return 1;
                continue;
            }
        }
        if (redisReaderGetReply(r, &request) != REDIS_OK)
            return reader_failed(c);
        if (c->broken != NULL)
            return -1;
        if (request == NULL)
            return too_long(c);
        if (c->count != 0)
            return 1;
    }
}
