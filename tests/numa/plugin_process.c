/* tests/numa/plugin_process.c - who runs on a virtual processor: is its process counted, under which
 * region, and with which tag.
 *
 * A process is known by its page table (CR3), a thread by its thread pointer (FS base). Neither can
 * change without the kernel, so they are looked up at the first access after each return to user mode:
 * the instructions that return (sysret, iret) mark the processor stale.
 *
 * Invariant: where na_vcpus[v].now points to counters, they are those of the innermost region of
 * na_vcpus[v].process and of the running thread's tag. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#include "tests/numa/plugin.h"

struct na_qemu na_qemu;
struct na_vcpu na_vcpus[NA_VCPUS];
struct na_counts na_stale[1];
int na_open_regions;

static struct na_process processes[NA_PROCESSES];
static int process_count;
static unsigned generation; /* of everything that na_resolve looks at */

static void *find(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* False if this QEMU does not export what is needed. */
bool na_qemu_open(void)
{
    na_qemu.get_cpu = (void *(*)(int))find("qemu_get_cpu");
    na_qemu.read_register =
        (int (*)(void *, struct na_bytes *, int))find("x86_cpu_gdb_read_register");
    na_qemu.bytes_new = (struct na_bytes * (*)(void)) find("g_byte_array_new");
    na_qemu.bytes_set_size =
        (struct na_bytes * (*)(struct na_bytes *, unsigned)) find("g_byte_array_set_size");
    na_qemu.flush_translations = (void (*)(void *))find("tb_flush");
    na_qemu.disable_memory_helpers = (void (*)(void *))find("qemu_plugin_disable_mem_helpers");
    return na_qemu.get_cpu != NULL && na_qemu.read_register != NULL && na_qemu.bytes_new != NULL &&
           na_qemu.bytes_set_size != NULL && na_qemu.flush_translations != NULL &&
           na_qemu.disable_memory_helpers != NULL;
}

/* Called by the virtual processor's own thread. */
static uint64_t read_register(unsigned vcpu, int number)
{
    struct na_vcpu *self = &na_vcpus[vcpu];
    uint64_t value = 0;

    if (self->registers == NULL) {
        self->registers = na_qemu.bytes_new();
        self->cpu = na_qemu.get_cpu((int)vcpu);
    }
    na_qemu.bytes_set_size(self->registers, 0);
    na_qemu.read_register(self->cpu, self->registers, number);
    memcpy(&value, self->registers->data,
           self->registers->length < sizeof value ? self->registers->length : sizeof value);
    return value;
}

/* Without the low bits: they are the hardware's tag of the address space. */
uint64_t na_page_table(unsigned vcpu)
{
    return read_register(vcpu, QEMU_REGISTER_CR3) & ~UINT64_C(0xfff);
}

uint64_t na_thread_pointer(unsigned vcpu)
{
    return read_register(vcpu, QEMU_REGISTER_FS_BASE);
}

/* NULL if it is unknown, or there are too many. Adding needs the markers' lock. */
struct na_process *na_process_of(uint64_t table, bool add)
{
    int count = __atomic_load_n(&process_count, __ATOMIC_ACQUIRE);
    for (int i = 0; i < count; i++)
        if (processes[i].table == table)
            return &processes[i];
    if (!add || count == NA_PROCESSES)
        return NULL;
    memset(&processes[count], 0, sizeof processes[count]);
    processes[count].table = table;
    __atomic_store_n(&process_count, count + 1, __ATOMIC_RELEASE);
    return &processes[count];
}

void na_process_tag(struct na_process *process, uint64_t pointer, int tag)
{
    int i = 0;
    while (i < process->thread_count && process->threads[i].pointer != pointer)
        i++;
    if (i == NA_THREADS) {
        na_fail("too many threads with tags");
        return;
    }
    process->threads[i] = (struct na_thread){.pointer = pointer, .tag = tag};
    if (i == process->thread_count)
        __atomic_store_n(&process->thread_count, i + 1, __ATOMIC_RELEASE);
}

void na_process_reset(void)
{
    __atomic_store_n(&process_count, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&na_open_regions, 0, __ATOMIC_RELEASE);
}

static int tag_of(const struct na_process *process, uint64_t pointer)
{
    int count = __atomic_load_n(&process->thread_count, __ATOMIC_ACQUIRE);
    for (int i = 0; i < count; i++)
        if (process->threads[i].pointer == pointer)
            return process->threads[i].tag;
    return 0;
}

/* Finds out what this virtual processor, now in user mode, counts into: NULL or counters by class. */
struct na_counts *na_resolve(unsigned vcpu)
{
    struct na_vcpu *self = &na_vcpus[vcpu];
    struct na_counts *now;
    unsigned seen;

    do {
        seen = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
        now = NULL;
        if (__atomic_load_n(&na_open_regions, __ATOMIC_RELAXED) > 0) {
            struct na_process *process = na_process_of(na_page_table(vcpu), false);
            int depth = process != NULL ? __atomic_load_n(&process->depth, __ATOMIC_ACQUIRE) : 0;
            self->process = process;
            if (depth > 0)
                now = na_counters(process->regions[depth - 1],
                                  tag_of(process, na_thread_pointer(vcpu)), (int)vcpu);
        }
        __atomic_store_n(&self->now, now, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    } while (seen != __atomic_load_n(&generation, __ATOMIC_ACQUIRE));
    return now;
}

/* Regions, tags or classes are others than before: everybody looks again. */
void na_changed(void)
{
    struct na_counts *next =
        __atomic_load_n(&na_open_regions, __ATOMIC_RELAXED) > 0 ? na_stale : NULL;
    __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < NA_VCPUS; i++)
        __atomic_store_n(&na_vcpus[i].now, next, __ATOMIC_RELAXED);
}

/* Before an instruction that returns to user mode: another thread may go on there. */
void na_to_user(unsigned vcpu, void *data)
{
    (void)data;
    if (vcpu < NA_VCPUS && __atomic_load_n(&na_open_regions, __ATOMIC_RELAXED) > 0)
        __atomic_store_n(&na_vcpus[vcpu].now, na_stale, __ATOMIC_RELAXED);
}
