"""tests/suites.py - CPython's own test suites under the built-in collector and under hearth's, compared test by test.

Usage: suites.py [--size ci|full] [--jobs N] [MODULE...]

Each module runs in a process of its own, three times: built-in, hearth with one worker, hearth with workers forced
into every collection. A test passes here if its outcome is the same (also if it is skipped or fails in both). One
that differs runs again alone, three times each: tests of timing differ by chance now and then.

The suites come from Debian's libpython3.11-testsuite.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import sys
import tempfile
import time

import support

CI = """test_gc test_weakref test_weakset test_generators test_coroutines test_asyncgen test_descr
    test_finalization test_dict""".split()
FULL = CI + "test_io test_threading test_concurrent_futures test_asyncio".split()
SECONDS = 1500
CHILD = os.path.join(support.HERE, "suite_child.py")

Run = collections.namedtuple("Run", "outcomes details status collector collections seconds result")


def run(module, mode, seconds=SECONDS):
    """Runs a module, or one test of it ("test_gc.GCTests.test_list")."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hearth-suite-") as directory:
        path = os.path.join(directory, "outcomes")
        result = support.run(
            mode, CHILD, module, path, str(seconds), timeout=seconds + 30, cwd=directory, TMPDIR=directory
        )
        lines = open(path).read().splitlines() if os.path.exists(path) else []
    outcomes, details, running, ends = collections.Counter(), {}, None, []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            break  # half a line: the process died while it wrote
        if "begin" in record:
            running = record["begin"]
        elif "test" in record:
            running = None
            outcomes[record["test"], record["outcome"]] += 1
            if record["outcome"] in ("failed", "error"):
                details[record["test"]] = record["detail"]
        else:
            ends.append(record)
    if running is not None or len(ends) < 2:
        outcomes[running or module, "crashed"] += 1
        details[running or module] = repr(result)
    collector = {end["collector"] for end in ends}
    return Run(
        outcomes,
        details,
        result.status,
        collector.pop() if len(collector) == 1 else "several",
        max((end.get("collections", 0) for end in ends), default=0),
        time.monotonic() - began,
        result,
    )


def differing(first, second):
    """Names of the tests that did not end alike."""
    return sorted({name for name, outcome in (first.outcomes - second.outcomes) + (second.outcomes - first.outcomes)})


def short(name):
    """What suite_child.py takes for a test: without "test."; "" if it cannot be run alone."""
    return name[5:] if name.startswith("test.") and " " not in name else ""


def steady(module, mode, name):
    """Whether a test that differed once differs again: its outcomes alone, three times each."""
    alone = short(name) or module
    for _ in range(3):
        expected, found = run(alone, "builtin", 300), run(alone, mode, 300)
        if name in differing(expected, found):
            return True, found.details.get(name, repr(found.result))
    return False, ""


def compare(module, runs, report):
    """Compares the runs of a module. Returns (tests, new failures, unsteady ones)."""
    expected = runs["builtin"]
    tests = sum(expected.outcomes.values())
    failures = unsteady = 0
    if tests == 0 or not any(outcome == "ok" for _, outcome in expected.outcomes):
        report(f"  {module}: no test was selected or none passed\n{expected.result!r}")
        failures += 1
    for mode, found in runs.items():
        wanted = "builtin" if mode == "builtin" else "hearth"
        if found.collector != wanted or (mode != "builtin" and found.collections == 0):
            report(f"  {module}: ran under {found.collector}, not {wanted} ({found.collections} collections)")
            failures += 1
        if mode == "builtin":
            continue
        for name in differing(expected, found):
            if failures < 3:
                again, detail = steady(module, mode, name)
            else:  # too much is wrong to be chance
                again, detail = True, found.details.get(name, "")
            outcomes = [[o for (n, o) in run.outcomes if n == name] or ["did not run"] for run in (expected, found)]
            report(f"  {name}, {mode}: {outcomes[0]} built-in, {outcomes[1]} here"
                   + (f"\n{detail}" if again else "; the same in three more runs"))  # fmt: skip
            if again:
                failures += 1
            else:
                unsteady += 1
                report("    first time: " + found.details.get(name, expected.details.get(name, ""))[-800:])
        if found.status != expected.status:
            report(f"  {module}, {mode}: status {expected.status} built-in, {found.status} here\n{found.result!r}")
            failures += 1
    return tests, failures, unsteady


def check(modules, jobs, modes=("builtin", "hearth", "parallel"), report=print):
    """Runs and compares all of it. Returns (tests, failures, unsteady)."""
    totals = [0, 0, 0]
    results = {module: {} for module in modules}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # The longest first: CI lists short ones, what FULL adds is long.
        waiting = {pool.submit(run, m, mode): (m, mode) for m in reversed(modules) for mode in modes}
        for done in concurrent.futures.as_completed(waiting):
            module, mode = waiting[done]
            results[module][mode] = done.result()
    report(f"{'module':26}{'tests':>6}{'ok':>6}{'skip':>6}{'fail':>6}   same: "
           + "".join(f"{mode:>10}" for mode in modes[1:]) + "   seconds: " + " / ".join(modes))  # fmt: skip
    for module in modules:
        runs = results[module]
        counts = collections.Counter()
        for (_, outcome), number in runs["builtin"].outcomes.items():
            counts[outcome] += number
        lines = []
        numbers = compare(module, runs, lines.append)
        totals = [a + b for a, b in zip(totals, numbers)]
        same = "".join(f"{sum((runs['builtin'].outcomes & runs[mode].outcomes).values()):10}" for mode in modes[1:])
        report(f"{module:26}{numbers[0]:6}{counts['ok'] + counts['expected failure']:6}{counts['skipped']:6}"
               f"{counts['failed'] + counts['error'] + counts['crashed']:6}         {same}   "
               + " / ".join(f"{runs[mode].seconds:.1f}" for mode in modes))  # fmt: skip
        for line in lines:
            report(line)
    return totals


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=("ci", "full"), default="full")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("modules", nargs="*")
    arguments = parser.parse_args()
    modules = arguments.modules or (CI if arguments.size == "ci" else FULL)
    tests, failures, unsteady = check(modules, arguments.jobs)
    print(f"suites: {len(modules)} modules, {tests} tests, {failures} new failures, {unsteady} unsteady")
    sys.exit(failures > 0 or tests == 0)


if __name__ == "__main__":
    main()
