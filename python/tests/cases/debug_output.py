"""cases/debug_output.py - what the debug flags write to standard error. The caller masks times, addresses and sizes."""
import checked
from checked import Knot, settled

import gc
import sys

import _testcapi


@_testcapi.with_tp_del
class Legacy:
    def __init__(self):
        self.me = self

    def __tp_del__(self):
        pass


gc.disable()
settled()
FLAGS = ("DEBUG_STATS", "DEBUG_COLLECTABLE", "DEBUG_UNCOLLECTABLE", "DEBUG_SAVEALL", "DEBUG_LEAK")
for name in FLAGS + ("all",):
    flags = (gc.DEBUG_STATS | gc.DEBUG_LEAK) if name == "all" else getattr(gc, name)
    for generation in range(3):
        for kind in (Knot, Legacy, list):
            made = kind()
            if kind is list:
                made.append(made)
            made = None
            sys.stderr.write(f"== {name} {generation} {kind.__name__}\n")
            gc.set_debug(flags)
            found = gc.collect(generation)
            gc.set_debug(0)
            print(name, generation, kind.__name__, found, [type(o).__name__ for o in gc.garbage])
            for o in gc.garbage:
                if isinstance(o, list):
                    o.clear()
                else:
                    getattr(o, "__dict__", o).clear()
            o = None
            gc.garbage.clear()
            settled()

sys.stderr.write("== automatic\n")
gc.set_debug(gc.DEBUG_STATS)
gc.set_threshold(100, 2, 2)
gc.enable()
kept = [[] for _ in range(450)]
gc.disable()
gc.set_debug(0)
sys.stderr.write("== end\n")
# What is left at exit is reported by the interpreter itself.
gc.garbage.append(object())
gc.set_debug(gc.DEBUG_UNCOLLECTABLE)
