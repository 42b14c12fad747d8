/* topology/os.c - the seam to the operating system, and the faults tests put into it.
 *
 * Invariant: every function either does the whole thing and returns success, or changes nothing and
 * returns false, NULL or an errno; none aborts. Each call of a kind increments that kind's counter
 * exactly once, whether or not it then fails.
 * Lock order: no lock is taken; the fault counters are relaxed atomics, the only global state, and
 * they are inert unless a test arms them. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <numa.h>
#include <numaif.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "topology/os.h"
#include "topology/topology.h"

/* Largest system node number a policy mask can hold: the kernel's own limit (NODES_SHIFT 10). */
enum { HT_OS_NODES = 1024, HT_WORD_BITS = 8 * sizeof(unsigned long) };

/* One kind of call. Written by tests, read by every call. */
struct ht_fault_state {
    uint64_t seen; /* calls so far                                                  */
    uint64_t trap; /* 2 * number of the call that fails + sticky; 0: none           */
};

static struct ht_fault_state ht_faults[HT_FAULT_KINDS];

void ht_fault_arm(enum ht_fault kind, uint64_t n, bool sticky)
{
    uint64_t seen = __atomic_load_n(&ht_faults[kind].seen, __ATOMIC_RELAXED);
    uint64_t trap = n == 0 ? 0 : (seen + n) * 2 + sticky;

    __atomic_store_n(&ht_faults[kind].trap, trap, __ATOMIC_RELAXED);
}

uint64_t ht_fault_count(enum ht_fault kind)
{
    return __atomic_load_n(&ht_faults[kind].seen, __ATOMIC_RELAXED);
}

bool ht_fault_hit(enum ht_fault kind, int error)
{
    uint64_t number = __atomic_add_fetch(&ht_faults[kind].seen, 1, __ATOMIC_RELAXED);
    uint64_t trap = __atomic_load_n(&ht_faults[kind].trap, __ATOMIC_RELAXED);
    uint64_t first = trap >> 1;

    if (HEARTH_LIKELY(trap == 0) || number < first || (number > first && !(trap & 1)))
        return false;
    errno = error;
    return true;
}

/* --- memory ----------------------------------------------------------------------------------- */

void *ht_os_map(size_t bytes, bool writable)
{
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_NONE;
    void *address;

    if (ht_fault_hit(HT_FAULT_MAP, ENOMEM))
        return NULL;
    address = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

void ht_os_unmap(void *address, size_t bytes)
{
    int saved = errno;

    if (address != NULL)
        munmap(address, bytes);
    errno = saved;
}

bool ht_os_commit(void *address, size_t bytes)
{
    if (ht_fault_hit(HT_FAULT_COMMIT, ENOMEM))
        return false;
    return mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0;
}

bool ht_os_bind(void *address, size_t bytes, char policy, const int *os_nodes, int count)
{
    unsigned long mask[HT_OS_NODES / HT_WORD_BITS] = {0};
    int mode = policy == 'p'   ? MPOL_PREFERRED
               : policy == 'b' ? MPOL_BIND
               : policy == 'i' ? MPOL_INTERLEAVE
                               : -1;

    if (ht_fault_hit(HT_FAULT_BIND, EPERM))
        return false;
    if (mode < 0 || count < 1) {
        errno = EINVAL;
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (os_nodes[i] < 0 || os_nodes[i] >= HT_OS_NODES) {
            errno = EINVAL;
            return false;
        }
        mask[os_nodes[i] / HT_WORD_BITS] |= 1ul << (os_nodes[i] % HT_WORD_BITS);
        if (mode == MPOL_PREFERRED)
            break;
    }
    /* The kernel reads one bit less than it is told. */
    return mbind(address, bytes, mode, mask, HT_OS_NODES + 1, 0) == 0;
}

bool ht_os_advise(void *address, size_t bytes, int advice)
{
    if (ht_fault_hit(HT_FAULT_ADVISE, EAGAIN))
        return false;
    return madvise(address, bytes, advice) == 0;
}

bool ht_os_residency(void **pages, int *status, size_t count)
{
    if (ht_fault_hit(HT_FAULT_ASK, ENOSYS))
        return false;
    return count == 0 || move_pages(0, count, pages, NULL, status, 0) >= 0;
}

/* The value of a line "Node N <name>: <kB> kB", in bytes; 0 if there is none. */
static size_t ht_meminfo(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line != NULL ? (size_t)strtoull(line + strlen(name), NULL, 10) << 10 : 0;
}

/* --- questions -------------------------------------------------------------------------------- */

bool ht_os_policy(int *mode, unsigned long *mask, unsigned long bits)
{
    if (ht_fault_hit(HT_FAULT_ASK, ENOSYS))
        return false;
    return get_mempolicy(mode, mask, bits, NULL, mode == NULL ? MPOL_F_MEMS_ALLOWED : 0) == 0;
}

bool ht_os_get_affinity(int thread, cpu_set_t *cpus, size_t cpus_size)
{
    if (ht_fault_hit(HT_FAULT_ASK, EPERM))
        return false;
    return sched_getaffinity(thread, cpus_size, cpus) == 0;
}

bool ht_os_numa(void)
{
    return !ht_fault_hit(HT_FAULT_ASK, ENOSYS) && numa_available() >= 0;
}

bool ht_os_free_memory(int os_node, uint64_t *bytes)
{
    struct sysinfo system;
    long long free_bytes = -1;

    if (ht_fault_hit(HT_FAULT_ASK, EFAULT))
        return false;
    if (os_node >= 0) {
        if (numa_node_size64(os_node, &free_bytes) < 0 || free_bytes < 0)
            return false;
        *bytes = (uint64_t)free_bytes;
        return true;
    }
    if (sysinfo(&system) != 0)
        return false;
    *bytes = (uint64_t)system.freeram * system.mem_unit;
    return true;
}

/* What can be read of the file; below 0: nothing. */
static ssize_t ht_read_open(int file, char *text, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got = read(file, text + used, size - used);

        if (got == 0)
            break;
        if (got > 0)
            used += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)used;
}

/* Never a cancellation point: callers hold locks. */
bool ht_os_read_file(const char *path, char *text, size_t size)
{
    ssize_t length = -1;
    int before, file;

    if (ht_fault_hit(HT_FAULT_FILE, EACCES))
        return false;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        length = ht_read_open(file, text, size - 1);
        close(file);
    }
    pthread_setcancelstate(before, &before);
    if (length >= 0)
        text[length] = '\0';
    return length >= 0;
}

bool ht_os_node_memory(const char *directory, int os_node, struct ht_node_memory *out)
{
    char path[256], text[4096];
    snprintf(path, sizeof(path), "%s/node%d/meminfo", directory, os_node);
    if (!ht_os_read_file(path, text, sizeof(text)))
        return false;
    out->total = ht_meminfo(text, " MemTotal:");
    out->unused = ht_meminfo(text, " MemFree:");
    out->files = ht_meminfo(text, " Active(file):") + ht_meminfo(text, " Inactive(file):");
    return out->total != 0;
}

static uint64_t ht_read_number(const char *directory, const char *name)
{
    char path[256], text[64];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return ht_os_read_file(path, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

/* A zone has its share of min_free_kbytes; the low and the high mark are each a quarter of that above the
 * one before, or watermark_scale_factor 10000ths of the zone. With huge pages on, the kernel raises
 * min_free_kbytes to as much as a twentieth of a small machine. */
unsigned ht_os_watermark(const char *directory)
{
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), page = ht_os_page_size();
    uint64_t least = ht_read_number(directory, "min_free_kbytes") << 10;
    uint64_t scale = ht_read_number(directory, "watermark_scale_factor");
    uint64_t share = pages != 0 ? least * 65536 / (pages * page) : 0;
    uint64_t step = share / 4 > scale * 65536 / 10000 ? share / 4 : scale * 65536 / 10000;
    uint64_t high = share + 2 * step;
    return high < 65536 ? (unsigned)high : 65536;
}

bool ht_os_reclaims(const char *directory)
{
    return (ht_read_number(directory, "zone_reclaim_mode") & 1) != 0;
}

void *ht_os_alloc(size_t bytes)
{
    if (ht_fault_hit(HT_FAULT_ALLOC, ENOMEM))
        return NULL;
    return calloc(1, bytes == 0 ? 1 : bytes);
}

void *ht_os_realloc(void *block, size_t bytes)
{
    if (ht_fault_hit(HT_FAULT_ALLOC, ENOMEM))
        return NULL;
    return realloc(block, bytes == 0 ? 1 : bytes);
}

void ht_os_free(void *block)
{
    free(block);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Signals of the process go to the program's own threads. Faults raised by the thread itself stay
 * open: blocked, they would kill the process past the program's crash reporter. */
static void ht_block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

/* The affinity is part of the attributes, so that the thread's stack and thread-local pages are
 * first touched on the right node. */
int ht_os_thread(pthread_t *thread, const char *name, void *(*main)(void *), void *data,
                 const cpu_set_t *cpus, size_t cpus_size)
{
    char short_name[16];
    pthread_attr_t attributes;
    sigset_t before;
    int error;

    if (ht_fault_hit(HT_FAULT_THREAD, EAGAIN))
        return EAGAIN;
    error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    if (cpus != NULL)
        error = pthread_attr_setaffinity_np(&attributes, cpus_size, cpus);
    if (error == 0) {
        ht_block_signals(&before);
        error = pthread_create(thread, &attributes, main, data);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    if (error != 0)
        return error;
    strncpy(short_name, name, sizeof(short_name) - 1);
    short_name[sizeof(short_name) - 1] = '\0';
    pthread_setname_np(*thread, short_name);
    return 0;
}

/* Success of a call that returns an errno. */
static bool ht_worked(int error)
{
    if (error != 0)
        errno = error;
    return error == 0;
}

bool ht_os_thread_key(pthread_key_t *key, void (*exit)(void *))
{
    return !ht_fault_hit(HT_FAULT_PTHREAD, EAGAIN) && ht_worked(pthread_key_create(key, exit));
}

bool ht_os_thread_set(pthread_key_t key, const void *value)
{
    return !ht_fault_hit(HT_FAULT_PTHREAD, ENOMEM) && ht_worked(pthread_setspecific(key, value));
}

bool ht_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return !ht_fault_hit(HT_FAULT_PTHREAD, ENOMEM) &&
           ht_worked(pthread_atfork(prepare, parent, child));
}

char *ht_os_stack_base(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;

    if (ht_fault_hit(HT_FAULT_PTHREAD, ENOMEM) ||
        !ht_worked(pthread_getattr_np(pthread_self(), &attributes)))
        return NULL;
    if (!ht_worked(pthread_attr_getstack(&attributes, &low, &size)))
        low = NULL;
    pthread_attr_destroy(&attributes);
    return low != NULL ? (char *)low + size : NULL;
}

bool ht_os_affinity(const cpu_set_t *cpus, size_t cpus_size)
{
    if (ht_fault_hit(HT_FAULT_AFFINITY, EPERM))
        return false;
    return sched_setaffinity(0, cpus_size, cpus) == 0;
}

void ht_os_sleep(uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns == 0 ? NULL : &timeout, NULL,
            0);
    errno = saved;
}

void ht_os_wake(uint32_t *word, int n)
{
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
    errno = saved;
}

/* --- files that are written ------------------------------------------------------------------- */

int ht_os_create(const char *path)
{
    if (ht_fault_hit(HT_FAULT_WRITE, EACCES))
        return -1;
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

bool ht_os_write(int file, const void *bytes, size_t count)
{
    const char *at = bytes;

    if (ht_fault_hit(HT_FAULT_WRITE, ENOSPC))
        return false;
    while (count > 0) {
        ssize_t done = write(file, at, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        at += done;
        count -= (size_t)done;
    }
    return true;
}

bool ht_os_close(int file)
{
    bool fails = ht_fault_hit(HT_FAULT_WRITE, EIO);

    return close(file) == 0 && !fails;
}

void ht_os_remove(const char *path)
{
    int saved = errno;

    unlink(path);
    errno = saved;
}

/* Memory is granted now, or a full file system would end the process at a store. */
void *ht_os_share(const char *path, size_t bytes)
{
    void *address = MAP_FAILED;
    int file, error;

    ht_os_remove(path);
    if (ht_fault_hit(HT_FAULT_WRITE, EACCES))
        return NULL;
    file = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0)
        return NULL;
    error = ht_fault_hit(HT_FAULT_WRITE, ENOSPC) ? ENOSPC : posix_fallocate(file, 0, (off_t)bytes);
    if (error == 0 && !ht_fault_hit(HT_FAULT_MAP, ENOMEM))
        address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (address == MAP_FAILED) {
        error = error != 0 ? error : errno;
        ht_os_remove(path);
    }
    close(file);
    errno = error;
    return address == MAP_FAILED ? NULL : address;
}

const void *ht_os_look(const char *path, size_t *bytes)
{
    struct stat status;
    void *address = MAP_FAILED;
    int file, error = 0;

    if (ht_fault_hit(HT_FAULT_FILE, EACCES))
        return NULL;
    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return NULL;
    status.st_size = 0;
    if (fstat(file, &status) != 0)
        error = errno;
    else if (!S_ISREG(status.st_mode) || status.st_size == 0)
        error = ENODATA;
    *bytes = (size_t)status.st_size;
    if (error == 0 && !ht_fault_hit(HT_FAULT_MAP, ENOMEM))
        address = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, file, 0);
    if (address == MAP_FAILED)
        error = error != 0 ? error : errno;
    close(file);
    errno = error;
    return address == MAP_FAILED ? NULL : address;
}

/* --- facts ------------------------------------------------------------------------------------ */

int ht_os_thread_number(void)
{
    return (int)gettid();
}

uint64_t ht_os_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

size_t ht_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t ht_os_physical_memory(void)
{
    uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * ht_os_page_size();
    uint64_t limit = ht_quota_memory("/sys/fs/cgroup", "/proc/self/cgroup");

    return limit != 0 && limit < installed ? limit : installed;
}
