"""cases/callbacks.py - gc.callbacks: order, info, errors, changes during a collection, collections in them."""
import checked
from checked import Knot, attempt, settled

import gc
import sys

import _testcapi

gc.disable()
settled()
log = []


def first(phase, info):
    log.append(("first", phase, dict(info)))


def second(phase, info):
    log.append(("second", phase, dict(info)))


def show(what):
    print(what)
    for entry in log:
        print("   ", entry)
    log.clear()


gc.callbacks.extend([first, second])
for generation in range(3):
    Knot()
    gc.collect(generation)
show("two callbacks")


def failing(phase, info):
    raise LookupError(phase)


unraised = []
sys.unraisablehook = lambda u: unraised.append((type(u.exc_value).__name__, str(u.exc_value), u.err_msg, getattr(u.object, "__name__", u.object)))
gc.callbacks[:] = [failing, first]
Knot()
print("found", gc.collect())
show("one that fails")
print(unraised)
unraised.clear()

gc.callbacks[:] = ["not callable", 7]
Knot()
print("found", gc.collect(), unraised)
unraised.clear()


def nested(phase, info):
    Knot()
    log.append((phase, "nested", gc.collect()))


gc.callbacks[:] = [nested]
print("found", gc.collect())
show("a collection inside a callback")


def removing(phase, info):
    log.append(("removing", phase))
    if phase == "start":
        gc.callbacks.remove(removing)


gc.callbacks[:] = [removing, first]
Knot()
print("found", gc.collect())
show("one that removes itself")


def appending(phase, info):
    log.append(("appending", phase))
    if len(gc.callbacks) < 4:
        gc.callbacks.append(first)


gc.callbacks[:] = [appending]
print("found", gc.collect())
show("one that appends")


def changing(phase, info):
    info["generation"] = "changed"
    info.pop("collected", None)


gc.callbacks[:] = [changing, first]
Knot()
print("found", gc.collect())
show("one that changes the dict")
gc.callbacks.clear()



@_testcapi.with_tp_del
class Legacy:
    def __tp_del__(self):
        pass


gc.callbacks[:] = [first]
legacy = Legacy()
legacy.me, legacy.knot = legacy, Knot()
del legacy
Knot()
print("found", gc.collect(), len(gc.garbage))
show("something uncollectable")
gc.callbacks.clear()
vars(gc.garbage[0]).clear()
gc.garbage.clear()
print("then", gc.collect())

# Another list in place of the module's: the collector keeps using its own.
kept = gc.callbacks
gc.callbacks = [first]
Knot()
print("found", gc.collect(), log)
gc.callbacks = kept
print("restored", gc.callbacks == [])
attempt("automatic", lambda: (gc.callbacks.append(first), gc.set_threshold(10), gc.enable(), [[] for _ in range(25)], gc.disable())[:1])
show("automatic ones")
gc.callbacks.clear()
