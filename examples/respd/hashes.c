/* examples/respd/hashes.c - commands on hashes: a dict of records, field and value.
 *
 * Invariant: what HSET adds is made and kept before the first field changes, so it is done wholly or not at all.
 * Under the lock of the key's shard. */
#include "respd.h"

/* `count` arguments: field, value, field, value ... Returns how many fields are new, or -1: answered. */
static long long put_fields(struct worker *w, struct bytes key, int count, struct bytes *argument)
{
    bool is_new;
    long long added = 0;
    struct record *hash = container_open(w, key, HASH, &is_new);
    if (hash == NULL)
        return -1;
    size_t first = w->kept_count;
    bool made = dict_reserve(w, container_of(hash), (uint64_t)count / 2);
    for (int i = 0; i < count && made; i += 2)
        made = keep(w, record_new(w, argument[i], argument[i + 1], 0));
    if (!made) {
        command_no_memory(w);
        return -1;
    }
    for (int i = 0; i < count; i += 2)
        added += dict_put(w, container_of(hash), w->kept[first + (size_t)i / 2],
                          store_hash(w, argument[i])) == NULL;
    container_commit(w, hash, is_new);
    return added;
}

static void hset(struct worker *w, int count, struct bytes *argument)
{
    if (count % 2 != 0) {
        reply_error(w, "ERR wrong number of arguments for 'hset' command");
        return;
    }
    long long added = put_fields(w, argument[1], count - 2, argument + 2);
    if (added >= 0)
        reply_integer(w, added);
}

static void hmset(struct worker *w, int count, struct bytes *argument)
{
    if (count % 2 != 0)
        reply_error(w, "ERR wrong number of arguments for 'hmset' command");
    else if (put_fields(w, argument[1], count - 2, argument + 2) >= 0)
        reply_ok(w);
}

static struct record *field(struct worker *w, const struct record *hash, struct bytes name)
{
    return hash == NULL ? NULL : dict_find(container_of(hash), name, store_hash(w, name));
}

static void hsetnx(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash;
    (void)count;
    if (!container_find(w, argument[1], HASH, &hash))
        return;
    if (field(w, hash, argument[2]) != NULL)
        reply_integer(w, 0);
    else if (put_fields(w, argument[1], 2, argument + 2) >= 0)
        reply_integer(w, 1);
}

static void reply_field(struct worker *w, const struct record *hash, struct bytes name)
{
    const struct record *found = field(w, hash, name);
    if (found == NULL)
        reply_nil(w);
    else
        reply_bytes(w, record_value(found));
}

static void hget(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash;
    (void)count;
    if (container_find(w, argument[1], HASH, &hash))
        reply_field(w, hash, argument[2]);
}

static void hmget(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash;
    if (!container_find(w, argument[1], HASH, &hash))
        return;
    reply_array(w, count - 2);
    for (int i = 2; i < count; i++)
        reply_field(w, hash, argument[i]);
}

static void hexists(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash;
    (void)count;
    if (container_find(w, argument[1], HASH, &hash))
        reply_integer(w, field(w, hash, argument[2]) != NULL);
}

static void hstrlen(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash, *found;
    (void)count;
    if (!container_find(w, argument[1], HASH, &hash))
        return;
    found = field(w, hash, argument[2]);
    reply_integer(w, found == NULL ? 0 : found->value_length);
}

static void hlen(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash;
    (void)count;
    if (container_find(w, argument[1], HASH, &hash))
        reply_integer(w, hash == NULL ? 0 : (long long)dict_count(container_of(hash)));
}

static void hdel(struct worker *w, int count, struct bytes *argument)
{
    struct record *hash;
    long long removed = 0;
    if (!container_find(w, argument[1], HASH, &hash))
        return;
    for (int i = 2; i < count && hash != NULL; i++)
        removed +=
            dict_remove(w, container_of(hash), argument[i], store_hash(w, argument[i])) != NULL;
    if (hash != NULL)
        container_shrunk(w, argument[1], hash);
    reply_integer(w, removed);
}

/* --- all of it ------------------------------------------------------------------------------------ */

enum { KEYS = 1, VALUES = 2 };

static void show(struct worker *w, struct record *record, void *data)
{
    unsigned what = *(unsigned *)data;
    if (what & KEYS)
        reply_bytes(w, record_key(record));
    if (what & VALUES)
        reply_bytes(w, record_value(record));
}

static void show_all(struct worker *w, struct bytes key, unsigned what)
{
    struct record *hash;
    if (!container_find(w, key, HASH, &hash))
        return;
    uint64_t fields = hash == NULL ? 0 : dict_count(container_of(hash));
    reply_array(w, (long long)fields * (what == (KEYS | VALUES) ? 2 : 1));
    if (hash != NULL)
        dict_each(w, container_of(hash), show, &what);
}

static void hgetall(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    show_all(w, argument[1], KEYS | VALUES);
}

static void hkeys(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    show_all(w, argument[1], KEYS);
}

static void hvals(struct worker *w, int count, struct bytes *argument)
{
    (void)count;
    show_all(w, argument[1], VALUES);
}

const struct command hash_commands[] = {
    {"hset", -4, WRITES | CHANGES, hset, 1, 1, 1},
    {"hmset", -4, WRITES | CHANGES, hmset, 1, 1, 1},
    {"hsetnx", 4, WRITES | CHANGES, hsetnx, 1, 1, 1},
    {"hget", 3, 0, hget, 1, 1, 1},
    {"hmget", -3, 0, hmget, 1, 1, 1},
    {"hdel", -3, CHANGES, hdel, 1, 1, 1},
    {"hlen", 2, 0, hlen, 1, 1, 1},
    {"hexists", 3, 0, hexists, 1, 1, 1},
    {"hstrlen", 3, 0, hstrlen, 1, 1, 1},
    {"hgetall", 2, 0, hgetall, 1, 1, 1},
    {"hkeys", 2, 0, hkeys, 1, 1, 1},
    {"hvals", 2, 0, hvals, 1, 1, 1},
    {0},
};
