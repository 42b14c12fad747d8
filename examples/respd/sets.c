/* examples/respd/sets.c - commands on sets: a dict of records without values.
 *
 * Invariant: new members are made and kept before the first is added, so SADD is done wholly or not at all. Under
 * the lock of the key's shard. */
#include "respd.h"

static void sadd(struct worker *w, int count, struct bytes *argument)
{
    bool is_new;
    long long added = 0;
    struct record *set = container_open(w, argument[1], SET, &is_new);
    if (set == NULL)
        return;
    size_t first = w->kept_count;
    bool made = dict_reserve(w, container_of(set), (uint64_t)count - 2);
    for (int i = 2; i < count && made; i++) {
        if (dict_find(container_of(set), argument[i], store_hash(w, argument[i])) == NULL)
            made = keep(w, record_new(w, argument[i], (struct bytes){NULL, 0}, 0));
    }
    if (!made) {
        command_no_memory(w);
        return;
    }
    for (size_t i = first; i < w->kept_count; i++) {
        struct record *member = w->kept[i];
        added += dict_put(w, container_of(set), member, store_hash(w, record_key(member))) == NULL;
    }
    container_commit(w, set, is_new);
    reply_integer(w, added);
}

static void srem(struct worker *w, int count, struct bytes *argument)
{
    struct record *set;
    long long removed = 0;
    if (!container_find(w, argument[1], SET, &set))
        return;
    for (int i = 2; i < count && set != NULL; i++)
        removed +=
            dict_remove(w, container_of(set), argument[i], store_hash(w, argument[i])) != NULL;
    if (set != NULL)
        container_shrunk(w, argument[1], set);
    reply_integer(w, removed);
}

static void sismember(struct worker *w, int count, struct bytes *argument)
{
    struct record *set;
    (void)count;
    if (container_find(w, argument[1], SET, &set))
        reply_integer(w, set != NULL && dict_find(container_of(set), argument[2],
                                                  store_hash(w, argument[2])) != NULL);
}

static void scard(struct worker *w, int count, struct bytes *argument)
{
    struct record *set;
    (void)count;
    if (container_find(w, argument[1], SET, &set))
        reply_integer(w, set == NULL ? 0 : (long long)dict_count(container_of(set)));
}

static void show(struct worker *w, struct record *record, void *data)
{
    (void)data;
    reply_bytes(w, record_key(record));
}

static void smembers(struct worker *w, int count, struct bytes *argument)
{
    struct record *set;
    (void)count;
    if (!container_find(w, argument[1], SET, &set))
        return;
    reply_array(w, set == NULL ? 0 : (long long)dict_count(container_of(set)));
    if (set != NULL)
        dict_each(w, container_of(set), show, NULL);
}

const struct command set_commands[] = {
    {"sadd", -3, WRITES | CHANGES, sadd, 1, 1, 1}, {"srem", -3, CHANGES, srem, 1, 1, 1},
    {"sismember", 3, 0, sismember, 1, 1, 1},       {"scard", 2, 0, scard, 1, 1, 1},
    {"smembers", 2, 0, smembers, 1, 1, 1},         {0},
};
