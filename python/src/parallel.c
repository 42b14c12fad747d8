/* python/src/parallel.c - the steps of a collection that helpers take part in.
 *
 * Three steps visit every object: marking (share.c), the scan of the snapshot, subtracting. The latter
 * two take slices off a counter; a slice of the scan is linked by itself and stitched in afterwards.
 * The thread that collects holds the GIL and works in every step itself; helpers come late or not at
 * all (gc/crew.h), so a busy machine costs little. It does cost something when a helper that has come
 * is put aside by the system, or runs beside the holder on one processor: then the collection waits.
 * So no more are called than there are processors idle now; and if waiting takes more than a twentieth
 * of a collection, the next ones are done alone, twice as many each time it happens again.
 * Helpers never touch reference counts, types, or memory of Python's but _gc_prev and, in the scan,
 * _gc_next of objects whose slice they have.
 * Locks: the GIL, held by the caller throughout; the crew's. */
#define _GNU_SOURCE 1
#include "parallel.h"

#include <sched.h>
#include <unistd.h>

#include "gc/mailbox.h"
#include "topology/os.h"

enum {
    HP_STACK = 1 << 16, /* entries of a helper's stack                                       */
    HP_PLENTY =
        2 * HG_BATCH,  /* entries above which some are given away                           */
    HP_EAGER = 4096,   /* a lower minimum than this: a test, give at once                   */
    HP_EACH = 20000,   /* objects that make it worth while to call one more                 */
    HP_SLICES = 64,    /* of the scan                                                       */
    HP_SLICE = 2048,   /* candidates subtracted at a time                                   */
    HP_ALONE_MAX = 64, /* collections done alone before helpers are tried again             */
    HP_EAGER_WAIT_NS =
        100000 /* tests wait so long for a helper to come                           */
};

struct hp_parallel hp_parallel = {.workers = 0, .minimum = 50000, .trust = HP_TRUST_PYTHON};
struct hp_parallel_stats hp_parallel_stats;

/* A slice of the scan. */
struct hp_slice {
    struct hp_scan scan;
} __attribute__((aligned(64)));

static struct hp_worker
    *hp_workers[HP_WORKERS_MAX + 1]; /* by number; [0]: unused                          */
static struct hg_mail hp_mail;
static bool hp_mail_made,
    hp_refused; /* refused: there is no machine, crew or mail; not tried again          */
static int hp_alone, hp_alone_next = 1;

/* The present collection, and its open step. */
static struct {
    struct hg_crew *crew; /* NULL: no helpers                                                  */
    int helpers;          /* that may be called                                                */
    int node;             /* of the holder                                                     */
    uint64_t began, waited;
    bool eager;
    void (*step)(struct hp_worker *worker);
    size_t next; /* slice or candidate to be taken (atomic)                           */
    struct hp_vec *all, *rest;
    struct hp_slice slice[HP_SLICES];
} hp_now;

/* --- who takes part ---------------------------------------------------------------------------- */

static bool hp_worker_make(int number, int node)
{
    struct hp_worker *w = hp_workers[number];
    if (w == NULL) {
        w = ht_os_alloc(sizeof *w);
        if (w == NULL)
            return false;
        w->stack = ht_os_alloc(HP_STACK * sizeof *w->stack);
        w->room = HP_STACK;
        if (w->stack == NULL) {
            ht_os_free(w);
            return false;
        }
        hp_workers[number] = w;
    }
    w->number = number;
    w->home = node;
    w->plenty = hp_now.eager ? 1 : HP_PLENTY;
    return true;
}

/* Processors that nobody runs on, by the system's count of threads that run or could; INT_MAX:
 * unknown. */
static int hp_idle(void)
{
    char text[80];
    int running;
    if (!ht_os_read_file("/proc/loadavg", text, sizeof text) ||
        sscanf(text, "%*s %*s %*s %d/", &running) != 1)
        return INT_MAX;
    long idle = sysconf(_SC_NPROCESSORS_ONLN) - running;
    return idle > 0 ? (int)idle : 0;
}

/* Helpers for this many objects: at most one for each HP_EACH; tests want them all. */
static int hp_helpers_for(const struct hg_crew *crew, size_t objects, int idle)
{
    if (hp_now.eager)
        return crew->size;
    size_t most = objects / HP_EACH;
    if (most > (size_t)crew->size)
        most = (size_t)crew->size;
    return most < (size_t)idle ? (int)most : idle;
}

static bool hp_crew_ready(struct hp_machine *machine, int workers)
{
    struct hg_crew *crew = machine != NULL ? hp_machine_crew(machine, workers) : NULL;
    if (crew == NULL)
        return false;
    if (!hp_mail_made) {
        hp_mail_made =
            hg_mail_init(&hp_mail, machine->windows, machine->topology->nodes) == HEARTH_OK;
        hp_mail.topology = machine->topology;
    }
    if (!hp_mail_made)
        return false;
    for (int i = 1; i <= hg_crew_last(crew); i++)
        if (!hp_worker_make(i, hg_crew_node(crew, i)))
            return false;
    return true;
}

void hp_parallel_forget(void)
{
    hp_refused = false;
    hp_alone = 0;
    hp_alone_next = 1;
}

void hp_parallel_begin(size_t objects)
{
    hp_now.crew = NULL;
    if (HP_LIKELY(objects < hp_parallel.minimum) || hp_parallel.workers == 1 ||
        hp_parallel.trust == HP_TRUST_NOBODY || hp_refused)
        return;
    hp_now.eager = hp_parallel.minimum < HP_EAGER;
    int idle = hp_now.eager ? INT_MAX : hp_alone > 0 ? 0 : hp_idle();
    hp_alone -= hp_alone > 0;
    if (idle == 0) {
        hp_parallel_stats.skipped++;
        return;
    }
    struct hp_machine *machine = hp_machine(false);
    int workers = hp_parallel.workers;
    if (machine != NULL && workers == 0)
        workers =
            machine->topology->cpus < HP_WORKERS_MAX ? machine->topology->cpus : HP_WORKERS_MAX;
    if (workers == 1)
        return;
    hp_refused = !hp_crew_ready(machine, workers);
    if (hp_refused)
        return;
    hp_now.helpers = hp_helpers_for(machine->crew, objects, idle);
    hp_now.crew = machine->crew;
    hp_now.node = ht_topology_here(machine->topology);
    hp_now.waited = 0;
    hp_now.began = ht_os_now();
    hg_crew_spare(machine->crew, hp_now.node);
}

void hp_parallel_end(void)
{
    if (hp_now.crew == NULL)
        return;
    uint64_t ns = ht_os_now() - hp_now.began;
    hp_parallel_stats.waited_ns += hp_now.waited;
    if (hp_now.waited > ns / 20) {
        hp_alone = hp_alone_next;
        hp_alone_next = hp_alone_next < HP_ALONE_MAX ? 2 * hp_alone_next : HP_ALONE_MAX;
    } else {
        hp_alone_next = 1;
    }
    hp_now.crew = NULL;
}

/* --- a step ------------------------------------------------------------------------------------ */

static void hp_helper(void *data, int number)
{
    (void)data;
    hp_now.step(hp_workers[number]);
}

static void hp_open(void (*step)(struct hp_worker *))
{
    hp_now.step = step;
    hp_now.next = 0;
    hg_crew_open(hp_now.crew, hp_helper, NULL);
    hp_parallel_stats.phases++;
}

static void hp_call(void)
{
    hg_crew_call(hp_now.crew, hp_now.helpers);
    if (!hp_now.eager)
        return;
    for (uint64_t end = ht_os_now() + HP_EAGER_WAIT_NS;
         __atomic_load_n(&hp_now.crew->joined, __ATOMIC_RELAXED) == 0 && ht_os_now() < end;)
        sched_yield();
}

static void hp_close(void)
{
    uint64_t begin = ht_os_now();
    hp_parallel_stats.joined += (uint64_t)hg_crew_close(hp_now.crew);
    hp_now.waited += ht_os_now() - begin;
}

/* --- marking ----------------------------------------------------------------------------------- */

static void hp_mark_step(struct hp_worker *w)
{
    if (hg_mail_join(&hp_mail, w->home))
        hp_share_mark(w, &hp_mail);
}

static void hp_mark_begin(struct hp_worker *w)
{
    (void)w;
    hp_call();
}

/* What helpers left: visit it here. */
static void hp_visit_strange(struct hp_worker *holder, struct hp_worker *w)
{
    for (size_t i = 0; i < w->strange.n; i++) {
        PyObject *o = HP_OBJECT(w->strange.at[i]);
        hp_trust_learn(hp_base_traverse(Py_TYPE(o)));
        hp_visit(o, holder, HP_MARK, false);
    }
    hp_parallel_stats.strange += w->strange.n;
    w->strange.n = 0;
}

/* Go on from there alone, unless it leads to much. (A chain of objects that helpers may not visit
 * would else open a step for each.) */
static void hp_mark_alone(struct hp_worker *w)
{
    while (w->top != 0 && w->top <= HP_PLENTY)
        hp_visit(HP_OBJECT(w->stack[--w->top]), w, HP_MARK, false);
}

static void hp_mark_count(struct hp_worker *w, uint64_t *objects)
{
    *objects += w->marked;
    hp_parallel_stats.sent += w->sent;
    w->marked = 0;
    w->sent = 0;
}

bool hp_parallel_mark(struct hp_worker *w)
{
    if (hp_now.crew == NULL)
        return false;
    w->home = hp_now.node;
    w->plenty = hp_now.eager ? 1 : HP_PLENTY;
    do {
        hg_mail_begin(&hp_mail, w->home);
        w->begin = hp_mark_begin;
        hp_open(hp_mark_step);
        hp_share_mark(w, &hp_mail);
        hp_close();
        hp_mark_count(w, &hp_parallel_stats.alone);
        hp_visit_strange(w, w);
        for (int i = 1; i <= hg_crew_last(hp_now.crew); i++) {
            hp_mark_count(hp_workers[i], &hp_parallel_stats.helped);
            hp_visit_strange(w, hp_workers[i]);
        }
        hp_mark_alone(w);
    } while (w->top != 0);
    ht_os_free(w->strange.at);
    w->strange = (struct hp_vec){0};
    return true;
}

/* --- the scan ---------------------------------------------------------------------------------- */

static void hp_scan_step(struct hp_worker *w)
{
    size_t n = hp_now.all->n;
    for (;;) {
        size_t k = __atomic_fetch_add(&hp_now.next, 1, __ATOMIC_RELAXED);
        if (k >= HP_SLICES)
            return;
        struct hp_scan *scan = &hp_now.slice[k].scan;
        scan->from = n * k / HP_SLICES;
        scan->to = n * (k + 1) / HP_SLICES;
        scan->rest = hp_now.rest->at + scan->from;
        hp_scan(hp_now.all, scan, w, true);
    }
}

/* Slice after slice onto the list, its arrays moved together. */
static void hp_stitch(struct hp_scratch *scratch, PyGC_Head *list)
{
    struct hp_vec *all = &scratch->all, *rest = &scratch->rest;
    PyGC_Head *tail = list;
    size_t live = 0;
    bool later = false;
    rest->n = 0;
    for (int k = 0; k < HP_SLICES; k++) {
        struct hp_scan *scan = &hp_now.slice[k].scan;
        memmove(rest->at + rest->n, scan->rest, scan->candidates * sizeof *rest->at);
        rest->n += scan->candidates;
        memmove(all->at + live, all->at + scan->from, scan->live * sizeof *all->at);
        live += scan->live;
        later |= scan->later;
        tail = hp_scan_link(scan, list, tail);
    }
    scratch->live = live;
    if (later)
        hp_untrack_late(scratch);
}

/* Zeros of all workers to the holder's, and what they left is visited by it. Candidates that only the
 * holder may visit are tagged; one bit of their address is free. */
static void hp_settle(struct hp_worker *w, struct hp_vec *rest)
{
    bool left = w->left;
    for (int i = 1; i <= hg_crew_last(hp_now.crew); i++) {
        w->zeros += hp_workers[i]->zeros;
        left |= hp_workers[i]->left;
        hp_workers[i]->zeros = 0;
        hp_workers[i]->left = false;
    }
    for (size_t i = 0; left && i < rest->n; i++)
        if ((uintptr_t)rest->at[i] & 1) {
            rest->at[i] = (PyGC_Head *)((uintptr_t)rest->at[i] & ~(uintptr_t)1);
            hp_trust_learn(hp_base_traverse(Py_TYPE(HP_OBJECT(rest->at[i]))));
            hp_visit(HP_OBJECT(rest->at[i]), w, HP_SUBTRACT, false);
            hp_parallel_stats.strange++;
        }
}

bool hp_parallel_scan(struct hp_worker *w, struct hp_scratch *scratch, PyGC_Head *list)
{
    if (hp_now.crew == NULL)
        return false;
    hp_now.all = &scratch->all;
    hp_now.rest = &scratch->rest;
    memset(hp_now.slice, 0, sizeof hp_now.slice);
    hp_open(hp_scan_step);
    hp_call();
    hp_scan_step(w);
    hp_close();
    hp_stitch(scratch, list);
    hp_settle(w, &scratch->rest);
    scratch->zeros = w->zeros;
    return true;
}

/* --- subtracting ------------------------------------------------------------------------------- */

static void hp_subtract_step(struct hp_worker *w)
{
    struct hp_vec *rest = hp_now.rest;
    for (;;) {
        size_t from = __atomic_fetch_add(&hp_now.next, HP_SLICE, __ATOMIC_RELAXED);
        size_t to = from + HP_SLICE < rest->n ? from + HP_SLICE : rest->n;
        if (from >= rest->n)
            return;
        for (size_t i = from; i < to; i++) {
            if (i + HP_SCAN_AHEAD < to)
                __builtin_prefetch(rest->at[i + HP_SCAN_AHEAD]);
            if (HP_UNLIKELY(!hp_visit(HP_OBJECT(rest->at[i]), w, HP_SUBTRACT, true))) {
                rest->at[i] = (PyGC_Head *)((uintptr_t)rest->at[i] | 1);
                w->left = true;
            }
        }
    }
}

bool hp_parallel_subtract(struct hp_worker *w, struct hp_vec *rest)
{
    if (hp_now.crew == NULL)
        return false;
    hp_now.rest = rest;
    hp_open(hp_subtract_step);
    hp_call();
    hp_subtract_step(w);
    hp_close();
    hp_settle(w, rest);
    return true;
}
