"""cases/counts.py - get_count, get_stats and collect of each generation, step by step."""
import checked
from checked import Knot, settled

import gc

gc.disable()
settled()


def numbers():
    return [tuple(entry.values()) for entry in gc.get_stats()]


def show(what, before):
    after = numbers()
    print(what, [tuple(b - a for a, b in zip(x, y)) for x, y in zip(before, after)], gc.get_count()[1:])


print([list(entry) for entry in gc.get_stats()])
before = numbers()
first = gc.get_count()[0]
made = [[] for _ in range(50)]
print("made fifty", gc.get_count()[0] - first)
del made[:20]
print("dropped twenty", gc.get_count()[0] - first)
for generation in (0, 0, 0, 1, 0, 1, 2, 0, 2):
    before = numbers()
    for _ in range(5):
        Knot()
    found = gc.collect(generation)
    show(f"collect({generation}) = {found}:", before)

# An object goes up one generation with each collection it survives.
box = [[]]
for generation in (0, 1, 2):
    where = [g for g in range(3) if any(o is box for o in gc.get_objects(g))]
    print("before", generation, "in", where, any(o is box for o in gc.get_objects()))
    gc.collect(generation)
where = [g for g in range(3) if any(o is box for o in gc.get_objects(g))]
print("in the end in", where)

# Garbage that is older than the collected generation stays.
knot = Knot()
gc.collect(1)
del knot
print("old garbage", gc.collect(0), gc.collect(1), gc.collect(2))
knot = Knot()
gc.collect(0)
del knot
print("middle garbage", gc.collect(0), gc.collect(1), gc.collect(2))

before = numbers()
gc.set_debug(gc.DEBUG_SAVEALL)
for _ in range(3):
    Knot()
print("save all", gc.collect(), len(gc.garbage))
gc.set_debug(0)
gc.garbage.clear()
show("after it:", before)
print("the rest", gc.collect())
