"""bars.py - what hearth must reach, and whether it does.

Ratios are hearth / the other system, of CPU time for an operation, medians; below 1 hearth is ahead.

Invariant: a bar whose cases were not measured is left out; one whose case of hearth failed is missed.
"""
from collections import namedtuple

Bar = namedtuple("Bar", "work what limit measured passed note")

TREES = ["gcbench-holes", "gcbench", "quads", "splay"]
JAVA = ["java-serial", "java-parallel", "java-g1"]
COLLECTED = ["bdwgc", "java-serial", "java-parallel", "java-g1", "java-z", "go", "ocaml"]


class Judge:
    def __init__(self, results):
        self.results = results
        self.bars = []

    def measured(self, group, workload, **arguments):
        """Whether the case was run at all."""
        case = (group, workload, arguments.get("variant", ""), arguments.get("threads", 1),
                arguments.get("heap_x", 2))
        return any((f.case.group, f.case.workload, f.case.variant, f.case.threads, f.case.heap_x) == case
                   for f in self.results.group(group) if f.case.system == "hearth")

    def ran(self, env, variant):
        """The same for full collections with these options."""
        return any(f.case.env == env and f.case.variant == variant for f in self.results.group("mark"))

    def add(self, work, what, limit, measured, note=""):
        self.bars.append(Bar(work, what, limit, measured, measured is not None and measured <= limit,
                             note))

    def failed(self, work, what, limit):
        self.add(work, what, limit, None, "hearth failed")

    def value(self, work, what, limit, figures, measure):
        """A bar on a figure of hearth alone."""
        if figures is None:
            self.failed(work, what, limit)
        else:
            self.add(work, what, limit, measure(figures), "noisy" if figures.noisy else "")

    def ratio(self, group, workload, systems, limit, what, key="ns", work=None, **arguments):
        """Against the best of some systems that finished."""
        if not self.measured(group, workload, **arguments):
            return
        work = work or workload + (" " + arguments["variant"] if arguments.get("variant") else "")
        ours = self.results.get(group, workload, "hearth", **arguments)
        others = [f for f in (self.results.get(group, workload, s, **arguments) for s in systems) if f]
        if ours is None:
            self.failed(work, what, limit)
        elif others:
            best = min(others, key=lambda figures: figures.median(key))
            note = best.case.system if len(systems) > 1 else ""
            noisy = "noisy" if ours.noisy or best.noisy else ""
            self.add(work, what, limit, ours.median(key) / best.median(key),
                     ", ".join(filter(None, (note, noisy))))


def core_bars(j):
    get = j.results.get
    for work in TREES:
        j.ratio("core", work, ["bdwgc"], 0.45, "CPU, of bdwgc")
        j.ratio("core", work, ["mimalloc"], 0.60, "CPU, of mimalloc by hand")
        j.ratio("core", work, JAVA, 0.85, "CPU, of the best of Serial, Parallel and G1")
    j.ratio("core", "binary-trees", ["bdwgc"], 0.45, "CPU, of bdwgc")
    j.ratio("core", "binary-trees", ["mimalloc"], 0.70, "CPU, of mimalloc by hand")
    j.ratio("core", "binary-trees", ["ocaml"], 0.95, "CPU, of OCaml")
    for group, heap_x in (("core", 2), ("heap", 3)):
        if j.measured(group, "old-young", variant="array", heap_x=heap_x):
            j.ratio(group, "old-young", ["bdwgc"], 1.00, "CPU, of bdwgc, %gx" % heap_x,
                    variant="array", heap_x=heap_x)
            j.value("old-young array", "ns an update, %gx" % heap_x, 60,
                    get(group, "old-young", "hearth", "array", heap_x=heap_x),
                    lambda f: f.median("ns"))
    j.ratio("core", "lru", ["bdwgc"], 0.45, "CPU, of bdwgc")
    j.ratio("core", "lru", ["mimalloc"], 0.50, "CPU, of mimalloc by hand")
    j.ratio("core", "cache", COLLECTED, 0.90, "CPU, 2 threads, of the best collected", threads=2)
    if j.measured("core", "cache", threads=2):
        j.value("cache", "peak RSS / live, 2 threads", 2.1, get("core", "cache", "hearth", threads=2),
                lambda f: f.median("peak_rss_mb") / f.first("live_mb"))
    if j.measured("core", "gcbench"):
        gcbench = get("core", "gcbench", "hearth")
        j.value("gcbench", "minor pause p50, ms", 1, gcbench, lambda f: f.median("minor_p50_ms"))
        j.value("gcbench", "minor pause p99, ms", 4, gcbench, lambda f: f.median("minor_p99_ms"))
    for work in ("gcbench-holes", "gcbench", "binary-trees"):
        if j.measured("core", work):
            live = get("core", work, "hearth")
            limit = 2.2 * live.first("live_mb") + 8 if live else 0
            j.value(work, "peak RSS, 2.2 x live + 8 MB", limit, live, lambda f: f.median("peak_rss_mb"))


def mark_bars(j):
    one, two = ({"HEARTH_OPTIONS": "workers=%d" % n} for n in (1, 2))
    get = j.results.get
    for variant, limit in (("random", 75), ("tree", 11), ("list", 13)):
        if j.measured("mark", "mark", variant=variant):
            j.value("mark " + variant, "ns an object, 1 worker", limit,
                    get("mark", "mark", "hearth", variant, env=one), lambda f: f.median("ns"))
    if j.measured("mark", "mark", variant="random"):
        ours = get("mark", "mark", "hearth", "random", env=one)
        theirs = get("mark", "mark", "bdwgc", "random", env={"GC_MARKERS": "1"})
        if theirs:
            j.value("mark random", "CPU, of bdwgc, 1 worker", 0.30, ours,
                    lambda f: f.median("ns") / theirs.median("ns"))
    for variant in ("random", "tree"):
        alone = get("mark", "mark", "hearth", variant, env=one)
        pair = get("mark", "mark", "hearth", variant, env=two)
        if alone and j.ran(two, variant):
            j.value("mark " + variant, "wall, 2 workers of 1", 0.58, pair,
                    lambda f: f.median("wall_ns") / alone.median("wall_ns"))
    if j.ran(two, "tree"):
        j.value("mark tree", "full pause a live GB, ms, 2 workers", 350,
                get("mark", "mark", "hearth", "tree", env=two),
                lambda f: f.median("latency_p50_us") * 1e-3 / (f.first("allocations") * 32e-9))


def other_bars(j):
    get = j.results.get
    for variant, limit in (("16", 1.5), ("32", 2.0), ("64", 3.0)):
        if j.measured("alloc", "alloc", variant=variant):
            j.value("alloc " + variant, "ns an object", limit,
                    get("alloc", "alloc", "hearth", variant), lambda f: f.median("ns"))
    for work in ("lru", "quads"):
        grown = [f for f in j.results.group("live")
                 if (f.case.workload, f.case.system) == (work, "hearth") and f.complete]
        if len(grown) > 1:
            costs = {f.case.size: f.median("cpu_ns_per_allocation") for f in grown}
            live = sorted(f.first("live_mb") for f in grown)
            j.add(work, "ns an allocation, %.0f MB live of %.0f MB" % (live[-1], live[0]), 1.5,
                  costs[max(costs)] / costs[min(costs)],
                  "noisy" if any(f.noisy for f in grown) else "")
    for work in ("gcbench-holes", "gcbench", "binary-trees"):
        one, two = get("nodes", work, "hearth", env={}), get("nodes", work, "hearth", threads=2, env={})
        if one and two:
            j.add(work, "CPU an operation, 2 threads of 1", 1.10, two.median("ns") / one.median("ns"))
        for threads, plain in ((1, one), (2, two)):
            fake = get("nodes", work, "hearth", threads=threads, env={"HEARTH_OPTIONS": "fake-nodes=2"})
            if fake and plain:
                j.add(work, "CPU, fake-nodes=2 of 1 node, %d thread%s" % (threads, "s"[:threads - 1]),
                      1.05, fake.median("ns") / plain.median("ns"))
    j.ratio("heap", "binary-trees", ["bdwgc"], 0.55, "CPU, of bdwgc, 1.6x", heap_x=1.6)


def judge(results):
    j = Judge(results)
    core_bars(j)
    mark_bars(j)
    other_bars(j)
    return j.bars
