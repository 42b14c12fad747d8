/* python/src/collect.c - one collection of one generation.
 *
 * The order of the steps, what they count and what they print is CPython's. The generation is divided
 * before anything else is changed but for joining the younger lists, so that without memory the
 * built-in collector finds everything as it was.
 * Free lists of the interpreter are emptied by the built-in pass that follows every collection
 * (takeover.c).
 * Locks: the GIL. */
#include "collect.h"

#include <internal/pycore_pyerrors.h>

#include "topology/os.h"

static void hp_print_begin(hp_gc *gc, int generation)
{
    PySys_WriteStderr("gc: collecting generation %d...\n", generation);
    PySys_FormatStderr("gc: objects in each generation: %zd %zd %zd\n",
                       hp_list_size(hp_generation(gc, 0)), hp_list_size(hp_generation(gc, 1)),
                       hp_list_size(hp_generation(gc, 2)));
    PySys_FormatStderr("gc: objects in permanent generation: %zd\n",
                       hp_list_size(&gc->permanent_generation.head));
}

static void hp_print_end(Py_ssize_t unreachable, Py_ssize_t uncollectable, uint64_t ns)
{
    PySys_WriteStderr("gc: done, %zd unreachable, %zd uncollectable, %.4fs elapsed\n", unreachable,
                      uncollectable, (double)ns / 1e9);
}

/* Is it to be expected that most objects of a full collection are dead? If most are new, and it was so
 * with the new ones of the last. What is on the youngest list and what came since the last full
 * collection is known about. */
static bool hp_expect_dead(const struct hp_state *state)
{
    const hp_gc *gc = state->gc;
    Py_ssize_t fresh = gc->generations[0].count + gc->long_lived_pending;
    return state->died && fresh > 4 * gc->long_lived_total;
}

/* Join the younger lists with the generation's, divide that. */
static bool hp_divide_generation(struct hp_state *state, struct hp_scratch *scratch, int generation,
                                 struct hp_dead *dead)
{
    hp_gc *gc = state->gc;
    PyGC_Head *list = hp_generation(gc, generation);
    hp_list_init(&dead->list);
    for (int i = 0; i < generation; i++)
        hp_list_merge(hp_generation(gc, i), list);
    if (generation != NUM_GENERATIONS - 1)
        return hp_divide_young(scratch, list, dead, true);
    bool mark = !hp_expect_dead(state);
    if (!hp_divide_full(scratch, state->interp, list, dead, mark))
        return false;
    size_t before = (size_t)gc->long_lived_total; /* not counted anew yet */
    size_t fresh = scratch->size > before ? scratch->size - before : 0;
    state->died = dead->n > fresh / 2;
    state->stats.live = scratch->live;
    state->stats.candidates = scratch->candidates;
    state->stats.unmarked += !mark;
    return true;
}

/* Counts, and where survivors go: the next generation. Returns the list they are on. */
static PyGC_Head *hp_promote(hp_gc *gc, int generation, Py_ssize_t live)
{
    PyGC_Head *list = hp_generation(gc, generation);
    for (int i = 0; i <= generation; i++)
        gc->generations[i].count = 0;
    if (generation == NUM_GENERATIONS - 1) {
        gc->long_lived_pending = 0;
        gc->long_lived_total = live;
        return list;
    }
    gc->generations[generation + 1].count++;
    if (generation == NUM_GENERATIONS - 2)
        gc->long_lived_pending += live;
    PyGC_Head *old = hp_generation(gc, generation + 1);
    hp_list_merge(list, old);
    return old;
}

static void hp_count(struct hp_state *state, int generation, Py_ssize_t collected,
                     Py_ssize_t uncollectable, uint64_t ns)
{
    struct gc_generation_stats *stats = &state->gc->generation_stats[generation];
    stats->collections++;
    stats->collected += collected;
    stats->uncollectable += uncollectable;
    state->stats.collections[generation]++;
    state->stats.collected[generation] += (uint64_t)collected;
    hg_histogram_add(&state->stats.pauses[generation], ns);
}

bool hp_collect(struct hp_state *state, int generation, Py_ssize_t *collected,
                Py_ssize_t *uncollectable)
{
    hp_gc *gc = state->gc;
    struct hp_dead dead;
    struct hp_scratch *scratch = hp_scratch_take();
    if (scratch == NULL)
        return false;
    if (HP_UNLIKELY(gc->debug & 1)) /* DEBUG_STATS */
        hp_print_begin(gc, generation);
    uint64_t begin = ht_os_now();
    if (!hp_divide_generation(state, scratch, generation, &dead)) {
        hp_scratch_give(scratch);
        return false;
    }
    state->stats.examined[generation] += scratch->size;
    PyGC_Head *old = hp_promote(gc, generation, (Py_ssize_t)scratch->live), legacy;
    *collected = hp_finish(state, scratch, &dead, old, &legacy, uncollectable);
    uint64_t ns = ht_os_now() - begin;
    if (HP_UNLIKELY(gc->debug & 1))
        hp_print_end(*collected + *uncollectable, *uncollectable, ns);
    hp_keep_legacy(gc, &legacy, old);
    if (PyErr_Occurred() != NULL)
        _PyErr_WriteUnraisableMsg("in garbage collection", NULL);
    hp_count(state, generation, *collected, *uncollectable, ns);
    return true;
}
