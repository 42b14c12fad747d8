"""instructions.py - counts the instructions of small fixed workloads, against a file.

    python3 bench/runner/instructions.py check|update

Valgrind's callgrind counts every instruction of the thread that does the work, collections included, from
its start to its end: no other process and no clock disturbs the count, so a change of a few percent is one of
the program. What depends on the machine is fixed: one worker, the size of the nursery, no memory given
back. A count that is more than TOLERANCE above the file's is a failure; one that is as much below is told, so
that the file is updated (`make bench-instr-update`), and the gain is kept.

Instructions are not time: a cache miss costs none. `make bench` measures time.

Invariant: the file has a line for each case: arguments and count. Environment: BENCH_PROGRAMS, WORK="..." (only
these workloads).
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

TOLERANCE = 0.03
FILE = "bench/instructions.txt"
OPTIONS = "workers=1,nursery=4m,release-after=0,mode=off"
CASES = [
    "gcbench --scale 0.01", "gcbench-holes --scale 0.005", "binary-trees --scale 0.002",
    "old-young --size 0.1 --scale 0.02", "old-young --variant hash --size 0.1 --scale 0.02",
    "lru --size 0.1 --scale 0.01", "cache --size 0.05 --scale 0.01", "quads --size 0.1 --scale 0.02",
    "splay --size 0.1 --scale 0.02", "strings --size 0.1 --scale 0.02 --heap-x 4",
    "mark --size 0.005", "mark --variant list --size 0.005", "mark --variant tree --size 0.005",
    "mark --variant array --size 0.005", "alloc --variant 16 --scale 0.05",
    "alloc --variant 64 --scale 0.05", "alloc --variant 1024 --scale 0.05",
    "barrier --variant young --scale 0.02", "barrier --variant old --scale 0.02",
    "barrier --variant array --scale 0.02", "barrier --variant random --scale 0.02",
    "barrier --variant range --scale 0.1"]


def count(case):
    """Instructions of a case; a message if it failed."""
    programs = os.environ.get("BENCH_PROGRAMS") or "build/bench"
    words = case.split()
    environment = dict(os.environ, HEARTH_OPTIONS=OPTIONS)
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
         "--toggle-collect=worker_main", os.path.join(programs, words[0] + "-hearth"), "--json"]
        + words[1:], text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None or int(found.group(1)) == 0:
        return "failed: " + (done.stderr.strip().splitlines() or ["no output"])[-1]
    return int(found.group(1))


def read():
    known = {}
    if os.path.exists(FILE):
        with open(FILE) as lines:
            for line in lines:
                if line.strip() and not line.startswith("#"):
                    case, _, number = line.rpartition(":")
                    known[case.strip()] = int(number)
    return known


def write(counts):
    known = read()
    known.update(counts)
    with open(FILE, "w") as out:
        out.write("# Instructions of hearth in small fixed workloads: make bench-instr compares, make"
                  " bench-instr-update\n# writes (bench/runner/instructions.py). Debian 12, gcc 12.2,"
                  " x86-64.\n")
        for case in CASES:
            if case in known:
                out.write("%-58s: %d\n" % (case, known[case]))


def compare(counts):
    """Prints a line for each case; how many are wrong."""
    known, wrong = read(), 0
    for case, number in counts.items():
        if isinstance(number, str):
            print("%-58s %s" % (case, number))
            wrong += 1
        elif case not in known:
            print("%-58s %11d  not in %s" % (case, number, FILE))
            wrong += 1
        else:
            change = number / known[case] - 1
            verdict = "ok"
            if change > TOLERANCE:
                verdict, wrong = "MORE than before", wrong + 1
            elif change < -TOLERANCE:
                verdict = "fewer: make bench-instr-update keeps the gain"
            print("%-58s %11d  %+6.2f %%  %s" % (case, number, 100 * change, verdict))
    return wrong


def main():
    if sys.argv[1:] not in (["check"], ["update"]):
        sys.stderr.write("instructions.py: one of check, update: not '%s'\n" % " ".join(sys.argv[1:]))
        return 2
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    work = os.environ.get("WORK", "").split()
    cases = [case for case in CASES if not work or case.split()[0] in work]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        counts = dict(zip(cases, pool.map(count, cases)))
    wrong = compare(counts) if sys.argv[1] == "check" else 0
    if sys.argv[1] == "update":
        failed = {case: number for case, number in counts.items() if isinstance(number, str)}
        for case, message in failed.items():
            print("%s: %s" % (case, message))
        if failed:
            return 1
        write(counts)
        print("%s: %d counts written" % (FILE, len(counts)))
    if wrong:
        print("%d of %d cases are wrong" % (wrong, len(cases)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
