/* tests/soak/soak_fork.c - every second one of the threads forks, in the middle of its work.
 *
 * The child has the heap as it was, and is alone: it checks its pieces, drops and builds some, collects,
 * verifies, and ends. The parent's other threads go on meanwhile; the one that forked waits in a native
 * section. Invariant: a child never prints but to say what is wrong, and never returns. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/soak/soak.h"

enum { CHILD_SECONDS = 120, CHILD_BUILDS = 12 };

static _Noreturn void child(struct soak_thread *self)
{
    alarm(CHILD_SECONDS);
    soak_check_all(self);
    for (unsigned i = 0; i < CHILD_BUILDS; i++)
        soak_rebuild(self, (unsigned)soak_random(self, SOAK_PLACES));
    SOAK_OK(hearth_gc_collect(self->mutator, (int)soak_random(self, 3)));
    soak_check_all(self);
    SOAK_OK(hearth_verify(self->mutator));
    _exit(0);
}

void soak_fork(struct soak_thread *self)
{
    int turn = self->number, status = 0;

    if (__atomic_load_n(&self->soak->fork_turn, __ATOMIC_RELAXED) != turn)
        return;
    __atomic_store_n(&self->soak->fork_turn, -1, __ATOMIC_RELAXED);
    pid_t pid = fork();
    if (pid < 0)
        soak_fail("fork: %s", strerror(errno));
    if (pid == 0)
        child(self);
    SOAK_OK(hearth_native_begin(self->mutator));
    if (waitpid(pid, &status, 0) != pid)
        soak_fail("waitpid: %s", strerror(errno));
    SOAK_OK(hearth_native_end(self->mutator));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        soak_fail("the child of a fork ended with status 0x%x", (unsigned)status);
    __atomic_fetch_add(&self->soak->forks, 1, __ATOMIC_RELAXED);
}
