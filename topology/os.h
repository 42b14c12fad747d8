/* topology/os.h - every system call and fallible library call hearth makes goes through here.
 *
 * It is the seam (as mimalloc's prim layer) where tests make the n-th call of a kind fail.
 * Functions return false or NULL with errno set, never abort. Thread-safe. Lock order: none
 * taken. */
#ifndef HEARTH_TOPOLOGY_OS_H
#define HEARTH_TOPOLOGY_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of calls that can be made to fail. */
enum ht_fault {
    HT_FAULT_MAP,      /* mmap                                             */
    HT_FAULT_COMMIT,   /* mprotect of a lazily committed range             */
    HT_FAULT_BIND,     /* mbind                                            */
    HT_FAULT_ADVISE,   /* madvise                                          */
    HT_FAULT_ALLOC,    /* malloc, calloc, realloc of hearth's own tables   */
    HT_FAULT_THREAD,   /* pthread_create                                   */
    HT_FAULT_ARENA,    /* mi_manage_os_memory_ex, mi_heap_new_in_arena     */
    HT_FAULT_RESERVE,  /* mi_heap_malloc of a reservation                  */
    HT_FAULT_HWLOC,    /* hwloc_topology_init / load                       */
    HT_FAULT_AFFINITY, /* sched_setaffinity of the calling thread          */
    HT_FAULT_PTHREAD,  /* thread-specific data, stack bounds, fork handlers */
    HT_FAULT_FILE,     /* opening and reading a file of the kernel's       */
    HT_FAULT_ASK,      /* questions about the machine and the process: get_mempolicy, move_pages,
                          sched_getaffinity, sysinfo, libnuma's, those to hwloc once it is loaded */
    HT_FAULT_WRITE,    /* opening, writing and closing a file that is written */
    HT_FAULT_KINDS
};

/* Arm: the n-th call of `kind` from now (1 = the next) fails, and every later one too if `sticky`.
 * n = 0 disarms. Tests only. */
void ht_fault_arm(enum ht_fault kind, uint64_t n, bool sticky);
/* Calls of the kind seen since the process began (armed or not). */
uint64_t ht_fault_count(enum ht_fault kind);
/* Counts one call; true if it must fail (errno is set to `error`). */
bool ht_fault_hit(enum ht_fault kind, int error);

/* Address space: private, anonymous, no swap reserved (NORESERVE). writable=false: PROT_NONE. */
void *ht_os_map(size_t bytes, bool writable);
void ht_os_unmap(void *address, size_t bytes);
/* Make a PROT_NONE range readable and writable. */
bool ht_os_commit(void *address, size_t bytes);
/* Memory policy of a range: 'p' prefer the first node given, 'b' bind to, 'i' interleave over all
 * of them. `os_nodes` are system numbers. */
bool ht_os_bind(void *address, size_t bytes, char policy, const int *os_nodes, int count);
/* madvise with the given MADV_* advice. */
bool ht_os_advise(void *address, size_t bytes, int advice);
/* NUMA node (system number) of the page at each address: status as move_pages gives it; an
 * untouched page gives a negative errno. Queries only; nothing is faulted in or moved. */
bool ht_os_residency(void **pages, int *status, size_t count);

/* get_mempolicy: of the calling thread, or (mode NULL) the nodes it may use at all. `words` of `mask` hold
 * `bits` bits. */
bool ht_os_policy(int *mode, unsigned long *mask, unsigned long bits);
/* The CPUs a thread may run on; 0: the calling one. */
bool ht_os_get_affinity(int thread, cpu_set_t *cpus, size_t cpus_size);
/* Can libnuma tell anything? */
bool ht_os_numa(void);
/* Free memory of a node (system number), or below 0 of the machine. */
bool ht_os_free_memory(int os_node, uint64_t *bytes);
/* A small file as a string, cut at size - 1 bytes; false: it can not be read. Never a cancellation point. */
bool ht_os_read_file(const char *path, char *text, size_t size);

/* Memory of a node in bytes: all of it, what is unused, what holds cached files. `directory` has a folder
 * node<os_node> with the kernel's file meminfo. */
struct ht_node_memory {
    size_t total, unused, files;
};
bool ht_os_node_memory(const char *directory, int os_node, struct ht_node_memory *out);
/* The share of every node, in 65536ths, below which the kernel looks for pages elsewhere or reclaims: its
 * high watermark, by the files of `directory` (/proc/sys/vm). 0 if they do not tell. */
unsigned ht_os_watermark(const char *directory);
/* Does the kernel drop a node's cached files before it takes pages of another node (vm.zone_reclaim_mode)? */
bool ht_os_reclaims(const char *directory);

void *ht_os_alloc(size_t bytes); /* zeroed                     */
void *ht_os_realloc(void *block, size_t bytes);
void ht_os_free(void *block);

/* A thread with all signals blocked but those of its own faults (SIGSEGV and the like, so that
 * crash reporters work), named for debuggers (15 bytes), bound before it starts to the CPUs given
 * (NULL: unbound). It must be joined, not detached. 0 or an errno. */
int ht_os_thread(pthread_t *thread, const char *name, void *(*main)(void *), void *data,
                 const cpu_set_t *cpus, size_t cpus_size);

/* pthread_key_create, pthread_setspecific, pthread_atfork: false with errno set. */
bool ht_os_thread_key(pthread_key_t *key, void (*exit)(void *));
bool ht_os_thread_set(pthread_key_t key, const void *value);
bool ht_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
/* Highest address of the calling thread's stack; NULL: unknown. */
char *ht_os_stack_base(void);

/* Bind the calling thread to these CPUs. */
bool ht_os_affinity(const cpu_set_t *cpus, size_t cpus_size);

/* Futex on a 32-bit word, private to the process: sleep while *word == expected (at most
 * timeout_ns; 0: for ever), wake n. May return early: the caller looks at the word again. Orders
 * nothing by itself. */
void ht_os_sleep(uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void ht_os_wake(uint32_t *word, int n);

/* A file that is written from the beginning: its descriptor, -1: none. It replaces what was there. */
int ht_os_create(const char *path);
/* All of it, whatever interrupts. */
bool ht_os_write(int file, const void *bytes, size_t count);
/* Close; false: what was written may be lost. */
bool ht_os_close(int file);
void ht_os_remove(const char *path);
/* A new file of `bytes`, zero, in place of what has the name; mapped shared and writable, its memory granted.
 * NULL: nothing is left of it. */
void *ht_os_share(const char *path, size_t bytes);
/* A file as it is, mapped to be read; *bytes gets its size. */
const void *ht_os_look(const char *path, size_t *bytes);

/* The system's number of the calling thread. */
int ht_os_thread_number(void);

uint64_t ht_os_now(void); /* CLOCK_MONOTONIC, ns        */
size_t ht_os_page_size(void);
uint64_t ht_os_physical_memory(void); /* bytes, also under a cgroup limit: the smaller */

#endif
