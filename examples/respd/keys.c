/* examples/respd/keys.c - commands on keys of any kind, and on all of them.
 *
 * A key whose time has come is as good as gone: whoever meets it removes it. SCAN's cursor is the number of a shard
 * in the low bits and the cursor of that shard's table above. Under the locks of the keys' shards, or of all
 * of them. */
#include "respd.h"

#include <limits.h>
#include <stdio.h>

static const char *const kind_names[] = {"string", "list", "set", "hash"};

static void del(struct worker *w, int count, struct bytes *argument)
{
    long long removed = 0;
    for (int i = 1; i < count; i++)
        removed += store_delete(w, argument[i], store_hash(w, argument[i]));
    reply_integer(w, removed);
}

static void exists(struct worker *w, int count, struct bytes *argument)
{
    long long found = 0;
    for (int i = 1; i < count; i++)
        found += store_find(w, argument[i], store_hash(w, argument[i])) != NULL;
    reply_integer(w, found);
}

static void type(struct worker *w, int count, struct bytes *argument)
{
    struct record *record = store_find(w, argument[1], w->hash);
    (void)count;
    reply_status(w, record == NULL ? "none" : kind_names[record->kind]);
}

/* --- time to live --------------------------------------------------------------------------------- */

enum { IF_NONE = 1, IF_SOME = 2, IF_LATER = 4, IF_EARLIER = 8 };

static bool expire_flags(struct worker *w, int count, struct bytes *argument, unsigned *flags)
{
    static const char *const words[] = {"nx", "xx", "gt", "lt"};
    *flags = 0;
    for (int i = 3; i < count; i++) {
        unsigned bit = 0;
        while (bit < 4 && !is_word(argument[i], words[bit]))
            bit++;
        if (bit == 4) {
            reply_error(w, "ERR Unsupported option %.*s", (int)argument[i].length, argument[i].at);
            return false;
        }
        *flags |= 1u << bit;
    }
    if ((*flags & IF_NONE) && (*flags & ~(unsigned)IF_NONE)) {
        reply_error(w, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*flags & IF_LATER) && (*flags & IF_EARLIER)) {
        reply_error(w, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static bool expire_allowed(int64_t present, int64_t when, unsigned flags)
{
    if ((flags & IF_NONE) && present != 0)
        return false;
    if ((flags & IF_SOME) && present == 0)
        return false;
    if ((flags & IF_LATER) && (present == 0 || when <= present))
        return false;
    return !((flags & IF_EARLIER) && present != 0 && when >= present);
}

static void expire_in(struct worker *w, int count, struct bytes *argument, const char *name,
                      long long unit, int64_t base)
{
    unsigned flags;
    long long when;
    if (!expire_flags(w, count, argument, &flags))
        return;
    if (!parse_integer(argument[2], &when)) {
        reply_error(w, "ERR value is not an integer or out of range");
        return;
    }
    if (when > LLONG_MAX / unit || when < LLONG_MIN / unit || when * unit > LLONG_MAX - base) {
        reply_error(w, "ERR invalid expire time in '%s' command", name);
        return;
    }
    when = when * unit + base;
    struct record *record = store_find(w, argument[1], w->hash);
    if (record == NULL || !expire_allowed(record->expires, when, flags)) {
        reply_integer(w, 0);
        return;
    }
    if (when <= w->now)
        store_delete(w, argument[1], w->hash);
    else
        store_expire(w, record, w->hash, when);
    reply_integer(w, 1);
}

static void expire(struct worker *w, int count, struct bytes *argument)
{
    expire_in(w, count, argument, "expire", 1000, w->now);
}

static void pexpire(struct worker *w, int count, struct bytes *argument)
{
    expire_in(w, count, argument, "pexpire", 1, w->now);
}

static void expireat(struct worker *w, int count, struct bytes *argument)
{
    expire_in(w, count, argument, "expireat", 1000, 0);
}

static void pexpireat(struct worker *w, int count, struct bytes *argument)
{
    expire_in(w, count, argument, "pexpireat", 1, 0);
}

static void time_left(struct worker *w, struct bytes key, bool in_seconds)
{
    struct record *record = store_find(w, key, w->hash);
    if (record == NULL || record->expires == 0) {
        reply_integer(w, record == NULL ? -2 : -1);
        return;
    }
    int64_t left = record->expires - w->now;
    reply_integer(w, in_seconds ? left / 1000 + (left % 1000 >= 500) : left);
}

static void ttl(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    time_left(w, argument[1], true);
}

static void pttl(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    time_left(w, argument[1], false);
}

static void persist(struct worker *w, int count, struct bytes *argument)
{
    struct record *record = store_find(w, argument[1], w->hash);
    (void)count;
    bool had = record != NULL && record->expires != 0;
    if (had)
        store_expire(w, record, w->hash, 0);
    reply_integer(w, had);
}

/* --- all keys ------------------------------------------------------------------------------------- */

struct search {
    struct bytes pattern;
    int kind; /* -1: any, -2: none                    */
    long long shown;
    uint64_t seen;
};

static void show(struct worker *w, struct record *record, void *data)
{
    struct search *search = data;
    struct bytes key = record_key(record);
    search->seen++;
    if (store_expired(w, record) || (search->kind != -1 && search->kind != (int)record->kind) ||
        (search->pattern.at != NULL && !matches(search->pattern, key)))
        return;
    search->shown++;
    reply_bytes(w, key);
}

static void keys(struct worker *w, int count, struct bytes *argument)
{
    struct search search = {.pattern = argument[1], .kind = -1};
    size_t at = w->reply_length;
    (void)count;
    for (int i = 0; i < SHARDS; i++)
        dict_each(w, w->server->shard[i].dict, show, &search);
    reply_array_at(w, at, search.shown);
}

static bool scan_options(struct worker *w, int count, struct bytes *argument, struct search *search,
                         long long *wanted)
{
    for (int i = 2; i < count; i += 2) {
        if (i + 1 < count && is_word(argument[i], "count")) {
            if (!parse_integer(argument[i + 1], wanted)) {
                reply_error(w, "ERR value is not an integer or out of range");
                return false;
            }
            if (*wanted >= 1)
                continue;
        } else if (i + 1 < count && is_word(argument[i], "match")) {
            search->pattern = argument[i + 1];
            continue;
        } else if (i + 1 < count && is_word(argument[i], "type")) {
            for (search->kind = HASH; search->kind >= 0; search->kind--)
                if (is_word(argument[i + 1], kind_names[search->kind]))
                    break;
            search->kind = search->kind < 0 ? -2 : search->kind;
            continue;
        }
        reply_syntax(w);
        return false;
    }
    return true;
}

static bool parse_cursor(struct bytes text, uint64_t *out)
{
    uint64_t cursor = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned digit = (unsigned char)text.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(cursor, 10u, &cursor) ||
            __builtin_add_overflow(cursor, digit, &cursor))
            return false;
    }
    *out = cursor;
    return text.length != 0;
}

/* Goes on through slots and shards until enough keys were seen, or ten times as many slots. */
static uint64_t scan_on(struct worker *w, uint64_t cursor, uint64_t wanted, struct search *search)
{
    uint64_t shard = cursor & (SHARDS - 1), at = cursor >> SHARD_BITS, steps = 0;
    while (search->seen < wanted && steps / 10 < wanted) {
        struct dict *d = w->server->shard[shard].dict;
        at = dict_count(d) == 0 ? 0 : dict_scan(w, d, at, show, search);
        steps++;
        if (at == 0 && ++shard == SHARDS)
            return 0;
    }
    return at << SHARD_BITS | shard;
}

static void scan(struct worker *w, int count, struct bytes *argument)
{
    struct search search = {.kind = -1};
    uint64_t cursor;
    long long wanted = 10;
    char text[24];
    if (!parse_cursor(argument[1], &cursor)) {
        reply_error(w, "ERR invalid cursor");
        return;
    }
    if (!scan_options(w, count, argument, &search, &wanted))
        return;
    reply_array(w, 2);
    size_t at = w->reply_length;
    cursor = scan_on(w, cursor, (uint64_t)wanted, &search);
    reply_array_at(w, at, search.shown);
    snprintf(text, sizeof text, "%llu", (unsigned long long)cursor);
    reply_string_at(w, at, text);
}

static void dbsize(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    (void)argument;
    reply_integer(w, (long long)store_count(w->server, NULL));
}

static void flushall(struct worker *w, int count, struct bytes *argument)
{
    if (count > 2 ||
        (count == 2 && !is_word(argument[1], "sync") && !is_word(argument[1], "async"))) {
        reply_syntax(w);
        return;
    }
    store_flush(w);
    reply_ok(w);
}

const struct command key_commands[] = {
    {"del", -2, CHANGES, del, 1, -1, 1},
    {"unlink", -2, CHANGES, del, 1, -1, 1},
    {"exists", -2, 0, exists, 1, -1, 1},
    {"touch", -2, 0, exists, 1, -1, 1},
    {"type", 2, 0, type, 1, 1, 1},
    {"expire", -3, CHANGES, expire, 1, 1, 1},
    {"pexpire", -3, CHANGES, pexpire, 1, 1, 1},
    {"expireat", -3, CHANGES, expireat, 1, 1, 1},
    {"pexpireat", -3, CHANGES, pexpireat, 1, 1, 1},
    {"ttl", 2, 0, ttl, 1, 1, 1},
    {"pttl", 2, 0, pttl, 1, 1, 1},
    {"persist", 2, CHANGES, persist, 1, 1, 1},
    {"keys", 2, ALL_SHARDS, keys, 0, 0, 0},
    {"scan", -2, ALL_SHARDS, scan, 0, 0, 0},
    {"dbsize", 1, ALL_SHARDS, dbsize, 0, 0, 0},
    {"flushall", -1, ALL_SHARDS | CHANGES, flushall, 0, 0, 0},
    {"flushdb", -1, ALL_SHARDS | CHANGES, flushall, 0, 0, 0},
    {0},
};
