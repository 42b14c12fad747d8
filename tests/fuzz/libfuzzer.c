/* tests/fuzz/libfuzzer.c - the entry points that libFuzzer calls (LLVM's coverage-guided fuzzer).
 *
 * FUZZ_OPERATIONS=n in the environment ends the run after n operations, successfully. The counters are
 * printed when the process ends by itself. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

static struct timespec begin;
static uint64_t operations_wanted = UINT64_MAX;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_counts(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    fuzz_print_counts((double)(now.tv_sec - begin.tv_sec));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *text = getenv("FUZZ_OPERATIONS");

    (void)argc;
    (void)argv;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (text != NULL && *text != '\0')
        operations_wanted = strtoull(text, NULL, 10);
    harness_nodes(1);
    atexit(print_counts);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_string(data, size);
    if (fuzz_counts->operations >= operations_wanted)
        exit(0);
    return 0;
}
