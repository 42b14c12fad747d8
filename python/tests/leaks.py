"""tests/leaks.py - under the debug interpreter: nothing hearth does leaves references behind. What `make check-python-leaks` runs.

Usage: python3.11-dbg leaks.py [SUITE...]       (with hearth for that interpreter in PYTHONPATH)

sys.gettotalrefcount() counts all references of the process. Each action here runs some times to settle, then
many times, and the count before and after must be the same, as must the number of memory blocks. Then CPython's suites
run under its own search for leaks (regrtest -R), under hearth.
"""
import gc
import os
import subprocess
import sys
import tempfile
import weakref

import hearth
import hearth.gc

SUITES = ["test_gc", "test_weakref", "test_weakset", "test_generators", "test_finalization"]
TIMES = 30


class Knot:
    def __init__(self):
        self.me = self
        self.box = [{"k": (self, [self])}]


class Final(Knot):
    def __del__(self):
        pass


class Phoenix(Knot):
    saved = []

    def __del__(self):
        self.saved.append(self)


def raises(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except Exception:
        return
    raise AssertionError(f"{function} did not fail")


def weak():
    knot = Knot()
    references = [weakref.ref(knot, lambda r: None), weakref.ref(knot), weakref.proxy(knot)]
    knot.inside = weakref.ref(knot, print)
    del knot
    gc.collect()
    return len(references)


def resurrected():
    Phoenix()
    gc.collect()
    Phoenix.saved.clear()
    gc.collect()


def callbacks():
    def failing(phase, info):
        raise KeyError(phase)

    gc.callbacks.extend([lambda phase, info: None, failing])
    for generation in range(3):
        gc.collect(generation)
    gc.callbacks.clear()


def automatic():
    gc.set_threshold(5, 2, 2)
    gc.enable()
    for _ in range(200):
        Knot()
    gc.disable()
    gc.set_threshold(700, 10, 10)


def saved():
    gc.set_debug(gc.DEBUG_SAVEALL)
    Knot()
    gc.collect()
    gc.set_debug(0)
    gc.garbage.clear()
    gc.collect()


def installed():
    hearth.uninstall()
    gc.collect()
    hearth.install()


def no_memory():
    for n in range(1, 12):
        hearth._core._fail(n, n % 2)
        Knot()
        gc.collect(n % 3)
    hearth._core._fail(0)


def untracked():
    kept = [tuple([i, (i, i)]) for i in range(50)] + [{"a": i} for i in range(50)]
    for generation in range(3):
        gc.collect(generation)
    return len(kept)


def wrong_arguments():
    for function in (gc.collect, gc.get_objects):
        for value in ("x", 2**70, -2, 3, 1.5):
            raises(function, value)
    raises(gc.set_threshold)
    raises(gc.set_threshold, 1, "x")
    gc.set_threshold(700, 10, 10)
    raises(gc.set_debug, "x")
    raises(gc.is_tracked)
    raises(hearth.workers, -1)
    raises(hearth.parallel_min, "x")
    raises(hearth.set_parallel, "x")
    raises(hearth.arenas, "x")


ACTIONS = {
    "collect": lambda: [gc.collect(generation) for generation in range(3)],
    "garbage": lambda: (Knot(), gc.collect()),
    "finalizers": lambda: (Final(), Final(), gc.collect()),
    "resurrection": resurrected,
    "weak references": weak,
    "callbacks": callbacks,
    "automatic collections": automatic,
    "DEBUG_SAVEALL": saved,
    "untracking": untracked,
    "freeze, unfreeze": lambda: (gc.freeze(), gc.get_freeze_count(), gc.unfreeze()),
    "install, uninstall": installed,
    "out of memory": no_memory,
    "get_objects": lambda: [len(gc.get_objects(g)) for g in (None, 0, 1, 2)],
    "get_referrers, get_referents": lambda: (gc.get_referrers(Knot), gc.get_referents(Knot, {})),
    "statistics": lambda: (gc.get_stats(), gc.get_count(), gc.get_threshold(), hearth.stats(), hearth.residency()),
    "settings": lambda: (hearth.workers(2), hearth.workers(0), hearth.parallel_min(10), hearth.parallel_min(50000),
                         hearth.set_parallel("all"), hearth.set_parallel("python"), hearth.get_parallel()),
    "is_tracked, is_finalized": lambda: (gc.is_tracked([]), gc.is_finalized(Knot), gc.isenabled(), gc.get_debug()),
    "wrong arguments": wrong_arguments,
}  # fmt: skip


def settle():
    for _ in range(3):
        gc.collect()


def growth(action):
    """References and blocks that TIMES runs of an action leave."""
    for _ in range(5):
        action()
    settle()
    references, blocks = sys.gettotalrefcount(), sys.getallocatedblocks()
    for _ in range(TIMES):
        action()
    settle()
    return sys.gettotalrefcount() - references, sys.getallocatedblocks() - blocks


def actions():
    failures = 0
    sys.unraisablehook = lambda unraisable: None
    for parallel in (False, True):
        hearth.parallel_min(1 if parallel else 50000)
        for name, action in ACTIONS.items():
            references, blocks = growth(action)
            # A few: caches of the interpreter. One reference a run would be TIMES.
            leaks = abs(references) >= TIMES // 2 or abs(blocks) >= TIMES // 2
            failures += leaks
            if leaks:
                print(f"{name}{', parallel' * parallel}: {TIMES} runs leave {references} references, {blocks} blocks")
    print(f"leaks: {2 * len(ACTIONS)} actions, {failures} failures")
    return failures


def suites(names):
    failures = 0
    for name in names:
        with tempfile.TemporaryDirectory() as directory:
            result = subprocess.run(
                [sys.executable, "-m", "hearth", "-m", "test", "-R", "3:3", name], cwd=directory, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(os.environ),
            )  # fmt: skip
        good = result.returncode == 0 and "All 1 tests OK" in result.stdout.replace("1 test OK", "All 1 tests OK")
        failures += not good
        print(f"{name} -R 3:3: " + ("no leaks" if good else "\n" + result.stdout[-1500:]), flush=True)
    return failures


def main():
    if not hasattr(sys, "gettotalrefcount"):
        sys.exit("leaks.py needs the debug interpreter: python3.11-dbg")
    gc.disable()
    hearth.install()
    import gc as ours

    globals()["gc"] = ours
    failures = actions() + suites(sys.argv[1:] or SUITES)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
