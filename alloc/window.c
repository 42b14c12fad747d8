/* alloc/window.c - window sets: address space, memory policy, arenas; one set per layout.
 *
 * The table of sets is the one global state of hearth: mimalloc's arenas can be neither removed nor
 * moved, so neither can a window that one of them manages. A set whose creation fails after that
 * stays in the table and creation resumes where it stopped when the layout is asked for again.
 * Invariant: node i's window is [base + (i << shift), base + ((i + 1) << shift), mapped as long as
 * the process lives, and only mimalloc's arena i allocates in it.
 * Lock order: table lock < set lock < keeper lock. The tables of a set lie where they are touched
 * first. */
#define _GNU_SOURCE 1

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc/window_state.h"
#include "topology/error.h"
#include "topology/os.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

enum {
    HA_WINDOW_MIN_SHIFT = 26,  /* 64 MiB: two arena blocks of mimalloc                      */
    HA_WINDOW_MAX_SHIFT = 46,  /* half of user space                                        */
    HA_WINDOW_AUTO_SHIFT = 36, /* 64 GiB: least of what is chosen automatically            */
    HA_ALIGN_SHIFT = 30        /* windows begin at a multiple of 1 GiB, or of their size    */
};

static pthread_mutex_t ha_table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ha_window_state *ha_table;

/* --- what to ask for ------------------------------------------------------------------------------- */

bool ha_mimalloc_known(int version)
{
    return version >= 200 && version < 210;
}

bool ha_overcommit_never(const char *path)
{
    char text[16];

    return ht_os_read_file(path, text, sizeof(text)) && text[0] == '2';
}

bool ha_on_valgrind(void)
{
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

size_t ha_window_size(size_t option, uint64_t physical)
{
    unsigned shift = option != 0 ? HA_WINDOW_MIN_SHIFT : HA_WINDOW_AUTO_SHIFT;
    uint64_t least = option != 0 ? option : physical;

    if (option == 0 && least < UINT64_MAX / 16)
        least *= 16;
    while (shift < HA_WINDOW_MAX_SHIFT && ((uint64_t)1 << shift) < least)
        shift++;
    return (size_t)1 << shift;
}

/* Fake nodes bind to their real ones; a policy of the user's is obeyed, and a synthetic machine has
 * nothing to bind to. */
static void ha_layout_make(struct ha_layout *layout, const struct hearth_topology *topology,
                           const struct hearth_options *options)
{
    memset(layout, 0, sizeof(*layout));
    layout->nodes = topology->nodes;
    for (int i = 0; i < topology->nodes; i++)
        layout->os_node[i] = topology->node[i].os_node;
    if (options->policy != HT_POLICY_OFF && !topology->synthetic && !topology->user_policy)
        layout->binding = options->policy == HT_POLICY_STRICT ? 'b' : 'p';
    if (topology->spread > 1 && layout->binding != 0) { /* one window over all nodes */
        layout->binding = 'i';
        memset(layout->os_node, 0, sizeof(layout->os_node));
        layout->spread = topology->spread;
        for (int i = 0; i < topology->spread; i++)
            layout->os_node[i] = topology->spread_node[i];
    }
    layout->hugepages = options->hugepages;
    layout->window = options->window;
}

/* --- address space --------------------------------------------------------------------------------- */

/* Map nodes << shift bytes, aligned. Windows above the smallest size are taken only if as much again can
 * be mapped, so that the rest of the process is not starved where address space is limited. */
static bool ha_map_aligned(struct ha_windows *windows, unsigned shift, bool writable)
{
    size_t bytes = (size_t)windows->nodes << shift;
    size_t align = (size_t)1 << (shift < HA_ALIGN_SHIFT ? shift : HA_ALIGN_SHIFT);
    size_t mapped = bytes + align + (shift > HA_WINDOW_MIN_SHIFT ? bytes : 0);
    char *start = ht_os_map(mapped, writable);
    char *base, *end;

    if (start == NULL)
        return false;
    base = (char *)(((uintptr_t)start + align - 1) & -(uintptr_t)align);
    end = base + bytes;
    if (base > start)
        ht_os_unmap(start, (size_t)(base - start));
    if (start + mapped > end)
        ht_os_unmap(end, (size_t)(start + mapped - end));
    windows->base = (uintptr_t)base;
    windows->bytes = bytes;
    windows->shift = shift;
    windows->committed = writable;
    return true;
}

/* The largest windows that can be had, writable if the kernel lets us. memcheck's search for leaks
 * reads all that is writable, so there only what is in use may be. */
static bool ha_map_windows(struct ha_windows *windows, size_t size, const char *overcommit)
{
    unsigned first = (unsigned)__builtin_ctzll(size);

    bool lazy = ha_overcommit_never(overcommit) || ha_on_valgrind();

    for (int writable = !lazy; writable >= 0; writable--)
        for (unsigned shift = first; shift >= HA_WINDOW_MIN_SHIFT; shift--)
            if (ha_map_aligned(windows, shift, writable))
                return true;
    return false;
}

static bool ha_map_tables(struct ha_window_state *state)
{
    struct ha_windows *windows = &state->windows;
    size_t slots = windows->bytes >> HA_CHUNK_SHIFT;

    state->table_bytes = slots * (sizeof(struct ha_slot) + 1);
    windows->slot = ht_os_map(state->table_bytes, true);
    state->kind = (uint8_t *)(windows->slot + slots);
    return windows->slot != NULL;
}

/* Memory policy and advice. What is refused (containers without mbind, kernels without huge pages) is
 * done without: pages then lie where they are touched first. */
static void ha_bind_windows(struct ha_window_state *state)
{
    struct ha_windows *windows = &state->windows;
    const struct ha_layout *layout = &state->layout;
    void *base = (void *)windows->base;

    windows->bound = layout->binding != 0;
    for (int i = 0; i < windows->nodes && windows->bound; i++)
        windows->bound = ht_os_bind((char *)base + ((size_t)i << windows->shift),
                                    (size_t)1 << windows->shift, (char)layout->binding,
                                    &layout->os_node[i], layout->spread > 1 ? layout->spread : 1);
    ht_os_advise(base, windows->bytes, MADV_DONTDUMP);
    if (layout->hugepages != HT_HUGE_INHERIT)
        ht_os_advise(base, windows->bytes,
                     layout->hugepages == HT_HUGE_ON ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

int ha_windows_asked(const struct ha_windows *windows, int node)
{
    const struct ha_layout *layout = &windows->state->layout;

    if (!windows->bound || windows->nodes == 1)
        return -1;
    for (int n = 0; n < windows->nodes; n++)
        if (n != node && layout->os_node[n] == layout->os_node[node])
            return -1;
    return layout->os_node[node];
}

bool ha_windows_strict(const struct ha_windows *windows)
{
    return windows->state->layout.binding == 'b';
}

/* Where metadata goes when a node is full. */
static void ha_state_places(struct ha_window_state *state, const struct hearth_topology *topology)
{
    for (int i = 0; i < state->windows.nodes; i++) {
        memcpy(state->order[i], topology->node[i].order, sizeof(state->order[i]));
        ha_room_init(&state->node[i].meta.room, ha_windows_asked(&state->windows, i),
                     ha_windows_strict(&state->windows), HA_ROOM_META);
    }
}

/* --- sets ------------------------------------------------------------------------------------------ */

/* Everything before mimalloc sees the windows: can be undone. */
static hearth_status ha_state_map(struct ha_window_state *state, const char *overcommit)
{
    struct ha_windows *windows = &state->windows;
    size_t size = ha_window_size(state->layout.window, ht_os_physical_memory());

    if (!ha_map_windows(windows, size, overcommit))
        return ht_fail(HEARTH_ENOMEM,
                       "no address space for windows of %d nodes, not even of 64 MiB",
                       windows->nodes);
    if (!ha_map_tables(state)) {
        ht_os_unmap((void *)windows->base, windows->bytes);
        return ht_fail(HEARTH_ENOMEM, "no address space for the slot table (%zu bytes)",
                       state->table_bytes);
    }
    ha_bind_windows(state);
    for (int i = 0; i < windows->nodes; i++)
        state->node[i].step = windows->committed ? 0 : HA_STEP_LAZY;
    return HEARTH_OK;
}

static void ha_state_destroy(struct ha_window_state *state)
{
    if (state->windows.slot != NULL) {
        ht_os_unmap((void *)state->windows.base, state->windows.bytes);
        ht_os_unmap(state->windows.slot, state->table_bytes);
    }
    for (int i = 0; i < HT_MAX_NODES; i++)
        pthread_cond_destroy(&state->node[i].refilled);
    pthread_mutex_destroy(&state->lock);
    ht_os_free(state);
}

static hearth_status ha_state_create(struct ha_window_state **out, const struct ha_layout *layout,
                                     const struct hearth_topology *topology, const char *overcommit)
{
    struct ha_window_state *state = ht_os_alloc(sizeof(*state));
    hearth_status status;

    if (state == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a window set (%zu bytes)", sizeof(*state));
    state->layout = *layout;
    state->windows.nodes = layout->nodes;
    state->windows.state = state;
    pthread_mutex_init(&state->lock, NULL);
    for (int i = 0; i < HT_MAX_NODES; i++)
        pthread_cond_init(&state->node[i].refilled, NULL);
    status = ha_state_map(state, overcommit);
    if (status != HEARTH_OK) {
        ha_state_destroy(state);
        return status;
    }
    ha_state_places(state, topology);
    *out = state;
    return HEARTH_OK;
}

/* Hand the windows to mimalloc and start the keeper; goes on where an earlier call has failed. */
static hearth_status ha_state_manage(struct ha_window_state *state)
{
    struct ha_windows *windows = &state->windows;
    size_t size = (size_t)1 << windows->shift;
    hearth_status status = HEARTH_OK;

    for (; state->managed < windows->nodes; state->managed++) {
        int node = state->managed;

        if (ht_fault_hit(HT_FAULT_ARENA, ENOMEM) ||
            !mi_manage_os_memory_ex((void *)(windows->base + ((uintptr_t)node << windows->shift)),
                                    size, windows->committed, false, true, -1, true,
                                    &state->arena[node]))
            return ht_fail(
                HEARTH_ESYSTEM,
                "mimalloc takes no arena for node %d of %d (%zu MiB): a process can have "
                "64, and those of earlier layouts stay",
                node, windows->nodes, size >> 20);
    }
    if (state->keeper == NULL)
        status = ha_keeper_start(&state->keeper, windows);
    if (status == HEARTH_OK)
        status = ha_keeper_open(state->keeper, state->arena);
    state->ready = status == HEARTH_OK;
    return status;
}

/* Find or make the layout's set; table lock held. */
static hearth_status ha_table_get(struct ha_window_state **out, const struct ha_layout *layout,
                                  const struct hearth_topology *topology, const char *overcommit)
{
    struct ha_window_state *state = ha_table;
    hearth_status status;

    while (state != NULL && memcmp(&state->layout, layout, sizeof(*layout)) != 0)
        state = state->next;
    *out = state;
    if (state != NULL)
        return state->ready ? HEARTH_OK : ha_state_manage(state);
    status = ha_state_create(&state, layout, topology, overcommit);
    if (status != HEARTH_OK)
        return status;
    assert(state != NULL);
    status = ha_state_manage(state);
    if (state->managed == 0) {
        ha_state_destroy(state);
        return status;
    }
    state->next = ha_table;
    ha_table = state;
    *out = state;
    return status;
}

struct ha_window_state *ha_table_hold(void)
{
    pthread_mutex_lock(&ha_table_lock);
    return ha_table;
}

void ha_table_release(void)
{
    pthread_mutex_unlock(&ha_table_lock);
}

hearth_status ha_windows_open(struct ha_windows **out, const struct hearth_topology *topology,
                              const struct hearth_options *options, const char *overcommit)
{
    struct ha_window_state *state;
    struct ha_layout layout;
    hearth_status status;

    if (topology->nodes < 1 || topology->nodes > HT_MAX_NODES)
        return ht_fail(HEARTH_EINVAL, "a topology of %d nodes", topology->nodes);
    if (!ha_mimalloc_known(mi_version()))
        return ht_fail(HEARTH_ESYSTEM, "mimalloc has version %d; hearth needs 2.0.x (200 to 209)",
                       mi_version());
    ha_layout_make(&layout, topology, options);
    pthread_mutex_lock(&ha_table_lock);
    status = ha_table_get(&state, &layout, topology, overcommit);
    pthread_mutex_unlock(&ha_table_lock);
    if (status == HEARTH_OK)
        *out = &state->windows;
    return status;
}

hearth_status ha_windows_get(struct ha_windows **out, const struct hearth_topology *topology,
                             const struct hearth_options *options)
{
    return ha_windows_open(out, topology, options, "/proc/sys/vm/overcommit_memory");
}
