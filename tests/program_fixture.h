/* tests/program_fixture.h - runs of a program of ours in a child, and what they print.
 *
 * The program's source is compiled into the test, its main() renamed. What a run prints is caught in files of the
 * directory of file_fixture.h, which are gone when the run has ended. */
#ifndef HEARTH_TESTS_PROGRAM_FIXTURE_H
#define HEARTH_TESTS_PROGRAM_FIXTURE_H

#include <fcntl.h>
#include <sys/wait.h>

#include "tests/file_fixture.h"

typedef int program_main(int argc, char **argv);

static char out[1 << 22], error[1 << 12]; /* what the last run printed, where */

static inline void program_redirect(const char *name, int descriptor)
{
    char file[160];
    snprintf(file, sizeof file, "%s/%s", directory, name);
    int to = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0 || dup2(to, descriptor) < 0)
        _exit(126);
}

static inline void program_caught(const char *name, char *text, size_t size)
{
    char file[160];
    snprintf(file, sizeof file, "%s/%s", directory, name);
    FILE *stream = fopen(file, "r");
    ck_assert_ptr_nonnull(stream);
    size_t length = fread(text, 1, size - 1, stream);
    text[length] = '\0';
    fclose(stream);
    unlink(file);
}

/* Start it with up to three arguments; those after the last are NULL. */
static inline pid_t program_start(program_main *program, const char *name, const char *a,
                                  const char *b, const char *c)
{
    char *argv[5] = {(char *)(uintptr_t)name, (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                     (char *)(uintptr_t)c};
    int argc = 1 + (a != NULL) + (b != NULL) + (c != NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        program_redirect("out", STDOUT_FILENO);
        program_redirect("error", STDERR_FILENO);
        int result = program(argc, argv);
        fflush(NULL);
        _exit(result);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* Wait for its end; its exit status. */
static inline int program_end(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "wait status %d", status);
    program_caught("out", out, sizeof out);
    program_caught("error", error, sizeof error);
    return WEXITSTATUS(status);
}

#endif
