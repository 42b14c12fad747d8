"""cases/finalizers.py - PEP 442 finalizers, resurrection, legacy ones, errors in them, collections inside them."""
import checked
from checked import Knot, settled

import gc
import sys
import weakref

import _testcapi

gc.disable()
settled()
log, saved = [], []


class Final:
    def __init__(self, name):
        self.name, self.me = name, self

    def __del__(self):
        log.append(("final", self.name, gc.is_finalized(self)))


class Phoenix(Final):
    def __del__(self):
        log.append(("phoenix", self.name))
        saved.append(self)


class Broken(Final):
    def __del__(self):
        raise ValueError(self.name)


class Collecting(Final):
    def __del__(self):
        Knot()
        log.append(("collecting", gc.collect()))


@_testcapi.with_tp_del
class Legacy:
    def __init__(self, name):
        self.name, self.me = name, self

    def __tp_del__(self):
        log.append(("legacy", self.name))


def show(what, found):
    print(what, found, sorted(map(str, log)), [type(o).__name__ for o in gc.garbage])
    log.clear()


Final("one")
show("plain", gc.collect())
a, b = Final("a"), Final("b")
a.other, b.other = b, a
del a, b
show("pair", gc.collect())

Phoenix("p")
show("resurrected", gc.collect())
print(gc.is_finalized(saved[0]), saved[0].name, gc.is_tracked(saved[0]))
saved.clear()
show("dies the second time", gc.collect())

p, partner = Phoenix("carrier"), Final("carried")
p.other, partner.other, partner.knot = partner, p, Knot()
weak = [weakref.ref(p), weakref.ref(partner), weakref.ref(partner.knot)]
del p, partner
show("carrying others", gc.collect())
print([w() is None for w in weak], gc.is_finalized(saved[0].other), saved[0].other.name)
saved.clear()
show("all of them", gc.collect())
print([w() is None for w in weak])

# One object is resurrected, unrelated garbage of the same collection is not.
Phoenix("alone")
for i in range(4):
    Knot(i)
show("mixed", gc.collect())
saved.clear()
show("rest", gc.collect())

unraised = []
sys.unraisablehook = lambda u: unraised.append((type(u.exc_value).__name__, str(u.exc_value)))
Broken("first"), Broken("second")
show("broken", gc.collect())
print(sorted(unraised))
Collecting("outer")
show("nested", gc.collect())
show("after it", gc.collect())

Legacy("old")
show("legacy", gc.collect())
gc.garbage[0].me = None
gc.garbage.clear()
show("freed", gc.collect())
l, k, f = Legacy("l"), Knot(), Final("behind")
l.knot, k.final = k, f
del l, k, f
show("reachable from a legacy one", gc.collect())
vars(gc.garbage[0]).clear()
gc.garbage.clear()
show("freed", gc.collect())
f = Final("refers to legacy")
f.legacy = Legacy("referred")
del f
show("legacy below a finalizer", gc.collect())
for o in gc.garbage:
    vars(o).clear()
o = None
gc.garbage.clear()
show("freed", gc.collect())

gc.set_debug(gc.DEBUG_SAVEALL)
Final("kept"), Phoenix("kept too")
show("save all", gc.collect())
gc.set_debug(0)
for o in gc.garbage:
    o.me = None
o = None
gc.garbage.clear()
saved.clear()
show("then", gc.collect())


def generator():
    try:
        yield
    finally:
        log.append("generator closed")


async def coroutine(box):
    try:
        await box
    finally:
        log.append("coroutine closed")


class Forever:
    def __await__(self):
        yield self


g = generator()
next(g)
holder = [g]
vars(sys.modules[__name__])["cycle"] = holder
holder.append(holder)
del g, holder, cycle
show("generator", gc.collect())
box = Forever()
c = coroutine(box)
c.send(None)
box.c = c
del c, box
show("coroutine", gc.collect())

deep = []
for i in range(30000):
    deep = [deep]
end = deep
while end[0]:
    end = end[0]
end.append(deep)
del end, deep
show("a deep ring", gc.collect())
