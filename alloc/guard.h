/* alloc/guard.h - memory that is nobody's: hidden from the program where a checker runs, filled with a
 * pattern where option poison is on.
 *
 * AddressSanitizer and valgrind know malloc, not this heap. They are told what is free: blocks and large
 * objects that are free, cells that a sweep found dead, the rest behind a large object. A cell is shown again
 * when it is handed out: with its run (up to 8 KiB), or alone where runs are exact (see ha_space_guard).
 * AddressSanitizer is found by weak symbols, so a program built with it sees the same with a release
 * build of hearth; valgrind by its client requests, which do nothing elsewhere.
 * Invariant (pools that hide): what is free is hidden but for runs; a chunk is shown before it leaves
 * its pool. No locks: whoever owns the memory calls. Shadow memory lies where the checker puts it. */
#ifndef HEARTH_ALLOC_GUARD_H
#define HEARTH_ALLOC_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ha_block;
struct ha_space;

enum { HA_POISON = 0xfb }; /* byte that option poison fills free memory with */

enum ha_checker { HA_CHECKER_NONE, HA_CHECKER_ASAN, HA_CHECKER_VALGRIND };

/* The memory checker this process runs under. */
enum ha_checker ha_checker_running(void);

/* Nobody may touch these bytes; and anybody may, they hold what was last written. */
void ha_guard_hide(const void *memory, size_t bytes);
void ha_guard_show(const void *memory, size_t bytes);

/* Turn on what the heap's options and the process ask for; once, before the first chunk. `guarded`: objects
 * have guards (gc/guard.c). Runs are exact with guards, and with poison under a checker: one cell each, so
 * that every allocation takes the slow path and nothing but objects can be touched. */
void ha_space_guard(struct ha_space *space, bool guarded);

/* Fill every unmarked cell, or the whole block if nothing lives in it (option poison). */
void ha_poison_block(struct ha_block *block);
/* Hide the same (where a checker runs). The metadata says what lives. */
void ha_hide_block(const struct ha_block *block);

/* The first of `bytes` bytes that is not `value`, NULL if all are. */
const char *ha_find_other(const void *memory, size_t bytes, unsigned char value);

/* Make free memory of a block ready to be handed out: look whether its pattern is whole, show it, zero it. `zero`:
 * it is known to be zero. */
void ha_guard_ready(struct ha_space *space, char *from, size_t bytes, bool zero);

/* What was found damaged first, by whatever thread. */
struct ha_damage {
    uint32_t state; /* 0 nothing, 1 being written, 2 written (atomic) */
    char why[200];
};
void ha_damage_note(struct ha_space *space, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* NULL: none. */
const char *ha_damage_found(const struct ha_space *space);

#endif
