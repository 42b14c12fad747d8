"""cases/schedule.py - automatic collections: when, of which generation, with what result, for several thresholds.

Numbers may differ by a few (lines that begin with "~"): objects that come from the interpreter's lists of free ones
are not counted, and hearth's callbacks leave one dictionary more there; the rule about a quarter of the old objects looks
at their number, to which hearth's own modules add a few.
"""
import checked
from checked import Knot, settled

import gc

gc.disable()
settled()
gc.freeze()  # the rule about a quarter depends on how many old objects there are: none but those made here
settled()
log = []


def note(phase, info):
    log.append((phase, info["generation"], info["collected"], info["uncollectable"]))


def work(kind, number):
    kept = []
    for i in range(number):
        if kind == "lists":
            kept.append([])
        elif kind == "knots":
            Knot()
        elif kind == "tuples":
            kept.append(((), [i]))
        elif kind == "sets":
            kept.append({(i,)})
        elif kind == "mixed":
            Knot(kept)
            kept.append([kept])
            if i % 7 == 0:
                kept.clear()
    return len(kept)


def fits(generations, at, thresholds):
    """Whether a collection is of the generation that those before it ask for. A full one may be put off."""
    zeros = 0
    while zeros < at and generations[at - 1 - zeros] == 0:
        zeros += 1
    return generations[at] in (2, 1 if zeros > thresholds[1] else 0)


ballast = [[] for _ in range(600)]  # of old objects, so that a few more or less make no difference
for thresholds in ((700, 10, 10), (50, 3, 2), (10, 2, 2), (1, 1, 1), (100, 0, 0), (7, 5, 0), (0, 5, 5)):
    for kind in ("lists", "knots", "tuples", "sets", "mixed"):
        gc.disable()
        settled()
        log.clear()
        gc.callbacks.append(note)
        gc.set_threshold(*thresholds)
        gc.enable()
        left = work(kind, 3000)
        gc.disable()
        gc.callbacks.remove(note)
        count = gc.get_count()
        generations = [entry[1] for entry in log if entry[0] == "start"]
        collected = sum(entry[2] for entry in log if entry[0] == "stop")
        print(thresholds, kind, left)
        print("~ collections", *[generations.count(g) for g in range(3)], "collected", collected)
        print("order", all(fits(generations, i, thresholds) for i in range(len(generations))))
        assert log[0::2] == [("start", g, 0, 0) for g in generations]

# The rule about a quarter: a full collection waits until enough objects have become old.
settled()
gc.set_threshold(50, 2, 2)
gc.callbacks.append(note)
log.clear()
gc.enable()
kept = [[] for _ in range(40000)]
gc.disable()
gc.callbacks.remove(note)
generations = [entry[1] for entry in log if entry[0] == "start"]
print("~ quarter rule", *[generations.count(g) for g in (0, 1)])
print("fewer full ones", 0 < generations.count(2) < generations.count(1) // 4)
