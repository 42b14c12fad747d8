"""cases.py - what `make bench` measures: the cases, in groups.

A case is one program with its arguments and environment. Cases of one group are compared with each other
and stand in the same table. The names say all: workload/variant/system/threads/heap/size/options.

Invariant: a case's name is unique; hearth's own options are the defaults wherever a case is compared with
another system (options are for what the table says it is about: workers, huge pages, fake nodes).
"""
from collections import namedtuple

Case = namedtuple("Case", "group workload variant system threads heap_x size scale env")

HERE = ["hearth", "bdwgc", "mimalloc", "malloc"]
REGION = {"gcbench", "gcbench-holes", "binary-trees", "quads", "alloc", "barrier"}
JAVA = ["java-serial", "java-parallel", "java-g1", "java-z"]
JAVA_WORK = {"gcbench", "gcbench-holes", "binary-trees", "old-young", "lru", "cache", "quads", "splay",
             "mark"}
GO_WORK = {"gcbench", "binary-trees", "old-young", "cache", "mark"}
PYPY_WORK = {"gcbench", "binary-trees", "old-young"}
MARK = ["random", "list", "tree", "shuffled", "array"]
ALLOC = ["16", "24", "32", "64", "128", "256", "512", "1024", "2048", "4096"]
BARRIER = ["young", "old", "array", "random", "range"]
HEAPS = [1.3, 1.6, 2, 2.5, 3, 4, 6]
LIVE_MB = [10, 40, 160, 640]  # MB live; and with LARGE=1
LARGE_MB = [2560, 8000]
LRU_MB, QUADS_MB = 40.0, 16.8  # live at size 1
ONE_MARKER = {"hearth": {"HEARTH_OPTIONS": "workers=1"}, "bdwgc": {"GC_MARKERS": "1"},
              "java-parallel": {"JAVA_FLAGS": "-XX:ParallelGCThreads=1"},
              "java-serial": {}, "ocaml": {}, "go": {"GOMAXPROCS": "1"}}

GROUPS = ["core", "heap", "threads", "nodes", "live", "mark", "alloc", "barrier", "pause"]

# Repeats of a group, of those asked for: runs that take long, and take a median inside, need fewer.
FEWER = {"live": 2, "mark": 2}


def name(case):
    options = ",".join("%s=%s" % item for item in sorted(case.env.items())) or "-"
    return "/".join([case.group, case.workload, case.variant or "-", case.system,
                     "%dt" % case.threads, "%gx" % case.heap_x, "%g" % case.size, options])


def systems_of(workload, threads=1):
    """All systems that have the workload, in the order of the tables."""
    result = list(HERE if workload not in ("mark", "pause") else HERE[:2])
    if workload in REGION:
        result.append("arena")
    if workload in JAVA_WORK:
        result += JAVA
    if workload in GO_WORK:
        result.append("go")
        if threads == 1 or workload == "mark":
            result.append("ocaml")
    if workload in PYPY_WORK and threads == 1:
        result.append("pypy")
    return result


def core(extra):
    work = [("gcbench-holes", "", 1), ("gcbench", "", 1), ("quads", "", 1), ("splay", "", 1),
            ("binary-trees", "", 1), ("old-young", "array", 1), ("old-young", "hash", 1),
            ("lru", "", 1), ("strings", "", 1), ("cache", "", 2)]
    for workload, variant, threads in work:
        for system in systems_of(workload, threads) + extra:
            yield Case("core", workload, variant, system, threads, 2, 1, 1, {})


def heap(extra):
    for workload, variant in (("gcbench-holes", ""), ("binary-trees", ""), ("old-young", "array"),
                              ("splay", "")):
        for heap_x in HEAPS:
            for system in ["hearth", "bdwgc", "java-serial", "java-g1"] + extra:
                yield Case("heap", workload, variant, system, 1, heap_x, 1, 1, {})


def threads(extra, cpus=2):
    for workload in ("gcbench", "gcbench-holes", "binary-trees", "cache"):
        count = 1
        while count <= 2 * cpus:
            for system in ["hearth", "bdwgc", "mimalloc"] + extra:
                size = 0.25 if workload == "cache" else 1
                yield Case("threads", workload, "", system, count, 2, size, 1, {})
            count *= 2


def nodes(extra):
    for workload in ("gcbench", "gcbench-holes", "binary-trees"):
        for count in (1, 2):
            for env in ({}, {"HEARTH_OPTIONS": "fake-nodes=2"}):
                yield Case("nodes", workload, "", "hearth", count, 2, 1, 1, env)


def live(extra, large=False):
    """The same work per live byte, as the heap grows: enough requests that all is replaced twice."""
    for megabytes in LIVE_MB + (LARGE_MB if large else []):
        size = megabytes / LRU_MB
        for system in ("hearth", "bdwgc"):
            yield Case("live", "lru", "", system, 1, 2, size, max(1, size * 2 / 3), {})
        yield Case("live", "quads", "", "hearth", 1, 2, megabytes / QUADS_MB, 1, {})


def mark(extra, cpus=2):
    """One worker; then, for two collectors, as many as there are processors; then huge pages."""
    for variant in MARK:
        for system in ("hearth", "bdwgc", "java-serial", "java-parallel", "go", "ocaml"):
            yield Case("mark", "mark", variant, system, 1, 2, 1, 1, ONE_MARKER[system])
        for workers in (n for n in (2, 4, 8, 16, 32, 64) if n == 2 or n <= cpus):
            yield Case("mark", "mark", variant, "hearth", 1, 2, 1, 1,
                       {"HEARTH_OPTIONS": "workers=%d" % workers})
            yield Case("mark", "mark", variant, "bdwgc", 1, 2, 1, 1, {"GC_MARKERS": str(workers)})
        for pages in ("on", "off"):
            yield Case("mark", "mark", variant, "hearth", 1, 2, 1, 1,
                       {"HEARTH_OPTIONS": "workers=1,hugepages=" + pages})


def alloc(extra):
    for variant in ALLOC:
        for system in HERE + ["arena"] + extra:
            yield Case("alloc", "alloc", variant, system, 1, 2, 1, 3, {})


def barrier(extra):
    for variant in BARRIER:
        for system in ("hearth", "bdwgc", "malloc"):
            yield Case("barrier", "barrier", variant, system, 1, 2, 1, 1, {})


def pause(extra):
    for count in (1, 2, 4, 8, 16):
        for system in ("hearth", "bdwgc"):
            yield Case("pause", "pause", "", system, count, 2, 1, 1, {})


def quick_cases(extra):
    """The core, a tenth of the work and mostly small heaps: everything runs, little is measured."""
    for case in core(extra):
        if case.system in ("hearth", "bdwgc", "mimalloc", "java-serial", "ocaml") or case.system in extra:
            small = case.workload in ("cache", "splay", "strings", "lru", "old-young")
            yield case._replace(scale=0.1, size=0.2 if small else 1)
    for variant in MARK:
        for system in ("hearth", "bdwgc"):
            yield Case("mark", "mark", variant, system, 1, 2, 0.05, 0.6, ONE_MARKER[system])
    for variant in ("16", "64", "1024"):
        for system in ("hearth", "bdwgc", "mimalloc"):
            yield Case("alloc", "alloc", variant, system, 1, 2, 1, 0.3, {})
    for variant in BARRIER:
        for system in ("hearth", "malloc"):
            yield Case("barrier", "barrier", variant, system, 1, 2, 1, 0.1, {})
    for count in (1, 2):
        for system in ("hearth", "bdwgc"):
            yield Case("pause", "pause", "", system, count, 2, 1, 0.1, {})


def all_cases(groups, extra, cpus, large):
    makers = {"core": core, "heap": heap, "nodes": nodes, "alloc": alloc,
              "barrier": barrier, "pause": pause, "mark": lambda extra: mark(extra, cpus),
              "threads": lambda extra: threads(extra, cpus), "live": lambda extra: live(extra, large)}
    for group in groups:
        yield from makers[group](extra)
