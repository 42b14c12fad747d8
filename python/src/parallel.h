/* python/src/parallel.h - helpers for the long steps of a collection: hearth's crew under a held GIL.
 *
 * Each step says whether it was done; if not (too few objects, no helpers wanted or to be had) the
 * caller does it alone. Locks: the GIL, and the crew's own. */
#ifndef HEARTH_PYTHON_PARALLEL_H
#define HEARTH_PYTHON_PARALLEL_H

#include "collect.h"
#include "machine.h"

enum { HP_WORKERS_MAX = 64 };

enum hp_trust {
    HP_TRUST_NOBODY, /* no helpers                                                           */
    HP_TRUST_PYTHON, /* helpers call the tp_traverse of the interpreter and its own modules  */
    HP_TRUST_ALL     /* and of every other extension                                         */
};

struct hp_parallel {
    int workers;         /* wanted, the holder of the GIL included; 0: one for each processor    */
    size_t minimum;      /* objects below which nobody is called                                 */
    enum hp_trust trust; /* whose tp_traverse helpers may call                                   */
};
extern struct hp_parallel hp_parallel;

/* What helpers have done, for hearth.stats(). */
struct hp_parallel_stats {
    uint64_t phases;    /* steps that helpers were called to                                     */
    uint64_t joined;    /* helpers that came, over all of them                                   */
    uint64_t helped;    /* objects marked by helpers                                             */
    uint64_t alone;     /* objects marked by the holder of the GIL in such steps                 */
    uint64_t strange;   /* objects left to the holder because of their tp_traverse               */
    uint64_t looked_up; /* libraries whose functions it was: whether to trust them               */
    uint64_t sent;      /* references sent to another node's workers                             */
    uint64_t waited_ns; /* by the holder, for helpers to end                                     */
    uint64_t
        skipped; /* collections without helpers: no processor idle, or waiting had cost too much */
};
extern struct hp_parallel_stats hp_parallel_stats;

/* hp_parallel was changed: forget what was found about the machine's willingness. */
void hp_parallel_forget(void);
/* Begin a collection of this many objects: whether helpers come is decided once. */
void hp_parallel_begin(size_t objects);
/* End it: what waiting took decides about the next ones. */
void hp_parallel_end(void);

/* Mark from what is on the worker's stack. */
bool hp_parallel_mark(struct hp_worker *worker);
/* hp_scan over the whole snapshot: fills the list and scratch->rest, sets scratch->live and zeros. */
bool hp_parallel_scan(struct hp_worker *worker, struct hp_scratch *scratch, PyGC_Head *list);
/* Subtract over all candidates; the worker's count of zeros is that of all. */
bool hp_parallel_subtract(struct hp_worker *worker, struct hp_vec *rest);

/* --- between parallel.c and share.c ------------------------------------------------------------ */

/* Mark until all is marked, as one of several. */
void hp_share_mark(struct hp_worker *worker, struct hg_mail *mail);
/* References to other nodes go to their workers: memory is hearth's, of several nodes. */
void hp_share_route(const struct ha_windows *windows);

/* Find out whether this tp_traverse may be called next time. The holder of the GIL, between phases.
 * (trust.c) */
void hp_trust_learn(traverseproc traverse);

#endif
