"""cases/forks.py - fork: parent and child both go on collecting, also beside threads and in multiprocessing."""
import checked
from checked import Knot, settled

import gc
import multiprocessing
import os
import threading
import weakref

heap = []
stop = threading.Event()


def child(work):
    """What work() returns in a forked child, as text, and the child's status."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = repr(work())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    text = b""
    while part := os.read(read, 65536):
        text += part
    os.close(read)
    return text.decode(), os.waitpid(pid, 0)[1]


def drop():
    knot = Knot()
    seen = weakref.ref(knot)
    del knot
    del heap[:2500]
    return gc.collect(), seen() is None, len(heap), all(x[0].me is x[0] for x in heap)


def automatic():
    gc.set_threshold(100, 3, 3)
    gc.enable()
    made = [Knot(i) for i in range(3000)]
    references = [weakref.ref(o) for o in made]
    del made
    gc.collect()
    return sum(r() is None for r in references)


def busy():
    while not stop.is_set():
        for _ in range(50):
            Knot()
        gc.collect(0)


def task(number):
    keep = [Knot(i) for i in range(number)]
    reference = weakref.ref(keep[-1])
    keep.clear()
    gc.collect()
    return number, reference() is None


def main():
    gc.disable()
    settled()
    heap.extend([Knot(i), {"i": [i]}, (i, [i])] for i in range(5000))
    print("before", gc.collect())
    for _ in range(3):
        print("child", child(drop))
    print("grandchild", child(lambda: (child(drop), gc.collect(), len(heap))))
    print("automatic", child(automatic))
    gc.freeze()
    print("frozen", child(drop))
    gc.unfreeze()
    threads = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        # A thread that the fork took away may have held the collector: then the child's finds nothing.
        print("beside threads", child(drop)[0].split(", ")[2:], child(automatic)[1])
    stop.set()
    for thread in threads:
        thread.join()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print("pool", pool.map(task, range(10, 20)))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("spawned", pool.map(abs, [-1, 2]))
    print("after", gc.collect() >= 0, len(heap))
    heap.clear()
    print("dropped", gc.collect())


if __name__ == "__main__":
    main()
