/* alloc/guard.c - hiding free memory from the program, and the pattern of option poison. See guard.h.
 *
 * The pattern tells of writes to freed memory where no checker runs: it is looked at when the memory is
 * handed out again. No locks; damage is kept once, by whoever finds it first. Node: none. */
#include "alloc/guard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "alloc/space.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND                       0
#define VALGRIND_MAKE_MEM_NOACCESS(memory, bytes) (void)0
#define VALGRIND_MAKE_MEM_DEFINED(memory, bytes)  (void)0
#endif

/* AddressSanitizer's interface; NULL where it is not linked in. */
extern void __asan_poison_memory_region(const volatile void *memory, size_t bytes)
    __attribute__((weak, visibility("default")));
extern void __asan_unpoison_memory_region(const volatile void *memory, size_t bytes)
    __attribute__((weak, visibility("default")));

enum ha_checker ha_checker_running(void)
{
    if (__asan_poison_memory_region != NULL && __asan_unpoison_memory_region != NULL)
        return HA_CHECKER_ASAN;
    return RUNNING_ON_VALGRIND ? HA_CHECKER_VALGRIND : HA_CHECKER_NONE;
}

void ha_guard_hide(const void *memory, size_t bytes)
{
    switch (bytes != 0 ? ha_checker_running() : HA_CHECKER_NONE) {
    case HA_CHECKER_ASAN:
        __asan_poison_memory_region(memory, bytes);
        break;
    case HA_CHECKER_VALGRIND:
        VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
        break;
    case HA_CHECKER_NONE:
        break;
    }
}

void ha_guard_show(const void *memory, size_t bytes)
{
    switch (bytes != 0 ? ha_checker_running() : HA_CHECKER_NONE) {
    case HA_CHECKER_ASAN:
        __asan_unpoison_memory_region(memory, bytes);
        break;
    case HA_CHECKER_VALGRIND:
        VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
        break;
    case HA_CHECKER_NONE:
        break;
    }
}

void ha_space_guard(struct ha_space *space, bool guarded)
{
    space->hides = ha_checker_running() != HA_CHECKER_NONE;
    space->exact = guarded || (space->poison && space->hides);
    space->guarded = guarded;
    space->checked = space->poison || space->hides || space->exact;
    for (int n = 0; n < space->nodes; n++)
        space->pool[n]->hides = space->hides;
}

typedef void ha_dead_fn(const void *memory, size_t bytes);

/* Call `fn` for the dead cells of a block, neighbours together. */
static void ha_each_dead(const struct ha_block *block, ha_dead_fn *fn)
{
    char *dead = NULL;
    if (block->live == 0) {
        fn(ha_block_start(block), HA_BLOCK);
        return;
    }
    for (unsigned i = 0; i <= block->cells; i++) {
        uintptr_t object = ha_object_at(block, i);
        char *cell = (char *)object - HEARTH_HEADER;
        bool alive = i == block->cells || ha_mark_load(ha_meta_of(object)) != 0;
        if (alive && dead != NULL) {
            fn(dead, (size_t)(cell - dead));
            dead = NULL;
        } else if (!alive && dead == NULL) {
            dead = cell;
        }
    }
}

static void ha_poison_fill(const void *memory, size_t bytes)
{
    ha_guard_show(memory, bytes);
    memset((void *)(uintptr_t)memory, HA_POISON, bytes);
}

void ha_poison_block(struct ha_block *block)
{
    ha_each_dead(block, ha_poison_fill);
}

void ha_hide_block(const struct ha_block *block)
{
    ha_each_dead(block, ha_guard_hide);
}

const char *ha_find_other(const void *memory, size_t bytes, unsigned char value)
{
    const unsigned char *at = memory, *end = at + bytes;
    if (bytes != 0 && at[0] == value && memcmp(at, at + 1, bytes - 1) == 0)
        return NULL;
    while (at < end && *at == value)
        at++;
    return at < end ? (const char *)at : NULL;
}

void ha_guard_ready(struct ha_space *space, char *from, size_t bytes, bool zero)
{
    if (space->hides)
        ha_guard_show(from, bytes);
    if (space->poison) {
        const char *other = ha_find_other(from, bytes, zero ? 0 : HA_POISON);
        if (other != NULL)
            ha_damage_note(space,
                           "free memory was written: byte %p (in free memory from %p on, type "
                           "unknown) is 0x%02x, not 0x%02x",
                           (const void *)other, (void *)from, (unsigned char)*other,
                           zero ? 0u : (unsigned)HA_POISON);
        zero = zero && other == NULL;
    }
    if (!zero)
        memset(from, 0, bytes);
}

void ha_damage_note(struct ha_space *space, const char *format, ...)
{
    struct ha_damage *damage = &space->damage;
    uint32_t none = 0;
    va_list arguments;
    if (!__atomic_compare_exchange_n(&damage->state, &none, 1, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return;
    va_start(arguments, format);
    vsnprintf(damage->why, sizeof damage->why, format, arguments);
    va_end(arguments);
    __atomic_store_n(&damage->state, 2, __ATOMIC_RELEASE);
}

const char *ha_damage_found(const struct ha_space *space)
{
    const struct ha_damage *damage = &space->damage;
    return __atomic_load_n(&damage->state, __ATOMIC_ACQUIRE) == 2 ? damage->why : NULL;
}
