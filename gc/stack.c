/* gc/stack.c - conservative scanning of registers and stacks (Boehm & Weiser 1988).
 *
 * A word that points to or into an allocated cell keeps the object alive. World stopped; the mutator
 * noted its registers and lowest address when it came to stand. No locks. */
#define _GNU_SOURCE
#include "gc/heap.h"

/* A word of the stack may never have been written; valgrind is told that it is looked at on purpose. */
#if defined(HEARTH_DEBUG) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define HG_DEFINED(word) ((void)VALGRIND_MAKE_MEM_DEFINED(&(word), sizeof(word)))
#else
#define HG_DEFINED(word) ((void)0)
#endif

/* Reads dead and red-zoned words on purpose: no instrumentation, and plain reads. */
__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) void
hg_scan_words(hearth_heap *heap, const char *low, const char *high,
              void (*found)(void *data, uintptr_t object), void *data)
{
    const struct ha_windows *windows = heap->space.windows;
    uintptr_t at = ((uintptr_t)low + sizeof(void *) - 1) & ~(uintptr_t)(sizeof(void *) - 1);
    for (; at + sizeof(void *) <= (uintptr_t)high; at += sizeof(void *)) {
        uintptr_t word = *(const uintptr_t *)at;
        HG_DEFINED(word);
        if (word - windows->base >= windows->bytes)
            continue;
        uintptr_t object = ha_space_find(&heap->space, word);
        if (object != 0)
            found(data, object);
    }
}

static __attribute__((noinline)) char *hg_stack_here(void)
{
    return __builtin_frame_address(0);
}

/* The callers' callee-saved registers are either in registers still (getcontext) or pushed in frames
 * above hg_stack_here's. */
__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) void
hg_mutator_note_stack(struct hg_mutator *m)
{
    if (!m->conservative)
        return;
    getcontext(&m->registers);
    m->stack_low = hg_stack_here();
    const uintptr_t *word = (const uintptr_t *)(const void *)m->stack_low;
    for (int i = 0; i < HG_SAVED; i++)
        m->saved[i] = (char *)(uintptr_t)(word + i + 1) <= m->stack_high ? word[i] : 0;
}

void hg_stack_scan(hearth_heap *heap, struct hg_mutator *m,
                   void (*found)(void *data, uintptr_t object), void *data)
{
    if (!m->conservative)
        return;
    hg_scan_words(heap, (const char *)&m->registers, (const char *)(&m->registers + 1), found,
                  data);
    hg_scan_words(heap, (const char *)m->saved, (const char *)(m->saved + HG_SAVED), found, data);
    hg_scan_words(heap, m->stack_low, m->stack_high, found, data);
}
