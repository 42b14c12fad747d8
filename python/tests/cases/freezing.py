"""cases/freezing.py - freeze, unfreeze, get_freeze_count, and what frozen objects keep alive."""
import checked
from checked import Knot, settled

import gc
import weakref

gc.disable()
settled()
print(gc.get_freeze_count())
knot = Knot()
seen = weakref.ref(knot)
gc.freeze()
frozen = gc.get_freeze_count()
print(frozen > 1000, gc.get_count()[1:], len(gc.get_objects()) < 20, gc.is_tracked(knot))
del knot
print("frozen garbage", gc.collect(), seen() is None)
again = Knot()
weak = weakref.ref(again)
del again
print("garbage after", gc.collect(), weak() is None)
print("grows", gc.get_freeze_count() - frozen)
more = [Knot(), Knot()]
gc.freeze()
print("more", gc.get_freeze_count() - frozen >= 5)
young = Knot()
outer = [young]
more[0].young = outer
link = weakref.ref(young)
del young, outer
print("held by a frozen object", gc.collect(), link() is None)
more[0].young = None
print("let go", gc.collect(), link() is None)
gc.unfreeze()
print(gc.get_freeze_count(), any(o is more for o in gc.get_objects(2)))
print("thawed", gc.collect(), seen() is None)
for _ in range(3):
    gc.freeze()
    gc.unfreeze()
print(gc.get_freeze_count(), gc.collect())
