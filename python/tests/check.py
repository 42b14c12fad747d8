"""tests/check.py - all tests of the Python package; what `make check-python` runs.

Usage: check.py [--size ci|full] [--only PARTS] [--graphs N] [--seed N] [--jobs N]

Parts: unit (tests of this directory), graphs (random graphs), suites (CPython's own). ci takes below three minutes
on two processors, full about a quarter of an hour. The last line has the totals; the status is not 0 if anything failed, or if
a part had no tests.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import sys
import time

import graphs
import suites
import support

PARTS = ("unit", "graphs", "suites")


def unit(jobs):
    """Each file of tests in a process of its own. Returns (tests, failures)."""
    names = sorted(os.path.basename(path)[:-3] for path in glob.glob(os.path.join(support.HERE, "test_*.py")))

    def run(name):
        return support.run("builtin", "-m", "unittest", "-v", name, cwd=support.HERE, timeout=900)

    tests = failures = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, result in zip(names, pool.map(run, names)):
            ran = re.search(r"^Ran (\d+) tests? in ([\d.]+)s$", result.err, re.M)
            bad = re.search(r"^FAILED \((.*)\)$", result.err, re.M)
            skipped = re.search(r"skipped=(\d+)", result.err)
            number = int(ran.group(1)) if ran else 0
            bad_number = sum(map(int, re.findall(r"(?:failures|errors|successes)=(\d+)", bad.group(1)))) if bad else 0
            if number == 0 or result.late or (result.status != 0 and bad_number == 0):
                bad_number += 1
            print(f"{name:26}{number:6} tests, {bad_number} failures"
                  + (f", {skipped.group(1)} skipped" if skipped else "") + (f", {ran.group(2)} s" if ran else ""))  # fmt: skip
            if bad_number:
                print(result.err if ran else repr(result))
            tests, failures = tests + number, failures + bad_number
    return tests, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=("ci", "full"), default="full")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--graphs", type=int, help="how many; 300 for ci, 5000 for full")
    parser.add_argument("--seed", type=int, default=1, help="of the first graph")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only={arguments.only}: parts are {', '.join(PARTS)}")
    sys.stdout.reconfigure(line_buffering=True)
    began, totals = time.monotonic(), {}
    if "unit" in parts:
        totals["unit tests"] = unit(arguments.jobs)
    if "graphs" in parts:
        count = arguments.graphs or {"ci": 300, "full": 5000}[arguments.size]
        totals["graphs"] = graphs.check(count, arguments.seed, arguments.jobs)
    if "suites" in parts:
        modules = suites.CI if arguments.size == "ci" else suites.FULL
        tests, failures, unsteady = suites.check(modules, arguments.jobs)
        totals["tests of CPython"] = (tests, failures)
        if unsteady:
            print(f"{unsteady} tests of CPython differed once, and were the same in three more runs")
    failures = sum(bad for _, bad in totals.values()) + sum(number == 0 for number, _ in totals.values())
    text = ", ".join(f"{number} {name}" for name, (number, _) in totals.items())
    print(f"check-python ({arguments.size}, {time.monotonic() - began:.0f} s): {text}, {failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
