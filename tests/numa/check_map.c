/* tests/numa/check_map.c - run by the guest's init before the command when the plugin is loaded: does
 * the plugin see what the kernel sees?
 *
 * For every processor, and a page on every node with memory: the plugin must name the same nodes. The
 * thread pointer that it reads must be ours, and another process must have another page table. If not,
 * the numbers would be wrong: exit status 1, and `guest` ends with 126.
 *
 * Statically linked and without libnuma: the least to go wrong before anything is proven. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/numa/access.h"

enum { MAX_NODES = 16, POLICY_BIND = 2, PAGE = 4096, GET_FS = 0x1003 };

static int failures;

static void say(const char *what, long told, long seen)
{
    fprintf(stderr, "check_map: %s: the kernel says %ld, the plugin %ld\n", what, told, seen);
    failures++;
}

static struct na_message *page_on(int node)
{
    unsigned long nodes = 1UL << node;
    struct na_message *page =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (syscall(SYS_mbind, page, PAGE, POLICY_BIND, &nodes, 64, 0) == 0)
        return page;
    munmap(page, PAGE); /* no such node, or one without memory */
    return NULL;
}

/* Returns the page table as the plugin sees it. */
static uint64_t check_place(struct na_message *page, int node)
{
    unsigned cpu, home;
    uint64_t pointer = 0;

    memset(page, 0, sizeof *page);
    syscall(SYS_getcpu, &cpu, &home, NULL);
    syscall(SYS_arch_prctl, GET_FS, &pointer);
    page->low = home;
    page->high = (uint64_t)node;
    na_send(page, NA_PLACE);
    if (page->low != home)
        say("node of a processor", (long)home, (long)page->low);
    if (page->high != (uint64_t)node)
        say("node of a page", node, (long)page->high);
    if (page->sums.loads_remote != pointer)
        say("thread pointer", (long)pointer, (long)page->sums.loads_remote);
    return page->sums.loads_local;
}

static int check_nodes(void)
{
    int pages = 0;
    for (int node = 0; node < MAX_NODES; node++) {
        struct na_message *page = page_on(node);
        if (page == NULL)
            continue;
        check_place(page, node);
        munmap(page, PAGE);
        pages++;
    }
    return pages;
}

/* Two processes differ in their page tables, and one keeps its own. */
static void check_processes(void)
{
    struct na_message *page = page_on(0);
    int status = 0;

    if (page == NULL) {
        say("pages on node 0", 1, 0);
        return;
    }
    uint64_t mine = check_place(page, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(check_place(page, 0) == mine);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        say("page table of another process is another", 1, 0);
    if (check_place(page, 0) != mine)
        say("page table of a process stays", 1, 0);
    munmap(page, PAGE);
}

int main(void)
{
    char reason[NA_NAME];
    int processors = 0, pages = 0;

    if (!na_present()) {
        fprintf(stderr, "check_map: the plugin does not answer: is this not QEMU 7.2?\n");
        return 1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0)
            continue;
        pages += check_nodes();
        processors++;
    }
    check_processes();
    if (pages == 0)
        say("pages", processors, pages);
    if (!na_trusted(reason)) {
        fprintf(stderr, "check_map: %s\n", reason);
        failures++;
    }
    return failures > 0;
}
