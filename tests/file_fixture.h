/* tests/file_fixture.h - a fresh directory, for the tests of what writes files: pages, traces, maps, programs.
 *
 * Invariant: one directory at a time. It is empty again when it is closed, else the test fails; removing
 * what lies in it is the affair of who put it there. */
#ifndef HEARTH_TESTS_FILE_FIXTURE_H
#define HEARTH_TESTS_FILE_FIXTURE_H

#include <unistd.h>

#include "tests/trace_fixture.h"

static char directory[64],
    path[128]; /* path: of the file that the test is about, in the directory */

static inline void file_open(const char *name)
{
    snprintf(directory, sizeof directory, "/tmp/hearth-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/%s", directory, name);
}

static inline void file_close(void)
{
    ck_assert_int_eq(rmdir(directory), 0);
}

/* A heap that writes the file, by an option that names it; with more options, each after a comma. */
static inline void file_heap(struct fixture *f, const char *option, const char *more)
{
    char options[256];
    snprintf(options, sizeof options, "%s=%s%s", option, path, more);
    fixture_open(f, options);
}

/* Can there be a heap with this value of the option? It is gone again. */
static inline hearth_status file_try(const char *option, const char *value)
{
    hearth_options *options;
    hearth_heap *heap = (hearth_heap *)&options;
    HARNESS_OK(hearth_options_create(&options));
    HARNESS_OK(hearth_options_set(options, option, value));
    hearth_status status = hearth_heap_create(&heap, options);
    hearth_options_destroy(options);
    if (status == HEARTH_OK)
        HARNESS_OK(hearth_heap_destroy(heap));
    else
        ck_assert_ptr_null(heap);
    return status;
}

#endif
