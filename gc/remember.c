/* gc/remember.c - buffers of remembered objects. Own thread only, or world stopped; no locks. */
#include "gc/remember.h"

#include "topology/os.h"

bool hg_remember_room(struct hg_remembered *set)
{
    if (set->first != NULL && set->first->count < HG_REMEMBER_CHUNK)
        return true;
    struct hg_remember_chunk *chunk = ht_os_alloc(sizeof *chunk);
    if (chunk == NULL)
        return false;
    chunk->next = set->first;
    set->first = chunk;
    return true;
}

void hg_remember_add(struct hg_remembered *set, uintptr_t object)
{
    set->first->object[set->first->count++] = object;
    set->count++;
}

void hg_remember_move(struct hg_remembered *to, struct hg_remembered *from)
{
    if (from->first != NULL) {
        struct hg_remember_chunk *last = from->first;
        while (last->next != NULL)
            last = last->next;
        last->next = to->first;
        to->first = from->first;
    }
    to->count += from->count;
    from->first = NULL;
    from->count = 0;
}

void hg_remember_reset(struct hg_remembered *set)
{
    struct hg_remember_chunk *chunk = set->first;
    if (chunk != NULL) {
        struct hg_remembered rest = {chunk->next, 0};
        hg_remember_free(&rest);
        chunk->next = NULL;
        chunk->count = 0;
    }
    set->count = 0;
}

void hg_remember_free(struct hg_remembered *set)
{
    while (set->first != NULL) {
        struct hg_remember_chunk *next = set->first->next;
        ht_os_free(set->first);
        set->first = next;
    }
    set->count = 0;
}
