"""cases/introspection.py - get_objects, get_referrers, get_referents; audit events; objects of odd kinds."""
import checked
from checked import Knot, settled

import gc
import sys

gc.disable()
settled()


def names(objects):
    return sorted(type(o).__name__ for o in objects)


target = ["target"]
holders = {
    "list": [target],
    "tuple": (target,),
    "dict": {"k": target},
    "key": {(1, 2): target},
    "set of ids": {id(target)},
    "cell": (lambda: target).__closure__,
    "frozen": frozenset([1]),
}
knot = Knot(target)
print(names(gc.get_referrers(target)))
print(names(gc.get_referrers(holders["list"])), names(gc.get_referrers(target, knot.__dict__)))
print(names(gc.get_referents(holders["list"], holders["dict"], holders["tuple"])))
print(names(gc.get_referents(knot)), names(gc.get_referents(Knot.__init__)), gc.get_referents())
print(gc.get_referents(1, "a", None, 2.5))


class Slots:
    __slots__ = ("a", "b", "__weakref__")


s = Slots()
s.a, s.b = [1], (2, [])
print(names(gc.get_referents(s)))


def generator(x):
    yield x


g = generator(target)
next(g)
print(names(gc.get_referents(g)), any(o is g for o in gc.get_referrers(target)))
for odd in (iter([target]), zip([1], [target]), map(str, [target]), type("T", (), {}), sys.modules, (i for i in [target]),
            slice(target), property(len), classmethod(len), memoryview(b"ab"), sys._getframe(), ValueError(target)):  # fmt: skip
    print(type(odd).__name__, len(gc.get_referents(odd)) > 0)

events = []
sys.addaudithook(lambda name, args: events.append((name, args)) if name.startswith("gc.") else None)
gc.get_objects()
gc.get_objects(generation=1)
try:
    gc.get_objects(7)
except ValueError:
    pass
gc.get_referrers(target, s)
gc.get_referents(target, s)
gc.collect()
print([(name, args if name == "gc.get_objects" else names(args), len(args)) for name, args in events])
events.clear()

before = {id(o) for o in gc.get_objects()}
fresh = [[] for _ in range(10)]
gained = [o for o in gc.get_objects() if id(o) not in before]
print(sum(1 for o in gained if any(o is f for f in fresh)))
for generation in range(3):
    listed = gc.get_objects(generation=generation)
    print(generation, any(o is fresh for o in listed), any(o is listed for o in listed), all(map(gc.is_tracked, listed)))
    gc.collect(generation)
