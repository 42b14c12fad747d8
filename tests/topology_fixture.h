/* tests/topology_fixture.h - machines for tests: described to hwloc, recorded, or made up on disk.
 *
 * Descriptions are given through the environment, as users give them; each test runs in its own
 * process, so nothing needs to be put back. Recordings are in tests/data (README there); tests run
 * in the project's directory. */
#ifndef HEARTH_TESTS_TOPOLOGY_FIXTURE_H
#define HEARTH_TESTS_TOPOLOGY_FIXTURE_H

#include <ftw.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness.h"
#include "topology/topology.h"

/* The machine the tests run on, whatever the caller's environment says. */
static inline void fixture_real(void)
{
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HEARTH_OPTIONS");
}

/* A machine in hwloc's synthetic notation. */
static inline void fixture_synthetic(const char *description)
{
    fixture_real();
    setenv("HWLOC_SYNTHETIC", description, 1);
}

/* A recorded machine: tests/data/NAME.xml. */
static inline void fixture_recorded(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "tests/data/%s.xml", name);
    ck_assert_msg(access(path, R_OK) == 0, "%s is missing: run in the project's directory", path);
    fixture_real();
    setenv("HWLOC_XMLFILE", path, 1);
}

/* The default options with these on top; the environment's are not read. */
static inline struct hearth_options fixture_options(const char *text)
{
    struct hearth_options options;

    HARNESS_OK(ht_options_defaults(&options, false));
    HARNESS_OK(hearth_options_parse(&options, text));
    return options;
}

static inline struct hearth_topology *fixture_topology(const char *text)
{
    struct hearth_options options = fixture_options(text);
    struct hearth_topology *topology = NULL;

    HARNESS_OK(ht_topology_create(&topology, &options));
    HARNESS_OK(ht_topology_check(topology));
    return topology;
}

/* "fake-nodes=N" that gives each node of the machine seen now about `parts` pieces. */
static inline const char *fixture_fake(int parts)
{
    static char text[32];
    struct hearth_topology *topology = fixture_topology("");
    int fit = HT_MAX_NODES / topology->nodes;

    snprintf(text, sizeof(text), "fake-nodes=%d", topology->nodes * (parts < fit ? parts : fit));
    ht_topology_destroy(topology);
    return text;
}

/* A new empty directory; removed with everything in it by fixture_remove. */
static inline char *fixture_directory(void)
{
    char *path = strdup("/tmp/hearth-test-XXXXXX");

    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

static inline int fixture_remove_one(const char *path, const struct stat *status, int type,
                                     struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void fixture_remove(char *directory)
{
    ck_assert_int_eq(nftw(directory, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(directory);
}

/* Write a file below the directory, making the directories on its way. */
static inline void fixture_write(const char *directory, const char *name, const char *text)
{
    char path[2 * PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    for (char *slash = path + strlen(directory) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    fputs(text, file);
    fclose(file);
}

/* Bytes the C library has handed out, for leak tests (0 where another allocator stands in). */
static inline size_t fixture_bytes_in_use(void)
{
    return mallinfo2().uordblks;
}

#endif
