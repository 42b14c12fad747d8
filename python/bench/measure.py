"""bench/measure.py - measures one workload in this process; bench.py starts it for each, in a fresh interpreter.

Usage: measure.py KIND NAME SIZE ROUNDS       (prints one line of JSON)

The variants take turns within a round, each round in another order: the built-in collector, hearth with one worker,
hearth with as many as it takes by itself. A busy machine slows all of them alike. Reported are medians of wall-clock and of
CPU time (all threads), and the median of the rounds' ratios to the built-in.
"""
import gc as builtin
import json
import os
import statistics
import sys
import time

import heaps
import hearth
import hearth.gc


def timed(work):
    """(wall, cpu of all threads, result) of a call."""
    used, began = time.process_time(), time.perf_counter()
    result = work()
    return time.perf_counter() - began, time.process_time() - used, result


class Variants:
    """Switches the process from one collector to another."""

    def __init__(self):
        self.names = ["builtin", "one"] + (len(os.sched_getaffinity(0)) > 1) * ["many"]

    def enter(self, name):
        if name != "builtin":
            hearth.workers(1 if name == "one" else 0)
            hearth.install()

    def leave(self, name):
        if name != "builtin":
            hearth.uninstall()

    def order(self, turn):
        turn %= len(self.names)
        return self.names[turn:] + self.names[:turn]


def collections(name, size, rounds, variants):
    """Full collections of a heap that lives, or of garbage made anew each time."""
    make = getattr(heaps, name)
    lives = name in ("graph", "shuffled", "trees")
    kept = make(size) if lives else None
    builtin.disable()
    for variant in variants.names:  # the first one finds the heap as it was built: not measured
        variants.enter(variant)
        sys.modules["gc"].collect()
        variants.leave(variant)
    samples = {variant: [] for variant in variants.names}
    for turn in range(rounds):
        for variant in variants.order(turn):
            if not lives:
                make(size)
            variants.enter(variant)
            collect = sys.modules["gc"].collect
            wall, used, found = timed(collect)
            variants.leave(variant)
            if not lives and found < size * 0.6:
                raise SystemExit(f"{name}, {variant}: {found} of {size} objects found")
            samples[variant].append((wall, used))
    objects = len(builtin.get_objects())
    del kept
    return samples, {"objects": objects}


def creation(name, size, rounds, variants):
    """A program with the automatic collections it causes, at CPython's thresholds."""
    work = heaps.CREATION[name]
    samples = {variant: [] for variant in variants.names}
    number = {}
    work(size // 10)
    for turn in range(rounds):
        for variant in variants.order(turn):
            builtin.collect()
            variants.enter(variant)
            before = [entry["collections"] for entry in builtin.get_stats()]
            wall, used, kept = timed(lambda: work(size))
            after = [entry["collections"] for entry in builtin.get_stats()]
            variants.leave(variant)
            kept = None
            samples[variant].append((wall, used))
            number[variant] = [b - a for a, b in zip(before, after)]
    return samples, {"collections": number}


def young(name, size, rounds, variants):
    """Collections of the youngest generation, `size` of them a sample."""
    make = heaps.YOUNG[name]
    builtin.collect()
    builtin.disable()
    builtin.freeze()
    samples = {variant: [] for variant in variants.names}
    for turn in range(rounds):
        for variant in variants.order(turn):
            variants.enter(variant)
            collect = sys.modules["gc"].collect
            wall = used = 0.0
            for i in range(2 * size):  # one clock at a time: reading them takes as long as a tenth of the work
                clock = time.perf_counter if i % 2 else time.thread_time
                kept = make()
                began = clock()
                collect(0)
                passed = clock() - began
                wall, used = (wall + passed, used) if i % 2 else (wall, used + passed)
                kept = None
            variants.leave(variant)
            builtin.collect()
            samples[variant].append((wall / size, used / size))
    return samples, {}


def idle(name, size, rounds, variants):
    """Nothing to collect: the same loop with and without hearth installed."""
    samples = {variant: [] for variant in variants.names}
    for turn in range(rounds):
        for variant in variants.order(turn):
            variants.enter(variant)
            samples[variant].append(timed(lambda: heaps.idle(size))[:2])
            variants.leave(variant)
    return samples, {}


def summary(samples):
    """Medians and ratios of a workload's samples."""
    result = {}
    base = samples["builtin"]
    for variant, pairs in samples.items():
        wall, used = [list(column) for column in zip(*pairs)]
        result[variant] = {
            "wall": statistics.median(wall),
            "cpu": statistics.median(used),
            "least": min(wall),
            "ratio": statistics.median(w / b[0] for w, b in zip(wall, base)),
            "ratio_cpu": statistics.median(u / b[1] if b[1] else 1.0 for u, b in zip(used, base)),
            "rounds": len(wall),
        }
    return result


def main():
    kind, name, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    functions = {"collections": collections, "creation": creation, "young": young, "idle": idle}
    samples, more = functions[kind](name, size, rounds, Variants())
    print(json.dumps({"kind": kind, "name": name, "size": size, "variants": summary(samples), **more}))


if __name__ == "__main__":
    main()
