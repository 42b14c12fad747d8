"""cases/threads.py - threads that make garbage, keep objects, collect and end; collections on every one of them."""
import checked
from checked import Knot, settled

import gc
import sys
import threading
import weakref

gc.disable()
settled()
sys.setswitchinterval(0.0005)
THREADS, ROUNDS = 8, 400
finalized = []
local = threading.local()
where = set()


class Final(Knot):
    def __del__(self):
        finalized.append(self.name)


def note(phase, info):
    where.add(threading.get_ident())


kept = [None] * THREADS
dead = [None] * THREADS


def worker(number):
    local.mine = [Knot((number, "local"))]
    mine, references = [], []
    for i in range(ROUNDS):
        knot = Final((number, i))
        references.append(weakref.ref(knot))
        if i % 10 == 0:
            mine.append(knot)
        del knot
        mine.append([{"i": i}])
        if i % 97 == 0:
            gc.collect(i % 3)
    kept[number] = mine
    dead[number] = references
    assert local.mine[0].name == (number, "local")


gc.callbacks.append(note)
gc.set_threshold(50, 5, 5)
gc.enable()
threads = [threading.Thread(target=worker, args=(i,)) for i in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.disable()
gc.callbacks.remove(note)
gc.collect()
print("finalized", len(finalized), len(set(finalized)))
print("kept", [sum(isinstance(o, Final) for o in mine) for mine in kept])
print("intact", all(o.me is o for mine in kept for o in mine if isinstance(o, Final)))
print("alive", [sum(r() is not None for r in references) for references in dead])
print("collected on other threads", len(where - {threading.get_ident()}) > 0)
kept.clear()
print("the rest", gc.collect() > 0, len(finalized), len(set(finalized)))

# One thread at a time collects: a collection that begins while another runs Python code finds nothing.
started, go = threading.Event(), threading.Event()
results = []


class Waiting(Knot):
    def __del__(self):
        started.set()
        go.wait(10)


Waiting()
thread = threading.Thread(target=lambda: results.append(gc.collect()))
thread.start()
started.wait(10)
Knot()
results.append(gc.collect())
go.set()
thread.join()
print("one at a time", results[0], results[1] >= 1, gc.collect())

# The main thread is inside one long call of C: another one collects what it drops.
gc.enable()
count = len(finalized)
thread = threading.Thread(target=lambda: [Final("other") for _ in range(2000)] and None)
thread.start()
total = sum(map(len, map(list, map(range, [3] * 20000))))
thread.join()
gc.collect()
print("inside a long call", total, len(finalized) - count)
