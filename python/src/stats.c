/* python/src/stats.c - hearth.stats(): what the collections of this interpreter did, and where memory
 * lies.
 *
 * Counters are those of hearth's collections alone; gc.get_stats() counts the built-in ones too.
 * Pauses are in hearth's histogram (gc/histogram.h), so a percentile is at most 6 % too high. Locks:
 * the GIL. */
#include "api.h"

#include "arenas.h"
#include "parallel.h"

static double hp_seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static PyObject *hp_pauses(const struct hg_histogram *pauses)
{
    return Py_BuildValue("{sKsdsdsdsd}", "count", pauses->count, "total", hp_seconds(pauses->total),
                         "median", hp_seconds(hg_histogram_percentile(pauses, 50)), "p99",
                         hp_seconds(hg_histogram_percentile(pauses, 99)), "longest",
                         hp_seconds(pauses->max));
}

static PyObject *hp_generation_stats(const struct hp_stats *stats, int i)
{
    return Py_BuildValue("{sKsKsKsN}", "collections", stats->collections[i], "collected",
                         stats->collected[i], "examined", stats->examined[i], "pauses",
                         hp_pauses(&stats->pauses[i]));
}

static PyObject *hp_parallel_dict(void)
{
    const struct hp_parallel_stats *stats = &hp_parallel_stats;
    return Py_BuildValue("{sKsKsKsKsKsKsKsdsK}", "phases", stats->phases, "joined", stats->joined,
                         "marked_by_helpers", stats->helped, "marked_beside_helpers", stats->alone,
                         "left_to_holder", stats->strange, "looked_up", stats->looked_up, "sent",
                         stats->sent, "waited", hp_seconds(stats->waited_ns), "skipped",
                         stats->skipped);
}

PyObject *hp_stats(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    struct hp_state *state = hp_state_of(module);
    struct hp_stats *stats = PyMem_Malloc(sizeof *stats); /* what follows may collect */
    if (stats == NULL)
        return PyErr_NoMemory();
    *stats = state->stats;
    PyObject *result = Py_BuildValue(
        "{sOs[NNN]sKsKsKsKsNsN}", "installed", state->installed ? Py_True : Py_False, "generations",
        hp_generation_stats(stats, 0), hp_generation_stats(stats, 1), hp_generation_stats(stats, 2),
        "live", stats->live, "candidates", stats->candidates, "unmarked", stats->unmarked,
        "fallbacks", stats->fallbacks, "parallel", hp_parallel_dict(), "arenas", hp_arenas_stats());
    PyMem_Free(stats);
    return result;
}
