/* gc/line.h - entries in line, in the order in which they will be run. Lock: the owner's. */
#ifndef HEARTH_GC_LINE_H
#define HEARTH_GC_LINE_H

#include "gc/entry.h"

void hg_line_add(struct hg_line *line, struct hg_entry *entry);
/* `from` goes to the end of `to` and is empty then. */
void hg_line_join(struct hg_line *to, struct hg_line *from);
/* Take the first away; the line is not empty. */
struct hg_entry *hg_line_pop(struct hg_line *line);
/* Does `a` run before `b`: higher priority first, then lower serial? */
bool hg_entry_before(const struct hg_entry *a, const struct hg_entry *b);
/* Sort so. Linear if it is in order but for a few runs; no memory. */
void hg_line_sort(struct hg_line *line);
/* Count and ends are right, all entries are DUE. */
bool hg_line_check(const struct hg_line *line);

#endif
