/* tests/numa/access.h - how a program in the guest tells the access-counting plugin what to count, and
 * asks it for the counts.
 *
 * A marker is one instruction, `mov NA_MARKER(%rdi),%rax` with a displacement that no compiler makes
 * up, which loads the first word of a message. The plugin knows it by its bytes when QEMU translates
 * it, reads the message and answers in it. Without the plugin (on a real machine, or in a guest that
 * was started without it) a marker is one harmless load; na_present() tells which it is.
 *
 *     na_class(heap, heap + size, "heap");       addresses in there belong to class "heap"
 *     na_tag("worker");                          in each worker thread
 *     na_begin("mark");                          from here on accesses of this process are counted
 *     ...
 *     na_end();
 *     struct na_sums sums = na_query("mark", "worker", "heap");
 *
 * Regions nest and belong to the process: all its threads are counted under the innermost region,
 * whichever thread began it. Tags belong to threads, classes to the process. Threads without a tag and
 * addresses without a class are called "-". Names are cut after 31 bytes.
 *
 * The plugin knows a process by its page table and a thread by its thread pointer, and the kernel uses
 * both again: a thread takes its tag off (na_tag("")) before it ends if another may be created, and
 * a program that was not the only one to use the plugin starts with na_reset(). */
#ifndef HEARTH_TESTS_NUMA_ACCESS_H
#define HEARTH_TESTS_NUMA_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#define NA_MAGIC  UINT64_C(0x316174414e726148) /* first word of a message                       */
#define NA_MARKER 0x4e414343                   /* the marker's displacement                      */
#define NA_NAME   32                           /* bytes of a name, with its end                  */
#define NA_ANY    (-1)                         /* any node                                       */

enum na_operation {
    NA_HELLO = 1, /* region <- why the numbers are not to be trusted, "" if they are             */
    NA_BEGIN,     /* region: counted from now on                                                 */
    NA_END,       /* back to the region outside                                                  */
    NA_TAG,       /* tag, low: thread pointer of the thread that gets it, 0 for the caller       */
    NA_CLASS,     /* low, high, class: accesses to [low, high) belong to the class               */
    NA_QUERY,     /* region, tag, class ("": all), low, high: CPU node, memory node: sums <-     */
    NA_PLACE,     /* low: this CPU's node, high: the message's node, region: see check_map.c     */
    NA_COLD,      /* empties the modelled caches                                                 */
    NA_RESET,     /* forgets everything                                                          */
    NA_CLOCK,     /* low <- host processor time of this virtual processor's thread, ns           */
};

/* Sums over all processors, or over one CPU node and one memory node. "Local": the CPU's node is the
 * node of the memory. The second half is 0 without the cache model. */
struct na_sums {
    uint64_t loads_local, loads_remote;         /* accesses: see README.md for what is one        */
    uint64_t stores_local, stores_remote;       /*                                                */
    uint64_t distance;                          /* sum of the SLIT distances of all accesses      */
    uint64_t elsewhere;                         /* accesses to no node: devices                   */
    uint64_t fills_local, fills_remote;         /* misses that memory served                      */
    uint64_t transfers_local, transfers_remote; /* misses and upgrades that other caches served   */
    uint64_t writebacks_local,
        writebacks_remote;  /* dirty lines that went back to memory           */
    uint64_t miss_distance; /* sum of the distances of fills and transfers    */
};

/* Lies within one page: its size divides the page's. */
struct na_message {
    uint64_t magic;       /* NA_MAGIC                                            */
    uint32_t operation;   /* enum na_operation                                   */
    uint32_t answered;    /* the plugin: 1                                       */
    uint64_t low, high;   /* operands                                            */
    char region[NA_NAME]; /*                                                     */
    char tag[NA_NAME];    /*                                                     */
    char class_[NA_NAME]; /*                                                     */
    struct na_sums sums;  /* the plugin's answer                                 */
} __attribute__((aligned(256)));

static inline void na_send(struct na_message *message, uint32_t operation)
{
    uint64_t word, base = (uint64_t)(uintptr_t)message - NA_MARKER;

    message->magic = NA_MAGIC;
    message->operation = operation;
    /* The bytes of mov NA_MARKER(%rdi),%rax. */
    __asm__ volatile(".byte 0x48,0x8b,0x87,0x43,0x43,0x41,0x4e"
                     : "=a"(word)
                     : "D"(base)
                     : "memory");
}

static inline void na_name(char to[NA_NAME], const char *from)
{
    int i = 0;
    while (i < NA_NAME - 1 && from[i] != '\0') {
        to[i] = from[i];
        i++;
    }
    to[i] = '\0';
}

/* Is the plugin there? */
static inline bool na_present(void)
{
    struct na_message message = {.answered = 0};
    na_send(&message, NA_HELLO);
    return message.answered != 0;
}

/* Why the numbers are not to be trusted, in `reason`; true if they are. */
static inline bool na_trusted(char reason[NA_NAME])
{
    struct na_message message = {.answered = 0};
    na_send(&message, NA_HELLO);
    na_name(reason, message.answered ? message.region : "no plugin");
    return reason[0] == '\0';
}

/* `pause` leaves QEMU's translated code: what was asked for is in force after it. */
static inline void na_begin(const char *region)
{
    struct na_message message = {.answered = 0};
    na_name(message.region, region);
    na_send(&message, NA_BEGIN);
    __asm__ volatile("pause" ::: "memory");
}

static inline void na_end(void)
{
    struct na_message message = {.answered = 0};
    na_send(&message, NA_END);
    __asm__ volatile("pause" ::: "memory");
}

/* The calling thread's tag; "" takes it off. */
static inline void na_tag(const char *tag)
{
    struct na_message message = {.answered = 0};
    na_name(message.tag, tag);
    na_send(&message, NA_TAG);
}

/* Another thread's tag: with glibc, `thread` is its pthread_t. */
static inline void na_tag_thread(uint64_t thread, const char *tag)
{
    struct na_message message = {.low = thread};
    na_name(message.tag, tag);
    na_send(&message, NA_TAG);
}

/* Where ranges overlap, the one named last counts. */
static inline void na_class(const void *low, const void *high, const char *name)
{
    struct na_message message = {.low = (uint64_t)(uintptr_t)low,
                                 .high = (uint64_t)(uintptr_t)high};
    na_name(message.class_, name);
    na_send(&message, NA_CLASS);
}

/* Sums of a region (without those nested in it) between nodes; "" and NA_ANY mean all. */
static inline struct na_sums na_query_nodes(const char *region, const char *tag, const char *name,
                                            int cpu_node, int memory_node)
{
    struct na_message message = {.low = (uint64_t)(int64_t)cpu_node,
                                 .high = (uint64_t)(int64_t)memory_node};
    na_name(message.region, region);
    na_name(message.tag, tag);
    na_name(message.class_, name);
    na_send(&message, NA_QUERY);
    return message.sums;
}

static inline struct na_sums na_query(const char *region, const char *tag, const char *name)
{
    return na_query_nodes(region, tag, name, NA_ANY, NA_ANY);
}

static inline void na_cold(void)
{
    struct na_message message = {.answered = 0};
    na_send(&message, NA_COLD);
}

/* Forgets counts, names, regions, tags and classes, of all processes. */
static inline void na_reset(void)
{
    struct na_message message = {.answered = 0};
    na_send(&message, NA_RESET);
}

/* Processor time that the host spent on this virtual processor, whatever else the host does. Keep the
 * thread on one processor between two readings. 0 without the plugin. */
static inline uint64_t na_clock(void)
{
    struct na_message message = {.low = 0};
    na_send(&message, NA_CLOCK);
    return message.answered ? message.low : 0;
}

static inline uint64_t na_accesses(const struct na_sums *sums)
{
    return sums->loads_local + sums->loads_remote + sums->stores_local + sums->stores_remote;
}

/* Share of local accesses, in percent; 0 of nothing. */
static inline double na_local_percent(const struct na_sums *sums)
{
    uint64_t all = na_accesses(sums);
    return all ? 100.0 * (double)(sums->loads_local + sums->stores_local) / (double)all : 0;
}

#endif
