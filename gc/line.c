/* gc/line.c - lines of entries: first in, first out; sorting by runs. See line.h. */
#include "gc/line.h"

enum { HG_RUNS_MAX = 64 /* 2^64 runs */ };

void hg_line_add(struct hg_line *line, struct hg_entry *entry)
{
    entry->next = NULL;
    *(line->last != NULL ? &line->last->next : &line->first) = entry;
    line->last = entry;
    line->count++;
}

void hg_line_join(struct hg_line *to, struct hg_line *from)
{
    if (from->first == NULL)
        return;
    *(to->last != NULL ? &to->last->next : &to->first) = from->first;
    to->last = from->last;
    to->count += from->count;
    *from = (struct hg_line){NULL, NULL, 0};
}

struct hg_entry *hg_line_pop(struct hg_line *line)
{
    struct hg_entry *entry = line->first;
    line->first = entry->next;
    if (line->first == NULL)
        line->last = NULL;
    line->count--;
    entry->next = NULL;
    return entry;
}

bool hg_entry_before(const struct hg_entry *a, const struct hg_entry *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->serial < b->serial;
}

static struct hg_line hg_merge(struct hg_line a, struct hg_line b)
{
    struct hg_line line = {NULL, NULL, 0};
    while (a.first != NULL && b.first != NULL)
        hg_line_add(&line, hg_line_pop(hg_entry_before(b.first, a.first) ? &b : &a));
    hg_line_join(&line, &a);
    hg_line_join(&line, &b);
    return line;
}

/* The longest beginning of `from` that is in order. */
static struct hg_line hg_run_pop(struct hg_line *from)
{
    struct hg_line run = {from->first, from->first, 1};
    while (run.last->next != NULL && !hg_entry_before(run.last->next, run.last)) {
        run.last = run.last->next;
        run.count++;
    }
    from->first = run.last->next;
    from->count -= run.count;
    if (from->first == NULL)
        from->last = NULL;
    run.last->next = NULL;
    return run;
}

/* Merge sort of the runs there are; merged[i] is made of 2^i runs or empty. */
void hg_line_sort(struct hg_line *line)
{
    struct hg_line merged[HG_RUNS_MAX] = {{NULL, NULL, 0}}, all = {NULL, NULL, 0};
    while (line->first != NULL) {
        struct hg_line run = hg_run_pop(line);
        unsigned i = 0;
        for (; merged[i].first != NULL; i++) {
            run = hg_merge(merged[i], run);
            merged[i] = (struct hg_line){NULL, NULL, 0};
        }
        merged[i] = run;
    }
    for (unsigned i = 0; i < HG_RUNS_MAX; i++)
        if (merged[i].first != NULL)
            all = hg_merge(merged[i], all);
    *line = all;
}

bool hg_line_check(const struct hg_line *line)
{
    size_t count = 0;
    const struct hg_entry *last = NULL;
    for (const struct hg_entry *entry = line->first; entry != NULL && count <= line->count;
         entry = entry->next, count++) {
        if (entry->state != HG_ENTRY_DUE)
            return false;
        last = entry;
    }
    return count == line->count && last == line->last;
}
