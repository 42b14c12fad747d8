"""tables.py - the results as Markdown, and into the documents.

Invariant: a figure in a document stands between two markers and comes from here alone.
"""
import re

import cases as matrix

NAMES = {"malloc": "glibc malloc", "java-serial": "Java Serial", "java-parallel": "Java Parallel",
         "java-g1": "Java G1", "java-z": "Java ZGC", "go": "Go", "ocaml": "OCaml", "pypy": "PyPy"}
TITLES = {"core": "All systems, heap of twice what is live", "heap": "Size of the heap",
          "threads": "Threads", "nodes": "hearth on one memory node and on two pretended ones",
          "live": "What is live", "mark": "Full collections", "alloc": "Allocation",
          "barrier": "Stores of references", "pause": "Stopping all threads"}


def number(value):
    """Three digits that count."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return "%.0f" % value
    return "%.1f" % value if abs(value) >= 10 else "%.2f" % value


def label(figures):
    case = figures.case
    text = NAMES.get(case.system, case.system)
    options = ["%s" % value.replace("-XX:", "") if key in ("HEARTH_OPTIONS", "JAVA_FLAGS") else
               "%s=%s" % (key, value) for key, value in sorted(case.env.items())]
    return " ".join([text] + options)


def heap(figures):
    return "-" if figures.complete and figures.first("heap_mb") == 0 else "%gx" % figures.case.heap_x


def mark(figures):
    return " \\*" if figures.noisy else ""


def work(figures):
    return figures.case.workload + (" " + figures.case.variant if figures.case.variant else "")


def row(cells):
    return "| " + " | ".join(cells) + " |"


def head(cells):
    return [row(cells), "|" + "---|" * len(cells)]


def failed(figures, columns):
    return row([work(figures), label(figures), "failed: " + figures.failures[0].replace("|", "/")]
               + [""] * (columns - 3))


def wide_table(results, group):
    """Everything of a group, a row for each case."""
    titles = ["work", "system", "threads", "heap", "ns an operation (least)", "hearth / it", "wall ns",
              "peak RSS MB", "collections", "pauses p50 / p99 / max ms"]
    lines = head(titles)
    for figures in results.group(group):
        if not figures.complete:
            lines.append(failed(figures, len(titles)))
            continue
        hearth = results.hearth_for(figures)
        ratio = hearth.median("ns") / figures.median("ns") if hearth else None
        pauses = " / ".join(number(figures.median("pause_%s_ms" % p)) for p in ("p50", "p99", "max"))
        lines.append(row([work(figures), label(figures), str(figures.case.threads), heap(figures),
                          "%s%s (%s)" % (number(figures.median("ns")), mark(figures),
                                         number(figures.least("ns"))),
                          number(ratio), number(figures.median("wall_ns")),
                          number(figures.median("peak_rss_mb")),
                          "%d" % figures.median("collections"),
                          pauses if figures.median("pause_max_ms") > 0 else "-"]))
    return lines


def grid(results, group, column_of, cell):
    """One row for each work and system, one column for each value of something."""
    columns = sorted({column_of(figures.case) for figures in results.group(group)})
    lines, rows = head([""] + ["%g" % c for c in columns]), {}
    for figures in results.group(group):
        rows.setdefault((work(figures), label(figures)), {})[column_of(figures.case)] = figures
    for (what, who), cells in rows.items():
        texts = []
        for column in columns:
            figures = cells.get(column)
            texts.append("" if figures is None else
                         (cell(figures) + mark(figures)) if figures.complete else "failed")
        lines.append(row([what + ", " + who] + texts))
    return lines


def cost(figures):
    return number(figures.median("ns"))


def group_table(results, group):
    if group == "heap":
        return ["CPU ns an operation; columns: heap / live.", ""] + grid(
            results, group, lambda c: c.heap_x, cost)
    if group == "threads":
        return ["CPU ns an operation, and wall seconds; columns: threads, each with its own copy of the"
                " work.", ""] + grid(
            results, group, lambda c: c.threads,
            lambda f: "%s, %s s" % (cost(f), number(f.median("work_wall_s"))))
    if group == "live":
        return ["CPU ns an allocation, building included; columns: MB live.", ""] + grid(
            results, group, live_mb, lambda f: number(f.median("cpu_ns_per_allocation")))
    if group == "mark":
        return ["ns an object of a full collection, CPU (wall).", ""] + variant_rows(
            results, "mark", matrix.MARK,
            lambda f: "%s (%s)" % (cost(f), number(f.median("wall_ns"))))
    if group == "alloc":
        return ["CPU ns an object, collections included; columns: bytes.", ""] + variant_rows(
            results, "alloc", matrix.ALLOC, cost)
    if group == "barrier":
        return ["CPU ns a store, a minor collection every ten million included.", ""] + variant_rows(
            results, "barrier", matrix.BARRIER, cost)
    if group == "pause":
        return ["Time until all threads stand, us, p50 / p99; columns: threads, one of which asks.",
                ""] + grid(results, group, lambda c: c.threads,
                           lambda f: "%s / %s" % (number(f.median("latency_p50_us")),
                                                  number(f.median("latency_p99_us"))))
    return wide_table(results, group) + latency_rows(results, group)


def latency_rows(results, group):
    """How long requests took, of the workloads that time each."""
    timed = [f for f in results.group(group) if f.complete and f.median("latency_max_us") > 0]
    if not timed:
        return []
    lines = ["", "How long a request takes, us of wall time:", ""]
    lines += head(["work", "system", "threads", "p50", "p99", "p99.9", "longest"])
    for figures in timed:
        lines.append(row([work(figures), label(figures), str(figures.case.threads)] +
                         [number(figures.median("latency_%s_us" % p)) + mark(figures)
                          for p in ("p50", "p99", "p999", "max")]))
    return lines


def live_mb(case):
    return int(round(case.size * (matrix.LRU_MB if case.workload == "lru" else matrix.QUADS_MB)))


def variant_rows(results, group, variants, cell):
    lines, rows = head([""] + variants), {}
    for figures in results.group(group):
        rows.setdefault(label(figures), {})[figures.case.variant] = figures
    for who, cells in rows.items():
        lines.append(row([who] + ["" if v not in cells else
                                  (cell(cells[v]) + mark(cells[v])) if cells[v].complete else "failed"
                                  for v in variants]))
    return lines


def bars_table(bars):
    lines = head(["work", "bar", "limit", "measured", ""])
    for bar in bars:
        verdict = "pass" if bar.passed else "MISS"
        lines.append(row([bar.work, bar.what + (" (%s)" % bar.note if bar.note else ""),
                          "<= " + number(bar.limit),
                          "failed" if bar.measured is None else number(bar.measured), verdict]))
    return lines


def markdown(results, bars, conditions, plots, heading="##"):
    lines = []
    if bars:
        lines += [heading + " Bars", "", "%d of %d reached." % (sum(b.passed for b in bars), len(bars)),
                  ""] + bars_table(bars) + [""]
    for group in matrix.GROUPS:
        if results.group(group):
            lines += ["%s %s" % (heading, TITLES[group]), ""] + group_table(results, group) + [""]
        for title, path in plots.get(group, []):
            lines += ["![%s](%s)" % (title, path), ""]
    return lines


def fill(path, marker, lines):
    """Replaces what stands between <!-- marker:begin --> and <!-- marker:end --> in a document."""
    with open(path) as document:
        text = document.read()
    begin, end = "<!-- %s:begin -->" % marker, "<!-- %s:end -->" % marker
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit("%s: the markers %s and %s must be there once each" % (path, begin, end))
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    with open(path, "w") as document:
        document.write(pattern.sub(lambda _: "\n".join([begin] + lines + [end]), text))
