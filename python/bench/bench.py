"""bench/bench.py - hearth's collector against CPython's own: the table, JSON and a picture. What `make bench-python` runs.

Usage: bench.py --out PREFIX [--size quick|full] [--rounds N] [--only PARTS]

Parts: collections, young, creation, idle, programs, start. Each workload runs in a fresh process in which the collectors take
turns (measure.py); a program runs in a process for each turn (programs.py). Writes PREFIX.txt, PREFIX.json, PREFIX.svg.
"1 worker" and "default" are hearth's. A bar is for the CPU time of the default, helpers included: on a busy machine
wall-clock time says more about the others, on a quiet one it is the CPU time or, with helpers, less.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import heaps
import programs

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("collections", "young", "creation", "idle", "start", "programs")

# title, function of heaps, objects (files for trees), rounds, bar
COLLECTIONS = [
    ("1M alive, a local graph", "graph", 1_000_000, 11, 0.40),
    ("1M alive, shuffled", "shuffled", 1_000_000, 7, None),
    ("syntax trees of the standard library", "trees", 600, 7, 0.15),
    ("1M dead in cycles: pairs of lists", "pairs", 1_000_000, 11, 0.50),
    ("1M dead in cycles: instances", "instances", 1_000_000, 11, 0.50),
    ("1M dead: one ring of dictionaries", "ring", 1_000_000, 7, None),
    ("10,000 dead: pairs of lists", "pairs", 10_000, 101, 0.50),
]
CREATION_BAR, YOUNG_BAR, IDLE_BAR, PROGRAM_BAR = 0.90, 1.00, 1.01, 1.00


def measured(kind, name, size, rounds):
    """Runs measure.py and returns what it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_PYTHON", "PYTHON"))}
    result = subprocess.run(
        [sys.executable, os.path.join(HERE, "measure.py"), kind, name, str(size), str(rounds)],
        stdout=subprocess.PIPE, text=True, env=dict(environment, PYTHONHASHSEED="0"), check=True,
    )  # fmt: skip
    return json.loads(result.stdout)


def verdict(row):
    """Whether a row keeps its bar, with hearth's defaults: "yes", "no", "wall only" if not in CPU time, "" without a bar."""
    bar = row.get("bar")
    if bar is None:
        return ""
    variants = row["variants"]
    best = variants.get("many") or variants["one"]
    if row.get("same_output") is False:
        return "no: output differs"
    if best["ratio_cpu"] <= bar:
        return "yes"
    return "wall only" if best["ratio"] <= bar else "no"


def number(seconds):
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


class Table:
    """Rows as they come: printed, and kept for the files."""

    def __init__(self, path):
        self.rows = []
        self.file = open(path, "w")

    def line(self, text=""):
        print(text, flush=True)
        self.file.write(text + "\n")

    def head(self, title):
        self.line(f"\n{title}")
        self.line(f"{'':40}{'built-in':>12}{'1 worker':>18}{'default':>18}{'bar':>7}  kept")
        self.line(f"{'':40}{'':>12}{'wall    cpu':>18}{'wall    cpu':>18}")

    def row(self, title, row, bar=None):
        row.update(title=title, bar=bar)
        row["kept"] = verdict(row)
        self.rows.append(row)
        text = f"{title:40}{number(row['variants']['builtin']['wall']):>12}"
        for name in ("one", "many"):
            found = row["variants"].get(name)
            text += f"{found['ratio']:11.3f}{found['ratio_cpu']:7.3f}" if found else f"{'':18}"
        self.line(text + (f"{bar:7.2f}" if bar else f"{'':7}") + f"  {row['kept']}")


def start_up(rounds):
    """A process that does nothing, without and with HEARTH_PYTHON=1: what taking over at start costs."""
    samples = {False: [], True: []}
    for turn in range(rounds):
        for taken in (False, True) if turn % 2 == 0 else (True, False):
            _, found = programs.run(None, ["this"], taken)
            samples[taken].append(found)
    variants = {}
    for name, taken in (("builtin", False), ("many", True)):
        pairs = list(zip(samples[False], samples[taken]))
        variants[name] = {
            "wall": statistics.median(s["wall"] for s in samples[taken]),
            "cpu": statistics.median(s["cpu"] for s in samples[taken]),
            "ratio": statistics.median(b["wall"] / a["wall"] for a, b in pairs),
            "ratio_cpu": statistics.median(b["cpu"] / a["cpu"] for a, b in pairs),
        }
    return {"kind": "start", "name": "start", "variants": variants}


def run_programs(table, quick, rounds):
    table.head("Real programs, whole: seconds of the built-in, ratios of total time")
    notes = []
    for name, (_, _, sizes) in programs.PROGRAMS.items():
        if quick and "quick" not in sizes:
            continue
        row = programs.measure(name, rounds or 3, table.line)
        if row is None:
            continue
        table.row(name, row, PROGRAM_BAR)
        for key, text in (("builtin", "built-in"), ("many", "hearth")):
            pauses = row["variants"][key]["pauses"]
            if pauses:
                notes.append(f"  {name:34}{text:10}{pauses['count']:8}{pauses['total'] * 1e3:10.1f}"
                             f"{pauses['median'] * 1e6:10.1f}{pauses['longest'] * 1e3:10.2f}")  # fmt: skip
    table.line(f"\n  {'pauses':34}{'':10}{'number':>8}{'total ms':>10}{'median us':>10}{'longest ms':>10}")
    for note in notes:
        table.line(note)


def measure_all(table, parts, quick, rounds):
    shrink = 5 if quick else 1

    def turns(usual):
        return rounds or max(3, usual // (2 if quick else 1))

    if "collections" in parts:
        table.head("Full collections: median time of the built-in, ratios of hearth to it")
        for title, name, size, usual, bar in COLLECTIONS:
            size = size if size <= 10_000 and name != "trees" else size // shrink
            title = title.replace("1M", f"{size // 1000}k") if quick else title
            table.row(title, measured("collections", name, size, turns(usual)), bar)
    if "young" in parts:
        table.head("Young collections")
        for name in heaps.YOUNG:
            table.row(name, measured("young", name, 200 // shrink, turns(21)), YOUNG_BAR)
    if "creation" in parts:
        table.head("Making objects, with the automatic collections that causes")
        for name in heaps.CREATION:
            table.row(name, measured("creation", name, 1_000_000 // shrink, turns(11)), CREATION_BAR)
    if "idle" in parts:
        table.head("Installed, nothing to collect")
        table.row("strings and numbers", measured("idle", "idle", 2_000_000 // shrink, turns(21)), IDLE_BAR)
    if "start" in parts:
        table.head("Starting a process with HEARTH_PYTHON=1")
        table.row("python -m this", start_up(turns(15)))
    if "programs" in parts:
        run_programs(table, quick, rounds)


def machine():
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} processors, load {load}"


def plot(rows, prefix):
    """The picture: a bar for each row, the bars to be kept as lines."""
    gnuplot = shutil.which("gnuplot")
    if gnuplot is None:
        print("no picture: gnuplot is not installed")
        return
    with open(prefix + ".data", "w") as file:
        for row in rows:
            best = row["variants"].get("many") or row["variants"]["one"]
            title = row["title"].replace('"', "").replace("_", " ")
            file.write(f'"{title}" {best["ratio_cpu"]:.4f} {row["bar"] or "NaN"}\n')
    command = f'data="{prefix}.data"; picture="{prefix}.svg"'
    subprocess.run([gnuplot, "-e", command, os.path.join(HERE, "plot.gp")], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="where the files go: PREFIX.txt, .json, .svg")
    parser.add_argument("--size", choices=("quick", "full"), default="full")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only={arguments.only}: parts are {', '.join(PARTS)}")
    if arguments.rounds < 0:
        parser.error(f"--rounds={arguments.rounds}: a number of rounds is positive")
    table, began = Table(arguments.out + ".txt"), time.monotonic()
    table.line(f"bench-python ({arguments.size}): {machine()}")
    measure_all(table, parts, arguments.size == "quick", arguments.rounds)
    kept = [row["kept"] for row in table.rows if row["kept"]]
    wall = kept.count("wall only")
    table.line(f"\n{kept.count('yes')} of {len(kept)} bars kept, {wall} in wall time only, {time.monotonic() - began:.0f} s; at the end: {machine()}")
    with open(arguments.out + ".json", "w") as file:
        json.dump({"size": arguments.size, "machine": machine(), "rows": table.rows}, file, indent=1)
    plot(table.rows, arguments.out)


if __name__ == "__main__":
    main()
