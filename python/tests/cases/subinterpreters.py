"""cases/subinterpreters.py - sub-interpreters collect their own garbage, and end, beside a main one that does so too."""
import checked
from checked import Knot, settled

import gc
import textwrap
import weakref

import _xxsubinterpreters as interpreters

gc.disable()
settled()
SCRIPT = textwrap.dedent(
    """
    import gc, weakref
    class Knot:
        def __init__(self): self.me = self
    gc.disable()
    gc.collect()
    knot = Knot()
    reference = weakref.ref(knot)
    del knot
    found = gc.collect()
    assert found >= 1 and reference() is None, found
    gc.set_threshold(20, 2, 2)
    gc.enable()
    kept = [Knot() for _ in range(500)]
    lost = [weakref.ref(Knot()) for _ in range(500)]
    gc.collect()
    assert all(k.me is k for k in kept)
    assert all(r() is None for r in lost)
    """
)
for i in range(4):
    number = interpreters.create()
    mine = [Knot(i), weakref.ref(Knot(i))]
    print("run", interpreters.run_string(number, SCRIPT))
    print("main", gc.collect() >= 1, mine[1]() is None, mine[0].me is mine[0])
    print("again", interpreters.run_string(number, SCRIPT))
    interpreters.destroy(number)
    print("after", gc.collect() >= 0)
several = [interpreters.create() for _ in range(3)]
for number in several:
    interpreters.run_string(number, SCRIPT)
    gc.collect()
gc.set_threshold(10, 2, 2)
gc.enable()
for number in several:
    [Knot() for _ in range(100)]
    interpreters.run_string(number, SCRIPT)
for number in several:
    interpreters.destroy(number)
gc.disable()
print("end", gc.collect() >= 0)
