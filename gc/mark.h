/* gc/mark.h - marks: which generation a metadata byte means, and what tracing makes of it.
 *
 * Sticky marks (Demers et al. 1990): old objects keep their mark, so a minor collection takes them for
 * marked already; frozen ones keep theirs always, so that no collection traces or sweeps them. Two
 * marks of generation 1 and two of old alternate, so that "marked by this collection" needs no
 * clearing pass. Changed only with the world stopped. */
#ifndef HEARTH_GC_MARK_H
#define HEARTH_GC_MARK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    HG_YOUNG = 0, /* young, or free                              */
    HG_GEN1_A = 1,
    HG_GEN1_B = 2, /* survived one minor collection              */
    HG_OLD_A = 4,
    HG_OLD_B = 8,   /* survived two, or reached from old           */
    HG_FROZEN = 16, /* out of the collector's sight: freeze.h      */
    HG_BYTES = 64   /* marks are below                             */
};

enum { HG_PROMOTE = 1 }; /* tag of a reference found in an old object   */

struct hg_marks {
    uint8_t gen1, gen1_before;  /* generation 1: of this collection, of the last       */
    uint8_t old, old_before;    /* old: of this full collection, of the one before      */
    bool set_old;               /* write HEARTH_OBJECT_OLD (off without generations)    */
    uint8_t next[2 * HG_BYTES]; /* [promote * 64 + byte]: what tracing makes of it      */
};

static inline void hg_marks_init(struct hg_marks *marks)
{
    memset(marks, 0, sizeof *marks);
    marks->gen1 = HG_GEN1_A;
    marks->gen1_before = HG_GEN1_B;
    marks->old = HG_OLD_A;
    marks->old_before = HG_OLD_B;
}

/* Begin a collection: alternate, and fill the table. `all_old`: every survivor becomes old. */
static inline void hg_marks_turn(struct hg_marks *marks, bool full, bool all_old)
{
    uint8_t t = marks->gen1;
    marks->gen1 = marks->gen1_before;
    marks->gen1_before = t;
    if (full) {
        t = marks->old;
        marks->old = marks->old_before;
        marks->old_before = t;
    }
    for (int promote = 0; promote < 2; promote++)
        for (int byte = 0; byte < HG_BYTES; byte++) {
            bool grown =
                byte == marks->old || byte == marks->old_before || byte == marks->gen1_before;
            uint8_t to = promote || all_old || grown ? marks->old : marks->gen1;
            if (byte == HG_FROZEN)
                to = HG_FROZEN;
            marks->next[promote * HG_BYTES + byte] = to;
        }
}

/* Old, or frozen: what minor collections do not look at. */
static inline bool hg_mark_is_old(const struct hg_marks *marks, uint8_t mark)
{
    return mark == marks->old || mark == HG_FROZEN;
}

/* Marked by the present (or last) collection, or not looked at by it. */
static inline bool hg_mark_is_live(const struct hg_marks *marks, uint8_t mark)
{
    return mark == marks->gen1 || hg_mark_is_old(marks, mark);
}

#endif
