/* tests/numa/plugin.c - a QEMU plugin that counts loads and stores of the guest's programs by the node
 * of the processor and the node of the memory: options, loading, and which instructions are watched.
 *
 * Options: map=FILE     the machine, made by machine.awk                        (needed)
 *          report=FILE  the report; FILE.tsv gets the table             (standard error)
 *          cache=KIB    a cache model of this size for each virtual processor     (none)
 *          ways=N       its associativity                                            (8)
 *          pace=N       keep virtual processors within N accesses of each other     (off)
 *          lazy=1       watch only while a region is open: full speed outside, but all code is
 *                       translated again at each change                             (off)
 *
 * Built without any header of QEMU: see plugin_qemu.h for what it relies on. QEMU refuses a plugin of
 * another API version; install() refuses a QEMU that does not export what is needed, and the first
 * message from the guest finds out whether the layouts are those of QEMU 7.2. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "tests/numa/plugin.h"

__attribute__((visibility("default"))) int qemu_plugin_version = QEMU_API_VERSION;

struct na_options na_options = {.ways = 8};

static const uint8_t marker_bytes[] = {0x48, 0x8b, 0x87, 0x43, 0x43, 0x41, 0x4e};
static const uint8_t sysret_bytes[] = {0x48, 0x0f, 0x07};
static const uint8_t iret_bytes[] = {0x48, 0xcf};

static bool is(const struct qemu_plugin_insn *instruction, const uint8_t *bytes, size_t size)
{
    return qemu_plugin_insn_size(instruction) == size &&
           memcmp(qemu_plugin_insn_data(instruction), bytes, size) == 0;
}

static void watch(struct qemu_plugin_insn *instruction)
{
    if (qemu_plugin_insn_vaddr(instruction) >> 63) { /* the kernel */
        if (is(instruction, sysret_bytes, sizeof sysret_bytes) ||
            is(instruction, iret_bytes, sizeof iret_bytes))
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, na_to_user, QEMU_PLUGIN_CB_NO_REGS,
                                                   NULL);
    } else if (is(instruction, marker_bytes, sizeof marker_bytes)) {
        qemu_plugin_register_vcpu_mem_cb(instruction, na_marker, QEMU_PLUGIN_CB_R_REGS,
                                         QEMU_PLUGIN_MEM_RW, NULL);
    } else if (!na_options.lazy || __atomic_load_n(&na_open_regions, __ATOMIC_RELAXED) > 0) {
        qemu_plugin_register_vcpu_mem_cb(instruction, na_count_access, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, NULL);
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++)
        watch(qemu_plugin_tb_get_insn(block, i));
}

/* 7.2 leaves a virtual processor's pointer to memory callbacks set when an instruction leaves its
 * block early, and frees what it points to when translations are flushed; the next access of a helper
 * then aborts QEMU. All virtual processors stand still here: take the pointers away. */
static void flushed(qemu_plugin_id_t id)
{
    (void)id;
    for (int vcpu = 0; vcpu < na_machine.vcpus; vcpu++)
        if (na_machine.node_of[vcpu] >= 0)
            na_qemu.disable_memory_helpers(na_qemu.get_cpu(vcpu));
}

static void finished(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    na_report();
}

static bool refuse(const char *why, const char *what)
{
    fprintf(stderr, "access plugin: %s%s\n", why, what);
    return false;
}

static bool parse_number(const char *text, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *number = (unsigned)value;
    return *text != '\0' && *text != '-' && *end == '\0' && value <= 1000000000;
}

static bool parse_option(const char *option)
{
    static const struct {
        const char *name;
        unsigned *number;
    } numbers[] = {{"cache=", &na_options.cache_kib},
                   {"ways=", &na_options.ways},
                   {"pace=", &na_options.pace}};

    if (strncmp(option, "map=", 4) == 0) {
        na_options.map = strdup(option + 4);
        return na_options.map != NULL;
    }
    if (strncmp(option, "report=", 7) == 0) {
        na_options.report = strdup(option + 7);
        return na_options.report != NULL;
    }
    if (strcmp(option, "lazy=1") == 0 || strcmp(option, "lazy=on") == 0) {
        na_options.lazy = true;
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        size_t length = strlen(numbers[i].name);
        if (strncmp(option, numbers[i].name, length) == 0 &&
            parse_number(option + length, numbers[i].number))
            return true;
    }
    return refuse("unknown or wrong option ", option);
}

static bool fits(const qemu_info_t *info)
{
    if (info->version.cur != QEMU_API_VERSION)
        return refuse("this QEMU's plugin API is not version 1 (Debian 12's QEMU 7.2 has it)", "");
    if (!info->system_emulation || strcmp(info->target_name, "x86_64") != 0)
        return refuse("made for machines of x86_64, not for ", info->target_name);
    if (!na_qemu_open())
        return refuse("this QEMU does not export qemu_get_cpu, x86_cpu_gdb_read_register, tb_flush "
                      "and qemu_plugin_disable_mem_helpers (Debian 12's QEMU 7.2 does)",
                      "");
    if (!na_map_open())
        return refuse("map= names no usable map: ",
                      na_options.map ? na_options.map : "it is absent");
    if (na_machine.vcpus > info->system.max_vcpus)
        return refuse("the map has more processors than the machine", "");
    if (!na_count_open() || !na_cache_open())
        return refuse("no memory for the counters, or wrong cache=, ways=", "");
    return true;
}

__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!parse_option(argv[i]))
            return 1;
    if (!fits(info))
        return 1;
    na_pace_open(id);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_flush_cb(id, flushed);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
