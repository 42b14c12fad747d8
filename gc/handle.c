/* gc/handle.c - handle scopes: growable roots of one mutator.
 *
 * Handles live in pages that never move. A scope begins with a marker in the handle stack, as V8's do
 * with the limits they save; closing it pops everything down to its marker. Invariant: `handles` is
 * the newest page, pages behind it are full; as many markers lie in them as scopes are open, and
 * marker n names its depth n, so that a scope that is closed twice or out of order is found out.
 * Markers are no addresses: the collector passes them over. Own thread only; the collector reads
 * handles with the world stopped, so none are made in a native section. */
#include "gc/heap.h"

#include "topology/error.h"
#include "topology/os.h"

/* What a marker holds: bit 63 set (no user address has it), the scope's depth, a serial number. */
static void *hg_marker(size_t depth, uint32_t serial)
{
    return (void *)((uintptr_t)1 << 63 | (uintptr_t)(depth & 0x7fffffff) << 32 | serial);
}

static size_t hg_marker_depth(const void *marker)
{
    return (uintptr_t)marker >> 32 & 0x7fffffff;
}

/* Room for one more; false: no memory. */
static bool hg_handles_room(struct hg_mutator *m)
{
    if (m->handles != NULL && m->handles->count < HG_HANDLES)
        return true;
    struct hg_handles *page = m->spare != NULL ? m->spare : ht_os_alloc(sizeof *page);
    if (page == NULL)
        return false;
    m->spare = NULL;
    page->count = 0;
    page->prev = m->handles;
    m->handles = page;
    return true;
}

/* Free pages from the newest down to `last`, keeping one of them as the spare. */
static void hg_handles_drop(struct hg_mutator *m, struct hg_handles *last)
{
    while (m->handles != last) {
        struct hg_handles *page = m->handles;
        m->handles = page->prev;
        ht_os_free(m->spare);
        m->spare = page;
    }
}

void hg_handles_free(struct hg_mutator *m)
{
    hg_handles_drop(m, NULL);
    ht_os_free(m->spare);
    m->spare = NULL;
}

hearth_status hearth_scope_open(hearth_mutator *mutator, hearth_scope *scope)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_scope_open");
    if (status != HEARTH_OK)
        return status;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (scope == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_scope_open: scope is NULL");
    if (!hg_handles_room(m))
        return ht_fail(HEARTH_ENOMEM, "no memory for handles");
    scope->mark[0] = &m->handles->slot[m->handles->count++];
    scope->mark[1] = hg_marker(++m->scopes, ++m->scope_serial);
    *(void **)scope->mark[0] = scope->mark[1];
    return HEARTH_OK;
}

/* The page that holds this slot, NULL if it is none of the mutator's handles. */
static struct hg_handles *hg_handles_page(const struct hg_mutator *m, const void *slot)
{
    struct hg_handles *page = m->handles;
    while (page != NULL && (uintptr_t)slot - (uintptr_t)page->slot >= page->count * sizeof(void *))
        page = page->prev;
    return page;
}

hearth_status hearth_scope_close(hearth_mutator *mutator, hearth_scope *scope)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_scope_close");
    if (status != HEARTH_OK)
        return status;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (scope == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_scope_close: scope is NULL");
    void **mark = scope->mark[0];
    struct hg_handles *page = hg_handles_page(m, mark);
    if (m->scopes == 0 || page == NULL || (uintptr_t)mark % sizeof(void *) != 0 ||
        *mark != scope->mark[1] || hg_marker_depth(*mark) != m->scopes)
        return ht_fail(HEARTH_ESTATE, "hearth_scope_close: scope %p is not the innermost of %zu",
                       (void *)scope, m->scopes);
    hg_handles_drop(m, page);
    page->count = (size_t)(mark - page->slot);
    m->scopes--;
    return HEARTH_OK;
}

void hg_handles_close(struct hg_mutator *m, size_t depth)
{
    while (m->scopes > depth) {
        struct hg_handles *page = m->handles;
        if (page->count == 0) {
            hg_handles_drop(m, page->prev);
            continue;
        }
        m->scopes -= (uintptr_t)page->slot[--page->count] >> 63; /* a marker */
    }
}

void **hearth_handle(hearth_mutator *mutator, void *object)
{
    if (hg_mutator_ready(mutator, "hearth_handle") != HEARTH_OK)
        return NULL;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (m->scopes == 0) {
        ht_fail(HEARTH_ESTATE, "hearth_handle: no scope is open (object %p)", object);
        return NULL;
    }
    if (!hg_handles_room(m)) {
        ht_fail(HEARTH_ENOMEM, "no memory for more handles");
        return NULL;
    }
    void **slot = &m->handles->slot[m->handles->count++];
    *slot = object;
    return slot;
}

bool hg_handles_check(const struct hg_mutator *m)
{
    size_t depth = m->scopes;
    for (const struct hg_handles *page = m->handles; page != NULL; page = page->prev) {
        if (page->count > HG_HANDLES || (page != m->handles && page->count != HG_HANDLES))
            return false;
        for (size_t i = page->count; i-- > 0;)
            if ((uintptr_t)page->slot[i] >> 63 && hg_marker_depth(page->slot[i]) != depth--)
                return false;
    }
    return depth == 0;
}
