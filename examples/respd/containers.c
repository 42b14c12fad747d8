/* examples/respd/containers.c - keys that hold a list, a set or a hash: finding, making, dropping them.
 *
 * Invariant: a container in the store is never empty. A new one is kept (w->kept) until the command that makes it
 * can no longer fail, and stored then. Under the lock of the key's shard. */
#include "respd.h"

void *container_of(const struct record *record)
{
    return record->is.of.value;
}

/* False: the key holds something else, which is answered. */
bool container_find(struct worker *w, struct bytes key, enum kind kind, struct record **out)
{
    *out = store_find(w, key, w->hash);
    if (*out == NULL || (*out)->kind == (unsigned)kind)
        return true;
    reply_wrong_type(w);
    return false;
}

/* The container of the key, or a new one, kept but not stored: container_commit. NULL: answered. */
struct record *container_open(struct worker *w, struct bytes key, enum kind kind, bool *is_new)
{
    struct record *record;
    if (!container_find(w, key, kind, &record))
        return NULL;
    *is_new = record == NULL;
    if (record != NULL)
        return record;
    if (store_reserve(w, w->hash, 1))
        record = container_new(w, key, kind);
    if (record != NULL && keep(w, record))
        return record;
    command_no_memory(w);
    return NULL;
}

void container_commit(struct worker *w, struct record *record, bool is_new)
{
    if (is_new)
        store_put(w, record, w->hash);
}

/* After something was taken out of a set or a hash. A safepoint. */
void container_shrunk(struct worker *w, struct bytes key, struct record *record)
{
    struct dict *d = container_of(record);
    if (dict_count(d) == 0)
        store_delete(w, key, w->hash);
    else
        dict_tend(w, d, 16);
}
