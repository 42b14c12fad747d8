/* hearth/heap.h - heaps and the threads attached to them.
 *
 * Several heaps may live in one process. A thread that touches a heap's objects attaches and gets a
 * mutator. The world is stopped cooperatively: a mutator reaches a safepoint when it calls
 * hearth_safepoint, when it allocates, when it leaves a native section, or when it detaches.
 * There are no signals, so a blocked system call never sees EINTR because of hearth.
 *
 * A thread attached to several heaps is at a safepoint of all of them whenever it is at one of any: while it
 * waits for a collection of one heap, or carries it out, it stands in the others. So it never makes
 * them wait; references to objects of every heap must be in roots there. Callbacks that the collector calls must
 * not use the thread's mutators of other heaps either.
 *
 * fork(), by any thread, is a safepoint of every heap it is attached to, and waits until all mutators of all
 * heaps stand, as a collection does. The child has whole heaps, all global roots and the forking thread's own
 * mutators, frames, handles and native sections; those of other threads are gone. Collector threads start
 * again when they are needed, so a child that calls exec starts none. In the child of a fork made inside a
 * callback of the collector only exec and _exit are allowed. (docs/fork.md) */
#ifndef HEARTH_HEAP_H
#define HEARTH_HEAP_H

#include "layout.h"
#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Create a heap. `options` may be NULL (defaults); they are copied. HEARTH_OPTIONS overrides them.
 * Errors: EINVAL (out is NULL), EOPTION (from the environment), ENOMEM, ENODE, ESYSTEM. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_heap_create(hearth_heap **out,
                                                             const hearth_options *options);

/* Destroy a heap and return its memory. All mutators must have detached: else ESTATE, and nothing has
 * happened. Objects, handles and types of the heap are gone. NULL is allowed. */
HEARTH_API hearth_status hearth_heap_destroy(hearth_heap *heap);

/* Where a thread's memory should come from. */
enum { HEARTH_NODE_AUTO = -1 };

typedef struct hearth_attach_options {
    size_t struct_size;     /* sizeof(hearth_attach_options)                                     */
    int node;               /* logical node to allocate on, or HEARTH_NODE_AUTO: where it runs   */
    bool conservative;      /* scan this thread's registers and stack for ambiguous references   */
    const void *stack_base; /* highest address to scan; NULL: ask the system                    */
} hearth_attach_options;

/* Attach the calling thread. NULL options: automatic node, precise roots only (unless the heap's
 * option `conservative` is on). One mutator per thread and heap: a second attach gives ESTATE. The
 * mutator is detached when the thread exits; frames and scopes it leaves open are dropped (but if it
 * exits in a native section, its frames must not lie on its stack, which others may still be
 * scanning). May wait for a running collection. Errors: EINVAL, ENODE, ENOMEM, ESTATE, ESYSTEM. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_attach(hearth_heap *heap,
                                                        const hearth_attach_options *options,
                                                        hearth_mutator **out);

/* Detach: own thread only (ETHREAD). Frames and handle scopes must be closed (ESTATE). */
HEARTH_API hearth_status hearth_detach(hearth_mutator *mutator);

/* The calling thread's mutator of this heap, or NULL. */
HEARTH_API hearth_mutator *hearth_current(hearth_heap *heap);

/* Safepoint poll: call at least once per loop that may run long without allocating. References not in
 * roots may be reclaimed here (never moved). */
HEARTH_API void hearth_safepoint_slow(hearth_mutator *mutator);
HEARTH_INLINE void hearth_safepoint(hearth_mutator *mutator)
{
    static const uint32_t none = 1; /* without a mutator: the slow path, which reports it */
    const uint32_t *poll = mutator != NULL ? &mutator->poll : &none;
    if (HEARTH_UNLIKELY(__atomic_load_n(poll, __ATOMIC_RELAXED) != 0))
        hearth_safepoint_slow(mutator);
}

/* A native section: between begin and end the thread does not touch heap objects, may block, and
 * never delays a collection. `end` waits while one is running. Nesting is an error (ESTATE), and so is
 * any other call with the mutator in between. With a conservative stack, references held across the
 * section are found: registers are saved at begin, and the 1 KiB of stack above it, so that begin may be
 * called by small functions that return before end. */
HEARTH_API hearth_status hearth_native_begin(hearth_mutator *mutator);
HEARTH_API hearth_status hearth_native_end(hearth_mutator *mutator);

/* An opaque pointer of the embedder's per heap and per mutator. */
HEARTH_API void hearth_heap_set_data(hearth_heap *heap, void *data);
HEARTH_API void *hearth_heap_data(const hearth_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
