/* gc/leak_path.c - what holds an object that should be dead.
 *
 * Backwards from the object: if a root holds it, that ends the path; else the first live object that does is
 * taken, and so on, never the same twice. Each step walks the heap once; nothing is allocated. World stopped,
 * marks are those of the collection that runs. The path is one of many, not always the shortest. */
#include <stdio.h>
#include <string.h>

#include "gc/heap.h"
#include "gc/leaks.h"
#include "gc/trace.h"

struct hg_search {
    hearth_visitor visitor; /* first */
    hearth_heap *heap;
    uintptr_t path[HG_LEAK_HOLDERS + 1]; /* [0]: the object                      */
    int length;                          /* of the path                          */
    uintptr_t object;                    /* being visited                        */
    uintptr_t holder;                    /* 0: none found yet                    */
    void **slot;                         /* that holds it; NULL: none found      */
};

static void hg_search_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_search *search = (struct hg_search *)visitor;
    if (search->slot == NULL && (uintptr_t)*slot == search->path[search->length - 1])
        search->slot = slot;
}

static void hg_search_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_search *search = data;
    (void)mark;
    if (search->slot != NULL || !hg_reached(search->heap, object))
        return;
    for (int i = 0; i < search->length; i++)
        if (search->path[i] == object)
            return;
    if (ha_block_of(object)->kind == HA_LEAF)
        return;
    hg_visit_object(search->heap, object, &search->visitor);
    if (search->slot != NULL)
        search->holder = object;
}

static void hg_search_word(void *data, uintptr_t object)
{
    struct hg_search *search = data;
    if (object == search->path[search->length - 1])
        search->holder = object;
}

/* What kind of root holds the end of the path; NULL: none. */
static const char *hg_search_mutator(struct hg_search *search, struct hg_mutator *m)
{
    for (hearth_frame *frame = m->public.frames; frame != NULL; frame = frame->prev)
        for (size_t i = 0; i < frame->count; i++)
            hg_search_slot(&search->visitor, (void **)(frame + 1) + i);
    if (search->slot != NULL)
        return "a frame";
    for (struct hg_handles *page = m->handles; page != NULL; page = page->prev)
        for (size_t i = 0; i < page->count; i++)
            hg_search_slot(&search->visitor, &page->slot[i]);
    if (search->slot != NULL)
        return "a handle";
    hg_stack_scan(search->heap, m, hg_search_word, search);
    return search->holder != 0 ? "the stack" : NULL;
}

/* Append the root that holds the end of the path; false: there is none. */
static bool hg_search_root(struct hg_search *search, char *text, size_t size)
{
    for (struct hg_mutator *m = search->heap->mutators; m != NULL; m = m->next) {
        const char *kind = hg_search_mutator(search, m);
        if (kind != NULL) {
            snprintf(text, size, ", held by %s of mutator %p", kind, (void *)m);
            return true;
        }
    }
    hg_roots_visit(&search->heap->roots, &search->visitor);
    if (search->slot != NULL)
        snprintf(text, size, ", held by the root slot %p", (void *)search->slot);
    return search->slot != NULL;
}

void hg_leak_path(hearth_heap *heap, uintptr_t object, char *text, size_t size)
{
    struct hg_search search = {
        .visitor = {hg_search_slot}, .heap = heap, .path = {object}, .length = 1};
    text[0] = '\0';
    while (!hg_search_root(&search, text, size) && search.length <= HG_LEAK_HOLDERS) {
        hg_walk_marked(heap, hg_search_object, &search);
        if (search.slot == NULL) {
            snprintf(text, size, ", held by nothing that can be shown");
            return;
        }
        const struct hg_type *type =
            &heap->types.row[hg_header_type(*hearth_header_of((void *)search.holder))];
        int length = snprintf(text, size, ", held by offset %zu of %s %p",
                              (size_t)((uintptr_t)search.slot - search.holder), type->name,
                              (void *)search.holder);
        if (length < 0 || (size_t)length >= size)
            return;
        text += length;
        size -= (size_t)length;
        search.path[search.length++] = search.holder;
        search.holder = 0;
        search.slot = NULL;
    }
}
