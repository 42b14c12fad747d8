/* gc/balance.h - MemBalancer: how much room a heap is worth.
 *
 * Kirisame, Shenoy and Panchekha, "Optimal Heap Limits for Reducing Browser Memory Use" (OOPSLA 2022). A heap
 * with L live bytes that grows by g bytes a second and is collected at s bytes a second spends the share
 * L g / (s E) of its time collecting if it may grow by E between collections. To give it one byte more saves
 * L g / (s E^2) of the time. All heaps of all processes share memory best if that is the same for all of
 * them: c. So E = sqrt(L g / (s c)): a heap that is idle gives room to one that allocates, with no word
 * between them.
 * World stopped; no locks. */
#ifndef HEARTH_GC_BALANCE_H
#define HEARTH_GC_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

/* Exponential averages, numerators and denominators apart as in the paper. All 0: nothing was measured. */
struct hg_balance {
    double grown_bytes, grown_s;   /* g: what the heap grew by, and in how long        */
    double traced_bytes, traced_s; /* s: what full collections found alive, and how long */
    uint64_t end_ns;               /* when the last measured collection ended, 0: none */
};

/* The heap grew by `bytes` while its mutators ran for `seconds`. The past fades by 0.95 a second. */
void hg_balance_grown(struct hg_balance *balance, double bytes, double seconds);
/* A full collection found `bytes` alive and took `seconds`. The past fades by a half each time. */
void hg_balance_traced(struct hg_balance *balance, double bytes, double seconds);
/* E for `live` bytes; c in shares of time per byte. Negative: nothing was measured yet. */
double hg_balance_extra(const struct hg_balance *balance, double live, double c);
/* Averages are finite and not negative. */
bool hg_balance_check(const struct hg_balance *balance);

#endif
