"""cases/scarce.py - the n-th allocation during a collection fails, for every n: nothing is lost, nothing is run twice.

What a collection that runs out of memory finds may differ; that the next one finds the rest may not.
"""
import checked
from checked import settled

import gc
import sys
import weakref

import _testcapi

gc.disable()
settled()
finalized = []
called = []
sys.unraisablehook = lambda u: None


class Final:
    def __init__(self, name):
        self.name, self.me = name, self

    def __del__(self):
        finalized.append(self.name)


def note(phase, info):
    pass


def trial(skip, length, generation, automatic):
    finalized.clear()
    called.clear()
    kept = [[i, {"i": [i]}, (i, [i])] for i in range(300)]
    references = []
    for i in range(60):
        made = Final(i)
        made.box = [{"k": (made, [made])}]
        references.append(weakref.ref(made, called.append))
    del made
    if automatic:
        gc.set_threshold(30, 1, 1)
        gc.enable()
    _testcapi.set_nomemory(skip, skip + length)
    try:
        if automatic:
            for _ in range(200):
                [[]]
        else:
            gc.collect(generation)
    except MemoryError:
        pass
    finally:
        _testcapi.remove_mem_hooks()
    gc.disable()
    gc.collect()
    gc.collect()
    # Without memory a finalizer cannot be called, or fails; none is called twice.
    assert len(set(finalized)) == len(finalized), (skip, length, generation, finalized)
    assert len(set(map(id, called))) == len(called), (skip, length, generation)
    assert all(r() is None for r in references), (skip, length, generation)
    if skip >= 39 and length < 1000:
        complete.append(len(finalized) == 60)
    assert [k[0] for k in kept] == list(range(300)) and all(k[1]["i"] == [k[0]] for k in kept)


trials, complete = 0, []
for callbacks in ([], [note]):
    gc.callbacks[:] = callbacks
    for automatic in (False, True):
        for generation in (0, 2):
            for length in (1, 3, 1000):
                for skip in range(0, 40):
                    trial(skip, length, generation, automatic)
                    trials += 1
print("trials", trials, "of them with all finalizers", any(complete))
