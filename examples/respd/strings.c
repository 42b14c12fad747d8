/* examples/respd/strings.c - commands on strings: SET and its kin, MGET, MSET, INCR, APPEND.
 *
 * A string is one record. It is replaced by a new record, except where a number or what is appended fits into the
 * room it has. Invariant: memory is reserved and the record made before anything in the store changes, and
 * between making and storing it there is no safepoint, or it is kept. Under the lock of the key's shard. */
#include "respd.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The string of a key: false if the key holds something else, which has been answered then. */
static bool find_string(struct worker *w, struct bytes key, uint64_t hash, struct record **out)
{
    *out = store_find(w, key, hash);
    if (*out == NULL || (*out)->kind == STRING)
        return true;
    reply_wrong_type(w);
    return false;
}

/* Key = value. False: no memory, answered. */
static bool put_string(struct worker *w, struct bytes key, struct bytes value, int64_t expires)
{
    struct record *record = NULL;
    if (store_reserve(w, w->hash, 1))
        record = record_new(w, key, value, 0);
    if (record == NULL) {
        command_no_memory(w);
        return false;
    }
    record->expires = expires;
    store_put(w, record, w->hash);
    return true;
}

static void reply_record(struct worker *w, const struct record *record)
{
    if (record == NULL)
        reply_nil(w);
    else
        reply_bytes(w, record_value(record));
}

static void get(struct worker *w, int count, struct bytes *argument)
{
    struct record *record;
    (void)count;
    if (find_string(w, argument[1], w->hash, &record))
        reply_record(w, record);
}

static void strlen_(struct worker *w, int count, struct bytes *argument)
{
    struct record *record;
    (void)count;
    if (find_string(w, argument[1], w->hash, &record))
        reply_integer(w, record == NULL ? 0 : record->value_length);
}

/* --- SET ------------------------------------------------------------------------------------------ */

struct set_options {
    bool if_absent, if_present, returns_old, keeps_time;
    const char *unit; /* "ex", "px", "exat", "pxat"; NULL: no time                */
    struct bytes time;
    int64_t expires;
};

/* A time to live in units of `unit` ms, from now or absolute, as milliseconds since 1970. */
static bool read_time(struct worker *w, struct bytes text, const char *name, long long unit,
                      bool absolute, int64_t *out)
{
    long long value;
    if (!parse_integer(text, &value)) {
        reply_error(w, "ERR value is not an integer or out of range");
        return false;
    }
    if (value <= 0 || value > LLONG_MAX / unit ||
        (!absolute && value * unit > LLONG_MAX - w->now)) {
        reply_error(w, "ERR invalid expire time in '%s' command", name);
        return false;
    }
    *out = value * unit + (absolute ? 0 : w->now);
    return true;
}

static const char *unit_of(struct bytes word)
{
    static const char *const units[] = {"ex", "px", "exat", "pxat"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (is_word(word, units[i]))
            return units[i];
    return NULL;
}

/* Each may be given twice; the last counts. */
static bool set_option(struct worker *w, struct bytes *argument, int *i, int count,
                       struct set_options *o)
{
    struct bytes word = argument[*i];
    const char *unit = unit_of(word);
    if (is_word(word, "nx") && !o->if_present) {
        o->if_absent = true;
    } else if (is_word(word, "xx") && !o->if_absent) {
        o->if_present = true;
    } else if (is_word(word, "get")) {
        o->returns_old = true;
    } else if (is_word(word, "keepttl") && o->unit == NULL) {
        o->keeps_time = true;
    } else if (unit != NULL && !o->keeps_time && (o->unit == NULL || o->unit == unit) &&
               *i + 1 < count) {
        o->unit = unit;
        o->time = argument[++*i];
    } else {
        reply_syntax(w);
        return false;
    }
    return true;
}

static bool set_options(struct worker *w, int count, struct bytes *argument, struct set_options *o)
{
    for (int i = 3; i < count; i++)
        if (!set_option(w, argument, &i, count, o))
            return false;
    return o->unit == NULL || read_time(w, o->time, "set", o->unit[0] == 'e' ? 1000 : 1,
                                        o->unit[2] != '\0', &o->expires);
}

static void set(struct worker *w, int count, struct bytes *argument)
{
    struct set_options o = {0};
    struct record *old = NULL;
    if (count == 3) {
        if (put_string(w, argument[1], argument[2], 0))
            reply_ok(w);
        return;
    }
    if (!set_options(w, count, argument, &o))
        return;
    if (o.returns_old ? !find_string(w, argument[1], w->hash, &old)
                      : (old = store_find(w, argument[1], w->hash), false))
        return;
    bool refused = o.if_absent ? old != NULL : o.if_present && old == NULL;
    size_t start = w->reply_length;
    if (o.returns_old)
        reply_record(w, old);
    else if (refused)
        reply_nil(w);
    if (refused)
        return;
    if (o.keeps_time && old != NULL)
        o.expires = old->expires;
    size_t answered = w->reply_length;
    if (!put_string(w, argument[1], argument[2], o.expires)) {
        memmove(w->reply + start, w->reply + answered, w->reply_length - answered);
        w->reply_length -= answered - start;
    } else if (!o.returns_old) {
        reply_ok(w);
    }
}

static void set_for(struct worker *w, struct bytes *argument, const char *name, long long unit)
{
    int64_t expires;
    if (read_time(w, argument[2], name, unit, false, &expires) &&
        put_string(w, argument[1], argument[3], expires))
        reply_ok(w);
}

static void setex(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    set_for(w, argument, "setex", 1000);
}

static void psetex(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    set_for(w, argument, "psetex", 1);
}

static void setnx(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    if (store_find(w, argument[1], w->hash) != NULL)
        reply_integer(w, 0);
    else if (put_string(w, argument[1], argument[2], 0))
        reply_integer(w, 1);
}

static void getset(struct worker *w, int count, struct bytes *argument)
{
    struct record *old;
    (void)count;
    if (!find_string(w, argument[1], w->hash, &old))
        return;
    size_t start = w->reply_length;
    reply_record(w, old);
    size_t answered = w->reply_length;
    if (!put_string(w, argument[1], argument[2], 0)) {
        memmove(w->reply + start, w->reply + answered, w->reply_length - answered);
        w->reply_length -= answered - start;
    }
}

/* --- several -------------------------------------------------------------------------------------- */

static void mget(struct worker *w, int count, struct bytes *argument)
{
    reply_array(w, count - 1);
    for (int i = 1; i < count; i++) {
        struct record *record = store_find(w, argument[i], store_hash(w, argument[i]));
        reply_record(w, record != NULL && record->kind == STRING ? record : NULL);
    }
}

/* Everything is reserved and made before the first one is stored. */
static bool make_all(struct worker *w, int count, struct bytes *argument)
{
    uint64_t wanted[SHARDS] = {0};
    for (int i = 1; i < count; i += 2)
        wanted[store_hash(w, argument[i]) >> (64 - SHARD_BITS)]++;
    for (uint64_t i = 0; i < SHARDS; i++)
        if (wanted[i] != 0 && !store_reserve(w, i << (64 - SHARD_BITS), wanted[i]))
            return false;
    for (int i = 1; i < count; i += 2)
        if (!keep(w, record_new(w, argument[i], argument[i + 1], 0)))
            return false;
    return true;
}

static void mset(struct worker *w, int count, struct bytes *argument)
{
    if (count % 2 == 0) {
        reply_error(w, "ERR wrong number of arguments for 'mset' command");
        return;
    }
    if (!make_all(w, count, argument)) {
        command_no_memory(w);
        return;
    }
    for (int i = 1; i < count; i += 2)
        store_put(w, w->kept[i / 2], store_hash(w, argument[i]));
    reply_ok(w);
}

/* --- changing ------------------------------------------------------------------------------------- */

/* The value becomes `text`, in place if there is room. */
static bool change(struct worker *w, struct record *old, struct bytes key, struct bytes text)
{
    if (old == NULL || key.length + text.length > record_room(w, old))
        return put_string(w, key, text, old == NULL ? 0 : old->expires);
    memcpy((char *)record_value(old).at, text.at, text.length);
    old->value_length = (uint32_t)text.length;
    return true;
}

static void add(struct worker *w, struct bytes key, long long by)
{
    struct record *record;
    long long value = 0;
    char text[24];
    if (!find_string(w, key, w->hash, &record))
        return;
    if (record != NULL && !parse_integer(record_value(record), &value)) {
        reply_error(w, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        reply_error(w, "ERR increment or decrement would overflow");
        return;
    }
    int length = snprintf(text, sizeof text, "%lld", value);
    if (change(w, record, key, (struct bytes){text, (size_t)length}))
        reply_integer(w, value);
}

static void incr(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    add(w, argument[1], 1);
}

static void decr(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    add(w, argument[1], -1);
}

static void incrby(struct worker *w, int count, struct bytes *argument)
{
    long long by;
    (void)count;
    if (parse_integer(argument[2], &by))
        add(w, argument[1], by);
    else
        reply_error(w, "ERR value is not an integer or out of range");
}

static void decrby(struct worker *w, int count, struct bytes *argument)
{
    long long by;
    (void)count;
    if (!parse_integer(argument[2], &by))
        reply_error(w, "ERR value is not an integer or out of range");
    else if (by == LLONG_MIN)
        reply_error(w, "ERR decrement would overflow");
    else
        add(w, argument[1], -by);
}

/* A string that is appended to gets as much room again, up to a MiB, as Redis gives it. */
static void append(struct worker *w, int count, struct bytes *argument)
{
    struct record *old, *record = NULL;
    struct bytes key = argument[1], more = argument[2];
    (void)count;
    if (!find_string(w, key, w->hash, &old))
        return;
    size_t length = (old == NULL ? 0 : old->value_length) + more.length;
    if (length > LONGEST) {
        reply_error(w, "ERR string exceeds maximum allowed size (512MB)");
        return;
    }
    if (old == NULL || key.length + length > record_room(w, old)) {
        size_t spare = old == NULL ? 0 : length < MEBIBYTE ? length : MEBIBYTE;
        if (store_reserve(w, w->hash, 1))
            record = record_new(w, key, old == NULL ? more : record_value(old), length + spare);
        if (record == NULL) {
            command_no_memory(w);
            return;
        }
        record->expires = old == NULL ? 0 : old->expires;
        store_put(w, record, w->hash);
    }
    if (old != NULL) {
        record = record != NULL ? record : old;
        memcpy((char *)record_value(record).at + record->value_length, more.at, more.length);
        record->value_length = (uint32_t)length;
    }
    reply_integer(w, (long long)length);
}

const struct command string_commands[] = {
    {"get", 2, 0, get, 1, 1, 1},
    {"set", -3, WRITES | CHANGES, set, 1, 1, 1},
    {"setex", 4, WRITES | CHANGES, setex, 1, 1, 1},
    {"psetex", 4, WRITES | CHANGES, psetex, 1, 1, 1},
    {"setnx", 3, WRITES | CHANGES, setnx, 1, 1, 1},
    {"getset", 3, WRITES | CHANGES, getset, 1, 1, 1},
    {"mget", -2, 0, mget, 1, -1, 1},
    {"mset", -3, WRITES | CHANGES, mset, 1, -1, 2},
    {"strlen", 2, 0, strlen_, 1, 1, 1},
    {"incr", 2, WRITES | CHANGES, incr, 1, 1, 1},
    {"decr", 2, WRITES | CHANGES, decr, 1, 1, 1},
    {"incrby", 3, WRITES | CHANGES, incrby, 1, 1, 1},
    {"decrby", 3, WRITES | CHANGES, decrby, 1, 1, 1},
    {"append", 3, WRITES | CHANGES, append, 1, 1, 1},
    {0},
};
