"""results.py - from raw runs to figures: medians, least values, ratios.

A case's cost is CPU time for an operation: work_cpu_s / ops, in nanoseconds; what the operations are is in
bench/README.md. For the C programs without a preparation that is left out it is the whole process.

Invariant: figures of a case are over its quiet runs if there are at least MIN_QUIET of them or half of all;
else over all, and the case is marked as noisy. A case of which any run failed has no figures.
"""
import json
import statistics

import cases as matrix

MIN_QUIET = 3

KEYS = ["cpu_s", "wall_s", "work_cpu_s", "work_wall_s", "peak_rss_mb", "collections", "pause_p50_ms",
        "pause_p99_ms", "pause_max_ms", "minor_p50_ms", "minor_p99_ms", "latency_p50_us",
        "latency_p99_us", "latency_p999_us", "latency_max_us"]


class Figures:
    """What was measured of one case."""

    def __init__(self, case, limit):
        self.case = case
        self.limit = limit
        self.runs = []  # (others, result)
        self.failures = []

    def add(self, others, result):
        """One run."""
        if "failed" in result:
            self.failures.append(result["failed"])
        else:
            self.runs.append((others, result))

    @property
    def complete(self):
        return bool(self.runs) and not self.failures

    @property
    def noisy(self):
        quiet = sum(1 for others, _ in self.runs if others <= self.limit)
        return quiet < MIN_QUIET and 2 * quiet < len(self.runs)

    def used(self):
        return [result for others, result in self.runs if self.noisy or others <= self.limit]

    def values(self, key):
        if key == "ns":
            return [r["work_cpu_s"] * 1e9 / r["ops"] for r in self.used()]
        if key == "wall_ns":
            return [r["work_wall_s"] * 1e9 / r["ops"] for r in self.used()]
        if key == "cpu_ns_per_allocation":
            return [r["cpu_s"] * 1e9 / r["allocations"] for r in self.used()]
        return [r.get(key, 0) for r in self.used()]

    def median(self, key):
        return statistics.median(self.values(key))

    def least(self, key):
        return min(self.values(key))

    def most(self, key):
        return max(self.values(key))

    def first(self, key):
        return self.runs[0][1][key]


class Results:
    def __init__(self, raw, limit):
        self.limit = limit
        self.figures = {}  # by name, in the order of the matrix
        self.rounds = 0  # most runs of a case
        self.commits = []  # of hearth, in the order of the runs
        with open(raw) as lines:
            for line in lines:
                run = json.loads(line)
                case = matrix.Case(**run["case"])
                figures = self.figures.setdefault(matrix.name(case), Figures(case, limit))
                figures.add(run["others"], run["result"])
                self.rounds = max(self.rounds, len(figures.runs))
                if run.get("hearth", "unknown") not in self.commits:
                    self.commits.append(run.get("hearth", "unknown"))

    def group(self, group):
        return [figures for figures in self.figures.values() if figures.case.group == group]

    def get(self, group, workload, system, variant="", threads=1, heap_x=2, env=None, size=None):
        """The figures of a case that is complete, or None."""
        for figures in self.group(group):
            case = figures.case
            if (case.workload, case.system, case.variant, case.threads, case.heap_x) == \
                    (workload, system, variant, threads, heap_x) and \
                    (env is None or case.env == env) and (size is None or case.size == size):
                return figures if figures.complete else None
        return None

    def hearth_for(self, figures):
        """hearth's own case with the same arguments, or None."""
        case = figures.case
        if case.group == "mark":
            workers = case.env.get("GC_MARKERS", "1")
            return self.get("mark", "mark", "hearth", case.variant,
                            env={"HEARTH_OPTIONS": "workers=" + workers})
        return self.get(case.group, case.workload, "hearth", case.variant, case.threads, case.heap_x,
                        env={}, size=case.size)

    def different_work(self):
        """Sentences about cases whose checksum is not that of the others with the same arguments."""
        known, wrong = {}, []
        for figures in self.figures.values():
            for _, result in figures.runs:
                case = figures.case
                key = (case.workload, case.variant, case.threads, case.size, case.scale)
                first = known.setdefault(key, (result["checksum"], matrix.name(case)))
                if first[0] != result["checksum"]:
                    wrong.append("%s has checksum %s, but %s has %s"
                                 % (matrix.name(case), result["checksum"], first[1], first[0]))
        return sorted(set(wrong))

    def busiest(self):
        """Runs, runs that were not quiet, and the largest share that others used."""
        all_runs = [others for figures in self.figures.values() for others, _ in figures.runs]
        return len(all_runs), sum(1 for o in all_runs if o > self.limit), max(all_runs, default=0)

    def as_json(self, conditions, bars):
        cases = []
        for name, figures in self.figures.items():
            entry = {"case": name, **figures.case._asdict(), "failures": figures.failures,
                     "noisy": figures.noisy, "runs": [dict(r, others=o) for o, r in figures.runs]}
            if figures.complete:
                entry["median"] = {key: figures.median(key) for key in ["ns", "wall_ns"] + KEYS}
                entry["least"] = {"ns": figures.least("ns"), "wall_ns": figures.least("wall_ns")}
                hearth = self.hearth_for(figures)
                entry["hearth_ratio"] = hearth.median("ns") / entry["median"]["ns"] if hearth else None
            cases.append(entry)
        return {**conditions, "rounds": self.rounds, "bars": [bar._asdict() for bar in bars],
                "cases": cases}
