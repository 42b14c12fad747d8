/* gc/handle.c - handle scopes: growable roots of one mutator.
 *
 * Handles live in pages that never move; a scope remembers the page and the count at its opening (as in
 * V8). Invariant: `handles` is the newest page; pages behind it are full or were skipped by no one.
 * Own thread only; the collector reads them with the world stopped. */
#include "gc/heap.h"

#include "topology/error.h"
#include "topology/os.h"

static bool hg_handles_grow(struct hg_mutator *m)
{
    struct hg_handles *page = m->spare != NULL ? m->spare : ht_os_alloc(sizeof *page);
    if (page == NULL)
        return false;
    m->spare = NULL;
    page->count = 0;
    page->prev = m->handles;
    m->handles = page;
    return true;
}

hearth_status hearth_scope_open(hearth_mutator *mutator, hearth_scope *scope)
{
    hearth_status status = hg_mutator_own(mutator, "hearth_scope_open");
    if (status != HEARTH_OK)
        return status;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (scope == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_scope_open: scope is NULL");
    if (m->handles == NULL && !hg_handles_grow(m))
        return ht_fail(HEARTH_ENOMEM, "no memory for handles");
    scope->mark[0] = &m->handles->slot[m->handles->count];
    scope->mark[1] = (void *)(uintptr_t)++m->scopes;
    return HEARTH_OK;
}

hearth_status hearth_scope_close(hearth_mutator *mutator, hearth_scope *scope)
{
    hearth_status status = hg_mutator_own(mutator, "hearth_scope_close");
    if (status != HEARTH_OK)
        return status;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (scope == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_scope_close: scope is NULL");
    if (m->scopes == 0 || (uintptr_t)scope->mark[1] != m->scopes)
        return ht_fail(HEARTH_ESTATE, "hearth_scope_close: scope %zu is not the innermost (%zu)",
                       (size_t)(uintptr_t)scope->mark[1], m->scopes);
    void **mark = scope->mark[0];
    while (mark < m->handles->slot || mark > m->handles->slot + HG_HANDLES) {
        struct hg_handles *page = m->handles;
        m->handles = page->prev;
        ht_os_free(m->spare);
        m->spare = page;
    }
    m->handles->count = (size_t)(mark - m->handles->slot);
    m->scopes--;
    return HEARTH_OK;
}

void **hearth_handle(hearth_mutator *mutator, void *object)
{
    if (hg_mutator_own(mutator, "hearth_handle") != HEARTH_OK)
        return NULL;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (m->scopes == 0) {
        ht_fail(HEARTH_ESTATE, "hearth_handle: no scope is open");
        return NULL;
    }
    if (m->handles->count == HG_HANDLES && !hg_handles_grow(m)) {
        ht_fail(HEARTH_ENOMEM, "no memory for more handles");
        return NULL;
    }
    void **slot = &m->handles->slot[m->handles->count++];
    *slot = object;
    return slot;
}
