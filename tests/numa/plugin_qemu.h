/* tests/numa/plugin_qemu.h - the part of QEMU that the access-counting plugin uses.
 *
 * Debian packages no plugin header, so the prototypes of plugin API version 1 (QEMU 4.2 to 8.1) stand
 * here. What goes beyond the public API is marked; each of it is checked at run time:
 *   - struct na_hwaddr is QEMU 7.2's struct qemu_plugin_hwaddr (na_message_of in plugin_marker.c);
 *   - QEMU's own functions are looked up by name (na_qemu_open in plugin_process.c), their results are
 *     compared with what the guest says of itself (check_map.c). */
#ifndef HEARTH_TESTS_NUMA_PLUGIN_QEMU_H
#define HEARTH_TESTS_NUMA_PLUGIN_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEMU_API_VERSION 1

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

typedef struct {
    const char *target_name;
    struct {
        int min;
        int cur;
    } version;
    bool system_emulation;
    struct {
        int smp_vcpus;
        int max_vcpus;
    } system;
} qemu_info_t;

enum { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };

/* Asking for loads alone (1) never calls back in 7.2: ask for both and look. */
enum { QEMU_PLUGIN_MEM_RW = 3 };

typedef void (*qemu_memory_callback)(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address,
                                     void *data);
typedef void (*qemu_instruction_callback)(unsigned vcpu, void *data);
typedef void (*qemu_vcpu_callback)(qemu_plugin_id_t id, unsigned vcpu);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                           void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, qemu_instruction_callback,
                                            int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, qemu_memory_callback, int flags,
                                      int which, void *data);
void qemu_plugin_register_vcpu_idle_cb(qemu_plugin_id_t, qemu_vcpu_callback);
void qemu_plugin_register_vcpu_resume_cb(qemu_plugin_id_t, qemu_vcpu_callback);
void qemu_plugin_register_flush_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);

/* Beyond the public API: struct qemu_plugin_hwaddr of 7.2, as far as it is needed for memory. */
struct na_hwaddr {
    bool is_io;
    bool is_store;
    uint8_t *host; /* the accessed byte in QEMU's own address space */
};

/* Beyond the public API: GLib's GByteArray, into which QEMU reads registers. */
struct na_bytes {
    uint8_t *data;
    unsigned length;
};

/* gdb's numbers of two registers of x86-64. */
enum { QEMU_REGISTER_FS_BASE = 24, QEMU_REGISTER_CR3 = 29 };

/* Functions that Debian's QEMU exports for its modules. NULL if it does not. */
struct na_qemu {
    void *(*get_cpu)(int index); /* qemu_get_cpu               */
    int (*read_register)(void *cpu, struct na_bytes *to,
                         int number);    /* x86_cpu_gdb_read_register  */
    struct na_bytes *(*bytes_new)(void); /* g_byte_array_new           */
    struct na_bytes *(*bytes_set_size)(struct na_bytes *,
                                       unsigned); /* g_byte_array_set_size      */
    void (*flush_translations)(void *cpu);        /* tb_flush                   */
    void (*disable_memory_helpers)(void *cpu);    /* qemu_plugin_disable_mem_.. */
};

#endif
