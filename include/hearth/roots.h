/* hearth/roots.h - what keeps objects alive: frames, handles, global roots, providers.
 *
 * Precise roots are frames (a shadow stack of local references, two stores to push), handle scopes
 * (growable; for references whose number is not known), global roots, and provider callbacks.
 * Conservative stacks are asked for at hearth_attach. All can be mixed. */
#ifndef HEARTH_ROOTS_H
#define HEARTH_ROOTS_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A frame of `n` references: HEARTH_FRAME(m, f, 2); f.ref[0] = x; ... HEARTH_FRAME_END(m, f);
 * Frames are strictly nested, one thread's own, and initially NULL. */
#define HEARTH_FRAME(mutator, frame, n)                                                            \
    struct {                                                                                       \
        hearth_frame head;                                                                         \
        void *ref[n];                                                                              \
    } frame = {{(mutator)->frames, (n)}, {NULL}};                                                  \
    (mutator)->frames = &frame.head
#define HEARTH_FRAME_END(mutator, frame) ((mutator)->frames = frame.head.prev)

/* Handle scopes. open gives a scope; handles made while it is the innermost one die at close. A handle
 * is a slot: read it again after every safepoint (a moving collector may come). Own thread only.
 * Errors: ETHREAD, ENOMEM, ESTATE (closing a scope that is not the innermost). */
typedef struct hearth_scope {
    void *mark[2]; /* the library's */
} hearth_scope;
HEARTH_API HEARTH_NODISCARD hearth_status hearth_scope_open(hearth_mutator *mutator,
                                                            hearth_scope *scope);
HEARTH_API hearth_status hearth_scope_close(hearth_mutator *mutator, hearth_scope *scope);
/* A new handle holding `object`; NULL when out of memory or no scope is open. */
HEARTH_API HEARTH_NODISCARD void **hearth_handle(hearth_mutator *mutator, void *object);

/* Global roots: the slot stays a root until removed. Any attached thread. Writing the slot needs no
 * barrier. Adding twice or removing an unknown slot gives ESTATE; ENOMEM loses nothing. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_root_add(hearth_heap *heap, void **slot);
HEARTH_API hearth_status hearth_root_remove(hearth_heap *heap, void **slot);

/* A provider visits roots of its own (a VM's stacks, an intern table) at every collection, while the
 * world is stopped, on one thread; it must not allocate or call hearth otherwise. The same pair twice
 * is ESTATE. */
typedef void hearth_root_fn(void *data, hearth_visitor *visitor);
HEARTH_API HEARTH_NODISCARD hearth_status hearth_root_provider_add(hearth_heap *heap,
                                                                   hearth_root_fn *fn, void *data);
HEARTH_API hearth_status hearth_root_provider_remove(hearth_heap *heap, hearth_root_fn *fn,
                                                     void *data);

/* Inside a provider: the words of [low, high) may be references, also into the middle of objects. */
HEARTH_API void hearth_visit_ambiguous(hearth_visitor *visitor, const void *low, const void *high);

#ifdef __cplusplus
}
#endif
#endif
