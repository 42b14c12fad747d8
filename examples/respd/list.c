/* examples/respd/list.c - a list: a ring of packs, each a few KiB of elements one behind the other.
 *
 * An element is its length, its bytes, its length again, so that a pack can be read from both ends. A push writes
 * into the pack at that end; packs double up to a page, then another one is begun. So a list of a million
 * short elements is a few thousand objects that the collector never reads (Redis' quicklists of
 * listpacks have the same shape).
 *
 * Invariants: packs first .. first + packs - 1 of the ring exist and hold at least one element each, all other
 * places are NULL; length is the sum of their counts. One thread at a time. A pack lies on the node of
 * the thread that began it. */
#include "respd.h"

#include <string.h>

enum {
    AROUND = 2 * sizeof(uint32_t), /* bytes of an element besides its own */
    SMALL_CELL = 128,              /* cells of the first pack ...         */
    LARGE_CELL = 4096,             /* ... and of the largest ordinary one */
    OVERHEAD = HEARTH_HEADER + (int)sizeof(struct pack),
};

struct list *list_new(struct worker *w)
{
    return hearth_alloc(w->me, w->server->list, sizeof(struct list));
}

static void **place(const struct list *list, uint32_t i)
{
    return (void **)list->ring + ((list->first + i) & (list->room - 1));
}

static void set_place(struct worker *w, struct list *list, uint32_t i, void *pack)
{
    hearth_store(w->me, list->ring, place(list, i), pack);
}

/* Room for another pack in the ring; one that is mostly empty becomes smaller. A safepoint. */
static bool ring_reserve(struct worker *w, struct list *list)
{
    uint32_t size = list->room, wanted = 1;
    if (list->packs < size && (size <= 8 || list->packs >= size / 8))
        return true;
    while (wanted < 2 * list->packs)
        wanted *= 2;
    void **ring = array_new(w, w->server->ring, wanted, sizeof(void *));
    if (ring == NULL)
        return list->packs < size;
    for (uint32_t i = 0; i < list->packs; i++)
        hearth_store(w->me, ring, &ring[i], *place(list, i));
    hearth_store(w->me, list, &list->ring, ring);
    list->room = wanted;
    list->first = 0;
    return true;
}

/* A pack with room for `bytes` at one end, and what `old`, which is in the list or NULL, holds. A safepoint. */
static struct pack *pack_new(struct worker *w, const struct pack *old, size_t bytes, bool front)
{
    uint32_t used = old == NULL ? 0 : old->end - old->begin;
    size_t cell = SMALL_CELL, wanted = bytes + used + OVERHEAD;
    while (cell < LARGE_CELL && (cell < wanted || (old != NULL && cell <= old->room + OVERHEAD)))
        cell *= 2;
    if (cell < wanted)
        cell = wanted;
    size_t room = cell - OVERHEAD;
    struct pack *pack = array_new(w, w->server->pack, room, 1);
    if (pack == NULL)
        return NULL;
    pack->room = (uint32_t)room;
    pack->begin = front ? pack->room - used : 0;
    pack->end = pack->begin + used;
    if (old != NULL) {
        pack->count = old->count;
        memcpy(pack->bytes + pack->begin, old->bytes + old->begin, used);
    }
    return pack;
}

static void write_element(struct pack *pack, bool front, struct bytes element)
{
    uint32_t length = (uint32_t)element.length, whole = length + AROUND;
    char *at = pack->bytes + (front ? pack->begin - whole : pack->end);
    memcpy(at, &length, sizeof length);
    if (length != 0)
        memcpy(at + sizeof length, element.at, length);
    memcpy(at + sizeof length + length, &length, sizeof length);
    if (front)
        pack->begin -= whole;
    else
        pack->end += whole;
    pack->count++;
}

static bool has_room(const struct pack *pack, bool front, size_t bytes)
{
    return (front ? pack->begin : pack->room - pack->end) >= bytes;
}

/* The pack at that end, with room: the present one, a larger copy of it, or a new one. */
static struct pack *pack_for(struct worker *w, struct list *list, bool front, size_t bytes)
{
    uint32_t end = front || list->packs == 0 ? 0 : list->packs - 1;
    struct pack *pack = list->packs == 0 ? NULL : *place(list, end), *other;
    if (pack != NULL && has_room(pack, front, bytes))
        return pack;
    if (pack != NULL && pack->room + OVERHEAD < LARGE_CELL &&
        pack->end - pack->begin + bytes + OVERHEAD <= LARGE_CELL) {
        other = pack_new(w, pack, bytes, front);
        if (other != NULL)
            set_place(w, list, end, other);
        return other;
    }
    if (!ring_reserve(w, list) || (other = pack_new(w, NULL, bytes, front)) == NULL)
        return NULL;
    if (front)
        list->first--; /* modulo the size of the ring */
    list->packs++;
    set_place(w, list, front ? 0 : list->packs - 1, other);
    return other;
}

bool list_push(struct worker *w, struct list *list, bool front, struct bytes element)
{
    struct pack *pack = pack_for(w, list, front, element.length + AROUND);
    if (pack == NULL)
        return false;
    write_element(pack, front, element);
    list->length++;
    return true;
}

static struct bytes element_at(const struct pack *pack, uint32_t at)
{
    uint32_t length;
    memcpy(&length, pack->bytes + at, sizeof length);
    return (struct bytes){pack->bytes + at + sizeof length, length};
}

struct bytes list_pop(struct worker *w, struct list *list, bool front)
{
    uint32_t end = front ? 0 : list->packs - 1, last;
    struct pack *pack = *place(list, end);
    struct bytes element;
    if (front) {
        element = element_at(pack, pack->begin);
        pack->begin += (uint32_t)element.length + AROUND;
    } else {
        memcpy(&last, pack->bytes + pack->end - sizeof last, sizeof last);
        pack->end -= last + AROUND;
        element = element_at(pack, pack->end);
    }
    list->length--;
    if (--pack->count == 0) {
        set_place(w, list, end, NULL);
        list->first += front;
        list->packs--;
    }
    return element;
}

void list_range(struct worker *w, const struct list *list, uint64_t from, uint64_t to, list_fn *fn)
{
    uint64_t passed = 0;
    for (uint32_t i = 0; i < list->packs && passed <= to; i++) {
        const struct pack *pack = *place(list, i);
        uint32_t at = pack->begin;
        if (passed + pack->count > from)
            for (uint64_t n = passed; n < passed + pack->count && n <= to; n++) {
                struct bytes element = element_at(pack, at);
                if (n >= from)
                    fn(w, element);
                at += (uint32_t)element.length + AROUND;
            }
        passed += pack->count;
        hearth_safepoint(w->me);
    }
}
