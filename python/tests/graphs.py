"""tests/graphs.py - random graphs under the built-in collector and under hearth's: the same objects die, in the same steps.

Usage: graphs.py [COUNT] [--seed FIRST] [--jobs N]      compares, prints the seeds that differ
       graphs.py --show SEED                            what one graph does, under each
       graphs.py --run FIRST COUNT                      (a child) one line for each graph

A graph is made in a forked child, so that each begins with the same heap. Compared are: the number each collection
returns, garbage, finalizers, weak references' callbacks, which weak references are dead, what survivors refer to and
whether they are tracked and finalized, statistics; and that in the end everything is gone and no finalizer ran twice.
"""
import argparse
import collections
import concurrent.futures
import gc
import json
import os
import random
import sys
import weakref

import graph_kinds
import support

CHUNK = 100


class World:
    """One graph: its objects, the weak references to them, and what has happened."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.log, self.saved, self.objects, self.references = [], [], [], []
        self.steps = []  # what is compared
        self.everything = []  # all that ever was in the log
        self.numbered = 0
        self.rare = False  # whether there are objects that no collector frees

    def any(self):
        return self.random.choice(self.objects) if self.objects else None

    def hashable(self):
        made = self.any()
        return made if type(made).__hash__ is object.__hash__ else None

    def collect_inside(self):
        gc.collect(0)

    def fill_weak(self, mapping):
        for i in range(3):
            try:
                mapping[i] = self.any()
            except TypeError:
                pass

    def callback(self, number):
        def called(reference):
            self.log.append(("callback", number))

        return called

    def refer(self, value):
        """A weak reference to a value, with a callback or not, outside or inside the graph."""
        self.numbered += 1
        number = self.numbered
        try:
            if self.random.random() < 0.6:
                made = weakref.ref(value, self.callback(number))
            else:
                made = weakref.ref(value)
        except TypeError:
            return
        if self.random.random() < 0.25:
            graph_kinds.attach(self, self.any(), made)
        else:
            self.references.append(made)

    def build(self):
        """Objects, links, weak references; now and then a collection of a young generation."""
        finals, rare = self.random.random() < 0.6, self.random.random() < 0.15
        self.rare = rare
        kinds = graph_kinds.ORDINARY + finals * graph_kinds.FINALS + rare * graph_kinds.RARE
        early = self.random.random() < 0.4
        for number in range(self.random.choice([3, 10, 40, 120])):
            self.objects.append(self.random.choice(kinds)(self, number))
            if early and self.random.random() < 0.03:
                self.collect(self.random.randrange(2))
        for _ in range(int(len(self.objects) * self.random.choice([0.5, 1, 2, 3]))):
            graph_kinds.attach(self, self.any(), self.any())
        for value in self.objects:
            if self.random.random() < 0.3:
                self.refer(value)
        value = None

    def collect(self, generation):
        """A collection, and everything that can be told about it."""
        before = len(gc.garbage)
        stats = gc.get_stats()[generation]
        earlier = sorted(map(str, self.log))
        self.log.clear()
        found = gc.collect(generation)
        after = gc.get_stats()[generation]
        self.steps.append({
            "before": earlier, "generation": generation, "found": found,
            "garbage": sorted(type(o).__name__ for o in gc.garbage[before:]),
            "log": sorted(map(str, self.log)), "dead": [r() is None for r in self.references],
            "saved": sorted(type(o).__name__ for o in self.saved),
            "stats": [after[name] - stats[name] for name in stats],
        })  # fmt: skip
        self.everything.extend(self.log)
        self.log.clear()

    def run(self):
        self.build()
        kept = [o for o in self.objects if self.random.random() < 0.08]
        self.objects.clear()
        debug = self.random.random() < 0.05
        freeze = self.random.random() < 0.05
        if debug:
            gc.set_debug(gc.DEBUG_SAVEALL)
        for generation in self.random.choice([(2,), (2, 2, 2), (0, 1, 2), (0, 0, 1, 2, 2)]):
            if freeze:
                gc.freeze()
            self.collect(generation)
        gc.set_debug(0)
        gc.unfreeze()
        self.steps.append([[type(o).__name__, graph_kinds.successors(o), gc.is_tracked(o), gc.is_finalized(o)] for o in kept])
        self.end(kept, debug)
        return self.steps

    def end(self, kept, debug):
        """Lets everything go: all must die now, and no finalizer may have run twice."""
        for value in gc.garbage + kept + self.saved:
            if type(value).__name__ == "Legacy":
                value.me = None
                for name in ("x0", "x1", "x2", "x3"):
                    vars(value).pop(name, None)
        value = None
        for _ in range(4):
            gc.garbage.clear()
            kept.clear()
            self.saved.clear()
            self.collect(2)
        self.everything.extend(self.log)
        twice = [entry for entry, n in collections.Counter(self.everything).items() if n > 1]
        left = sum(r() is not None for r in self.references)
        self.steps.append({"left": left, "allowed": self.rare, "twice": sorted(map(str, twice))})


def run_forked(seed):
    """The steps of a graph, as text, from a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            text = json.dumps(World(seed).run())
        except BaseException as error:
            import traceback

            text = json.dumps(["error", traceback.format_exc()])
            del error
        with os.fdopen(write, "w") as stream:
            stream.write(text)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    status = os.waitpid(pid, 0)[1]
    return text if status == 0 else json.dumps(["status", status])


def child(first, count):
    """Prints a line for each graph, and at the end how many collections hearth did in this process."""
    sys.unraisablehook = lambda unraisable: None
    gc.disable()
    expected = os.environ["HEARTH_EXPECT"]
    package = sys.modules.get("hearth")
    if (package is not None and package.installed()) != (expected == "hearth"):
        sys.exit(f"the collector is not {expected}")
    while gc.collect():
        pass
    # With the heap of the interpreter out of the way, graphs of two objects are collected as such.
    gc.freeze() if first % 2 else None
    for seed in range(first, first + count):
        print(seed, run_forked(seed))


def lines(mode, first, count):
    result = support.run(mode, os.path.abspath(__file__), "--run", str(first), str(count), timeout=900)
    found = dict(line.split(" ", 1) for line in result.out.splitlines() if " " in line)
    if result.status != 0 or len(found) != count:
        raise SystemExit(f"graphs {first}..{first + count - 1} under {mode}: {result!r}")
    return found


def wrong(text):
    """What must not be under any collector: a child that failed, something left, a finalizer that ran twice."""
    steps = json.loads(text)
    if steps[0] in ("error", "status"):
        return True
    return bool(steps[-1]["twice"] or (steps[-1]["left"] and not steps[-1]["allowed"]))


AGAIN = 40


def unstable(seed, text):
    """Does the built-in itself do this too, in one of many processes? The order of a set of objects is that of their addresses, and
    in a few graphs it decides which of a weak reference and its object goes first."""
    return any(lines("builtin", seed, 1)[str(seed)] == text for _ in range(AGAIN))


def compare_chunk(first, count):
    """Differences of some graphs: (seed, mode, text), and how much garbage they made."""
    expected = lines("builtin", first, count)
    differences = [(seed, "builtin", pretty(text)) for seed, text in expected.items() if wrong(text)]
    for mode in ("hearth", "parallel"):
        found = lines(mode, first, count)
        for seed in expected:
            if found[seed] != expected[seed] and not unstable(seed, found[seed]):
                differences.append((seed, mode, support.difference(pretty(expected[seed]), pretty(found[seed]))))
    collected = sum(step["found"] for text in expected.values() for step in json.loads(text) if isinstance(step, dict) and "found" in step)
    return differences, collected


def pretty(text):
    return json.dumps(json.loads(text), indent=1)


def check(count, first, jobs, report=print):
    """Compares graphs. Returns (graphs, differences)."""
    chunks = [(at, min(CHUNK, first + count - at)) for at in range(first, first + count, CHUNK)]
    total = collected = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for differences, found in pool.map(lambda chunk: compare_chunk(*chunk), chunks):
            collected += found
            total += len(differences)
            for seed, mode, text in differences[:5]:
                report(f"graph {seed} differs, {mode} (graphs.py --show {seed}):\n{text}")
    report(f"graphs: {count}, seeds {first} to {first + count - 1}, {collected} objects of garbage,"
           f" each with 1 worker and in parallel: {total} differences")  # fmt: skip
    if collected < count:
        report("graphs: hardly any garbage was made")
        return count, total + 1
    return count, total


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("count", nargs="?", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--show", type=int)
    parser.add_argument("--run", nargs=2, type=int)
    arguments = parser.parse_args()
    if arguments.run:
        child(*arguments.run)
    elif arguments.show is not None:
        for mode in support.MODES:
            print(mode, pretty(lines(mode, arguments.show, 1)[str(arguments.show)]))
    else:
        sys.exit(check(arguments.count, arguments.seed, arguments.jobs)[1] > 0)


if __name__ == "__main__":
    main()
