/* examples/respd/lists.c - commands on lists.
 *
 * Invariant: a push of several elements that runs out of memory takes back those it has pushed. Under the lock of
 * the key's shard. */
#include "respd.h"

#include <limits.h>

static void push(struct worker *w, int count, struct bytes *argument, bool front)
{
    bool is_new;
    struct record *record = container_open(w, argument[1], LIST, &is_new);
    if (record == NULL)
        return;
    struct list *list = container_of(record);
    for (int i = 2; i < count; i++) {
        if (list_push(w, list, front, argument[i]))
            continue;
        while (--i >= 2)
            list_pop(w, list, front);
        command_no_memory(w);
        return;
    }
    container_commit(w, record, is_new);
    reply_integer(w, (long long)list->length);
}

static void lpush(struct worker *w, int count, struct bytes *argument)
{
    push(w, count, argument, true);
}

static void rpush(struct worker *w, int count, struct bytes *argument)
{
    push(w, count, argument, false);
}

static void pop(struct worker *w, int count, struct bytes *argument, bool front)
{
    struct record *record;
    long long wanted = 1;
    if (count > 3) {
        reply_error(w, "ERR wrong number of arguments for '%s' command", front ? "lpop" : "rpop");
        return;
    }
    if (count == 3 && (!parse_integer(argument[2], &wanted) || wanted < 0)) {
        reply_error(w, "ERR value is out of range, must be positive");
        return;
    }
    if (!container_find(w, argument[1], LIST, &record))
        return;
    if (record == NULL) {
        reply_text(w, count == 3 ? "*-1\r\n" : "$-1\r\n");
        return;
    }
    struct list *list = container_of(record);
    if ((unsigned long long)wanted > list->length)
        wanted = (long long)list->length;
    if (count == 3)
        reply_array(w, wanted);
    while (wanted-- > 0)
        reply_bytes(w, list_pop(w, list, front));
    if (list->length == 0)
        store_delete(w, argument[1], w->hash);
}

static void lpop(struct worker *w, int count, struct bytes *argument)
{
    pop(w, count, argument, true);
}

static void rpop(struct worker *w, int count, struct bytes *argument)
{
    pop(w, count, argument, false);
}

static void llen(struct worker *w, int count, struct bytes *argument)
{
    struct record *record;
    (void)count;
    if (container_find(w, argument[1], LIST, &record))
        reply_integer(w, record == NULL ? 0
                                        : (long long)((struct list *)container_of(record))->length);
}

static void lrange(struct worker *w, int count, struct bytes *argument)
{
    struct record *record;
    long long from, to;
    (void)count;
    if (!parse_integer(argument[2], &from) || !parse_integer(argument[3], &to)) {
        reply_error(w, "ERR value is not an integer or out of range");
        return;
    }
    if (!container_find(w, argument[1], LIST, &record))
        return;
    struct list *list = record == NULL ? NULL : container_of(record);
    long long length = list == NULL ? 0 : (long long)list->length;
    from = from < -length ? 0 : from < 0 ? from + length : from;
    to = to < -length ? -1 : to < 0 ? to + length : to >= length ? length - 1 : to;
    if (from > to || from >= length) {
        reply_array(w, 0);
        return;
    }
    reply_array(w, to - from + 1);
    list_range(w, list, (uint64_t)from, (uint64_t)to, reply_bytes);
}

static void lindex(struct worker *w, int count, struct bytes *argument)
{
    struct record *record;
    long long index;
    (void)count;
    if (!container_find(w, argument[1], LIST, &record))
        return;
    if (record == NULL) {
        reply_nil(w);
        return;
    }
    if (!parse_integer(argument[2], &index)) {
        reply_error(w, "ERR value is not an integer or out of range");
        return;
    }
    struct list *list = container_of(record);
    long long length = (long long)list->length;
    if (index < -length || index >= length) {
        reply_nil(w);
        return;
    }
    index += index < 0 ? length : 0;
    list_range(w, list, (uint64_t)index, (uint64_t)index, reply_bytes);
}

const struct command list_commands[] = {
    {"lpush", -3, WRITES | CHANGES, lpush, 1, 1, 1},
    {"rpush", -3, WRITES | CHANGES, rpush, 1, 1, 1},
    {"lpop", -2, CHANGES, lpop, 1, 1, 1},
    {"rpop", -2, CHANGES, rpop, 1, 1, 1},
    {"llen", 2, 0, llen, 1, 1, 1},
    {"lrange", 4, 0, lrange, 1, 1, 1},
    {"lindex", 3, 0, lindex, 1, 1, 1},
    {0},
};
