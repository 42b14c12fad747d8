/* tests/window_fixture.h - window sets over topologies made by hand, for the tests of alloc/.
 *
 * Every node stands for the system's node 0, as fake nodes do. Sets live as long as the process, so
 * tests that need a fresh one ask for another window size or for other options. */
#ifndef HEARTH_TESTS_WINDOW_FIXTURE_H
#define HEARTH_TESTS_WINDOW_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/meta.h"
#include "alloc/window_state.h"
#include "tests/harness.h"
#include "topology/os.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FIXTURE_SANITIZED 1 /* shadow memory: limits of address space cannot be set */
#else
#define FIXTURE_SANITIZED 0
#endif

enum { MIB = 1 << 20 };

static inline struct hearth_topology *fixture_topology(int nodes)
{
    struct hearth_topology *topology = calloc(1, sizeof(*topology));

    ck_assert_ptr_nonnull(topology);
    topology->nodes = nodes;
    topology->cpus = topology->cpus_allowed = 1;
    topology->fake = nodes > 1;
    for (int i = 0; i < nodes; i++) {
        topology->node[i].fake = nodes > 1;
        for (int k = 0; k < nodes; k++) /* itself first, all others equally far */
            topology->node[i].order[k] = (uint8_t)(k == 0 ? i : k <= i ? k - 1 : k);
    }
    return topology;
}

/* The set of this many nodes with windows of `window` bytes (0: automatic). A file name for
 * `overcommit` other than the system's may be given. */
static inline hearth_status fixture_open(struct ha_windows **out, int nodes, size_t window,
                                         const char *overcommit)
{
    struct hearth_topology *topology = fixture_topology(nodes);
    struct hearth_options options = {.window = window};
    hearth_status status = overcommit == NULL
                               ? ha_windows_get(out, topology, &options)
                               : ha_windows_open(out, topology, &options, overcommit);

    free(topology);
    return status;
}

static inline struct ha_windows *fixture_windows(int nodes, size_t window)
{
    struct ha_windows *windows = NULL;

    HARNESS_OK(fixture_open(&windows, nodes, window, NULL));
    ck_assert_ptr_nonnull(windows);
    return windows;
}

/* A file with this content; the caller frees and unlinks. */
static inline char *fixture_file(const char *content)
{
    char *path = strdup("/tmp/hearth-test-XXXXXX");
    int file = mkstemp(path);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, content, strlen(content)), (ssize_t)strlen(content));
    close(file);
    return path;
}

/* A set whose windows are not committed, as where the kernel never overcommits. */
static inline struct ha_windows *fixture_uncommitted(int nodes, size_t window)
{
    struct ha_windows *windows = NULL;
    char *path = fixture_file("2\n");

    HARNESS_OK(fixture_open(&windows, nodes, window, path));
    unlink(path);
    free(path);
    ck_assert(!windows->committed);
    return windows;
}

/* Here no window can be committed as a whole. */
static inline bool fixture_lazy(void)
{
    return ha_on_valgrind() || ha_overcommit_never("/proc/sys/vm/overcommit_memory");
}

/* Chunks cut from one reservation while there is enough of everything. */
static inline size_t fixture_cut(const struct ha_windows *windows)
{
    return windows->committed ? 62 : 14;
}

/* Fails the test unless all bytes are zero. */
static inline void fixture_zero(const void *memory, size_t bytes)
{
    static const char zero[HA_PAGE];

    for (size_t at = 0; at < bytes; at += HA_PAGE) {
        size_t length = bytes - at < HA_PAGE ? bytes - at : HA_PAGE;

        if (memcmp((const char *)memory + at, zero, length) != 0)
            ck_abort_msg("%p + %zu: the page is not zero", memory, at);
    }
}

/* Number behind `key` in /proc/self/status, in KiB. */
static inline long fixture_status(const char *key)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = atol(line + strlen(key) + 1);
    fclose(file);
    return value;
}

#endif
