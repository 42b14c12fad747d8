/* tests/numa/plugin_pace.c - keeps virtual processors abreast: option pace=N.
 *
 * A host with fewer processors than the guest runs some of them for a whole time slice while the
 * others stand still, and whoever runs takes the others' work, which looks like bad locality and is
 * none. With pace=N a virtual processor that is more than N counted accesses ahead of the slowest
 * busy one waits a little. A wait ends in any case: the slow one may be waiting for us. */
#include <time.h>

#include "tests/numa/plugin.h"

enum {
    LOOK_EVERY = 256, /* counted accesses */
    WAITS = 40,       /* at most, for each look */
    WAIT_NANOSECONDS = 50000
};

static uint64_t waits;

static void idle(qemu_plugin_id_t id, unsigned vcpu)
{
    (void)id;
    if (vcpu < NA_VCPUS)
        __atomic_store_n(&na_vcpus[vcpu].idle, true, __ATOMIC_RELAXED);
}

static void resume(qemu_plugin_id_t id, unsigned vcpu)
{
    (void)id;
    if (vcpu >= NA_VCPUS)
        return;
    na_vcpus[vcpu].woke = true;
    __atomic_store_n(&na_vcpus[vcpu].idle, false, __ATOMIC_RELAXED);
}

void na_pace_open(qemu_plugin_id_t id)
{
    if (na_options.pace == 0)
        return;
    qemu_plugin_register_vcpu_idle_cb(id, idle);
    qemu_plugin_register_vcpu_resume_cb(id, resume);
}

/* The progress of the slowest other processor that is busy in a region, UINT64_MAX: none is. */
static uint64_t slowest(unsigned vcpu)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < na_machine.vcpus; i++) {
        struct na_vcpu *other = &na_vcpus[i];
        struct na_counts *now = __atomic_load_n(&other->now, __ATOMIC_RELAXED);
        if (i == (int)vcpu || now == NULL || now == na_stale ||
            __atomic_load_n(&other->idle, __ATOMIC_RELAXED))
            continue;
        uint64_t progress = __atomic_load_n(&other->progress, __ATOMIC_RELAXED);
        if (progress < least)
            least = progress;
    }
    return least;
}

static void look(struct na_vcpu *self, unsigned vcpu)
{
    static const struct timespec nap = {0, WAIT_NANOSECONDS};
    uint64_t least = slowest(vcpu);

    if (least == UINT64_MAX)
        return;
    if (self->woke) { /* it was idle, not slow */
        self->woke = false;
        if (self->progress < least)
            __atomic_store_n(&self->progress, least, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < WAITS && least != UINT64_MAX && self->progress > least + na_options.pace;
         i++) {
        nanosleep(&nap, NULL);
        __atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED);
        least = slowest(vcpu);
    }
}

/* One more access of this virtual processor. */
void na_pace_step(unsigned vcpu)
{
    struct na_vcpu *self = &na_vcpus[vcpu];
    __atomic_store_n(&self->progress, self->progress + 1, __ATOMIC_RELAXED);
    if (self->progress % LOOK_EVERY == 0 || self->woke)
        look(self, vcpu);
}

uint64_t na_pace_waits(void)
{
    return __atomic_load_n(&waits, __ATOMIC_RELAXED);
}
