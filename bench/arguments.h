/* bench/arguments.h - the command line that all benchmark programs share.
 *
 * Invariant: what arguments_parse returns is within the bounds that its usage text names; anything
 * else ended the process with status 2 and a message that names the value. */
#ifndef HEARTH_BENCH_ARGUMENTS_H
#define HEARTH_BENCH_ARGUMENTS_H

#include <stdbool.h>

struct arguments {
    unsigned threads; /* --threads N; 0: as many as there are usable CPUs (--threads all)   */
    double heap_x;    /* --heap-x F: heap as a multiple of the live size                    */
    double scale;     /* --scale F: how much work                                           */
    double size;      /* --size F: what is live, as a multiple of the usual                 */
    unsigned variant; /* --variant NAME: index in the workload's list; the first by default */
    bool json;        /* --json: one line of JSON instead of a table                        */
    bool nodes;       /* --nodes: also a table of the memory nodes                          */
    bool live;        /* --live: only print what is live at most, in bytes                  */
};

/* What a workload offers. */
struct choices {
    const char *const *variants; /* names; NULL: it has none                                  */
    unsigned count;              /* of them                                                   */
    bool sized;                  /* it knows --size                                           */
};

struct arguments arguments_parse(int argc, char **argv, const struct choices *choices);

#endif
