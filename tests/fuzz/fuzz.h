/* tests/fuzz/fuzz.h - byte strings as programs: the shadow model of tests/oracle.h under a fuzzer.
 *
 * A string's first bytes choose the heap's options and the number of threads; every later byte is the
 * answer to one of the program's choices (which operation, which object, which size). The string ends the
 * program. So a fuzzer that changes bytes changes programs, and a string repeats its program exactly if
 * it has one thread. Wrong arguments are among the operations: they must give a status.
 *
 * Two programs are made of this: one with libFuzzer (make fuzz), and one that takes files and random
 * strings (tests/fuzz/main.c), which any compiler and sanitizer can build. */
#ifndef HEARTH_TESTS_FUZZ_H
#define HEARTH_TESTS_FUZZ_H

#include "tests/oracle.h"

/* What was done so far. Changed atomically; the main program shares it between two processes. */
struct fuzz_counts {
    uint64_t strings;     /* run to their end                               */
    uint64_t operations;  /* steps of programs                              */
    uint64_t collections; /* asked for by programs, each followed by checks */
    uint64_t refused;     /* calls with wrong arguments                     */
    uint64_t no_memory;   /* allocations that found none                    */
};
extern struct fuzz_counts *fuzz_counts;

/* Run one string. A difference ends the process by abort, after a line on standard error. */
void fuzz_string(const uint8_t *data, size_t size);

/* One call with wrong arguments, which must be refused and change nothing. */
void fuzz_misuse(struct oracle *oracle);

void fuzz_print_counts(double seconds);

static inline void fuzz_count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif
