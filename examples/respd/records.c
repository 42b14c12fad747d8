/* examples/respd/records.c - the objects a table refers to, their types, and the hash of keys.
 *
 * Invariant: a record's key never changes and lies in the record, so a string is one object without references,
 * which the collector marks and never reads. A record is owned by the one table that refers to it, and lies on the
 * node of the loop that made it. No locks. */
#include "respd.h"

#include <stdlib.h>
#include <string.h>

static hearth_status register_record(struct server *server)
{
    hearth_type_info string = {.struct_size = sizeof string,
                               .name = "string",
                               .size = offsetof(struct record, is),
                               .flags = HEARTH_TYPE_LEAF,
                               .element_size = 1};
    hearth_type_info container = {.struct_size = sizeof container,
                                  .name = "container",
                                  .size = offsetof(struct record, is.of.key),
                                  .ref_bitmap = 1u << (offsetof(struct record, is) / 8),
                                  .element_size = 1};
    hearth_status status = hearth_type_register(server->heap, &string, &server->string);
    if (status == HEARTH_OK)
        status = hearth_type_register(server->heap, &container, &server->container);
    return status;
}

/* Tables remember stores slot by slot: they are big and updated in few places. */
hearth_status records_register(struct server *server)
{
    hearth_heap *heap = server->heap;
    hearth_type_info table = {.struct_size = sizeof table,
                              .name = "table",
                              .flags = HEARTH_TYPE_CARDS,
                              .element_size = sizeof(struct slot),
                              .element_bitmap = 1};
    hearth_type_info pack = {.struct_size = sizeof pack,
                             .name = "pack",
                             .size = sizeof(struct pack),
                             .flags = HEARTH_TYPE_LEAF,
                             .element_size = 1};
    hearth_status status = register_record(server);
    if (status == HEARTH_OK)
        status = hearth_type_fixed(heap, "dict", sizeof(struct dict), 3, &server->dict);
    if (status == HEARTH_OK)
        status = hearth_type_register(heap, &table, &server->table);
    if (status == HEARTH_OK)
        status = hearth_type_fixed(heap, "list", sizeof(struct list), 1, &server->list);
    if (status == HEARTH_OK)
        status = hearth_type_refs(heap, "ring", &server->ring);
    if (status == HEARTH_OK)
        status = hearth_type_register(heap, &pack, &server->pack);
    return status;
}

static char *text_of(const struct record *record)
{
    return (char *)record + (record->kind == STRING ? offsetof(struct record, is)
                                                    : offsetof(struct record, is.of.key));
}

struct bytes record_key(const struct record *record)
{
    return (struct bytes){text_of(record), record->key_length};
}

struct bytes record_value(const struct record *record)
{
    return (struct bytes){text_of(record) + record->key_length, record->value_length};
}

size_t record_room(struct worker *w, const struct record *record)
{
    return hearth_length(w->server->heap, record);
}

/* `room` bytes for the value, at least its length. */
struct record *record_new(struct worker *w, struct bytes key, struct bytes value, size_t room)
{
    size_t bytes = key.length + (room > value.length ? room : value.length);
    struct record *record = array_new(w, w->server->string, bytes, 1);
    if (record == NULL)
        return NULL;
    record->key_length = (uint32_t)key.length;
    record->kind = STRING;
    record->value_length = (uint32_t)value.length;
    memcpy(text_of(record), key.at, key.length);
    if (value.length != 0)
        memcpy(text_of(record) + key.length, value.at, value.length);
    return record;
}

/* A record of an empty list, set or hash. */
struct record *container_new(struct worker *w, struct bytes key, enum kind kind)
{
    HEARTH_FRAME(w->me, f, 1);
    f.ref[0] = kind == LIST ? (void *)list_new(w) : (void *)dict_new(w);
    struct record *record = NULL;
    if (f.ref[0] != NULL)
        record = hearth_alloc_array(w->me, w->server->container, key.length);
    if (record != NULL) {
        record->key_length = (uint32_t)key.length;
        record->kind = kind;
        hearth_store_init(&record->is.of.value, f.ref[0]);
        memcpy(text_of(record), key.at, key.length);
    }
    HEARTH_FRAME_END(w->me, f);
    return record;
}

bool keep(struct worker *w, void *object)
{
    if (object == NULL)
        return false;
    if (w->kept_count == w->kept_room) {
        size_t room = w->kept_room == 0 ? 64 : w->kept_room * 2;
        void **more = realloc(w->kept, room * sizeof *more);
        if (more == NULL)
            return false;
        w->kept = more;
        w->kept_room = room;
    }
    w->kept[w->kept_count++] = object;
    return true;
}

/* Multiply two words and fold the product: every bit of both decides about every bit of the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Seeded, so that nobody who does not know the seed can choose keys that meet. */
uint64_t hash_bytes(uint64_t seed, struct bytes bytes)
{
    const char *at = bytes.at;
    uint64_t hash = fold(seed ^ bytes.length, 0xa0761d6478bd642fu), word;
    size_t left = bytes.length;
    for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = fold(hash ^ word, seed ^ 0xe7037ed1a0b428dbu);
    }
    word = 0;
    if (left != 0)
        memcpy(&word, at, left);
    hash = fold(hash ^ word, seed ^ 0x8ebc6af09c88c6e3u);
    return fold(hash ^ 0x589965cc75374cc3u, seed | 1);
}
