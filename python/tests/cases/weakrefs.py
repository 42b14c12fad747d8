"""cases/weakrefs.py - weak references to garbage: cleared before finalizers run, callbacks only from outside."""
import checked
from checked import Knot, settled

import gc
import sys
import weakref

gc.disable()
settled()
log = []


def callback(name):
    def run(reference):
        log.append((name, reference() is None))

    return run


def show(what, found):
    print(what, found, sorted(log))
    log.clear()


class Final(Knot):
    def __del__(self):
        log.append(("final sees", [r() is None for r in refs]))


knot = Knot()
kept = [weakref.ref(knot, callback("kept")), weakref.ref(knot), weakref.proxy(knot, lambda r: log.append(("proxy", type(r).__name__)))]
del knot
show("outside", gc.collect())

knot = Knot()
knot.ref = weakref.ref(knot, callback("inside"))
del knot
show("inside the garbage: not called", gc.collect())

a, b = Knot(), Knot()
a.other, b.other = b, a
a.ref = weakref.ref(b, callback("in a to b"))
outside = weakref.ref(a, callback("outside to a"))
del a, b
show("both", gc.collect())

refs = []
f = Final()
refs.append(weakref.ref(f))
refs.append(weakref.ref(f, callback("before the finalizer")))
del f
show("cleared before the finalizer", gc.collect())

ran = []


class Container:
    pass


c = Container()
c.me = c
reviving = weakref.ref(c, lambda r: ran.append(r()))
del c
show("no way back", gc.collect())
print(ran)

knot = Knot()
other = Knot()
making = weakref.ref(knot, lambda r: (Knot(), log.append(("collect in a callback", gc.collect()))))
del knot, other
show("collecting in a callback", gc.collect())
show("and what it made", gc.collect())


def failing(reference):
    raise KeyError("weak")


sys.unraisablehook = lambda u: log.append((type(u.exc_value).__name__, str(u.exc_value)))
knot = Knot()
bad = weakref.ref(knot, failing)
good = weakref.ref(knot, callback("good"))
del knot
show("one fails", gc.collect())

names = weakref.WeakValueDictionary()
keys = weakref.WeakKeyDictionary()
members = weakref.WeakSet()
for i in range(20):
    knot = Knot(i)
    if i % 2:
        kept.append(knot)
    names[i] = knot
    keys[knot] = i
    members.add(knot)
del knot
print(gc.collect(), sorted(names), sorted(keys.values()), len(members))
kept.clear()
print(gc.collect(), len(names), len(keys), len(members))

for order in range(4):
    knot = Knot()
    many = [weakref.ref(knot, callback(i)) for i in range(5)]
    if order & 1:
        knot.hold = many[2]
    if order & 2:
        knot.all = many[3:]
    del many[(0 if order else 1) : (3 if order == 3 else 2)]
    del knot
    show(f"several, {order}", gc.collect())
    many = None

finalize = weakref.finalize(Knot(), log.append, "finalize")
show("weakref.finalize", gc.collect())
print(finalize.alive)
gc.enable()
gc.set_threshold(20)
seen = []
for i in range(300):
    seen.append(weakref.ref(Knot(i), lambda r: log.append(1)))
gc.disable()
gc.collect()
print("automatic", sum(log), sum(r() is None for r in seen))
