"""plots.py - SVG pictures of the results, drawn by gnuplot.

Invariant: a picture shows medians of the same figures as the tables; nothing is drawn of a group that was
not measured, and no picture is drawn where gnuplot is not installed.
"""
import os
import shutil
import subprocess

import tables

STYLE = """set terminal svg size 760,460 dynamic background rgb 'white' font 'sans,12'
set key outside right top
set grid
set style data linespoints
set pointsize 0.6
"""


def draw(directory, name, settings, series, style="linespoints"):
    """Draws name.svg: series is a list of (title, [(x, y)]). True if there was anything to draw."""
    series = [(title, points) for title, points in series if points]
    if not series:
        return False
    script = [STYLE, "set output '%s.svg'" % name, settings]
    for at, (_, points) in enumerate(series):
        script.append("$data%d << EOD" % at)
        script += ["%s %.6g" % (x if isinstance(x, str) else "%.6g" % x, y) for x, y in points]
        script.append("EOD")
    script.append("plot " + ", ".join("$data%d using 1:2 with %s title '%s'" % (at, style, title)
                                      for at, (title, _) in enumerate(series)))
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True, cwd=directory)
    return True


def lines(results, group, workload, variant, x_of, y_of):
    """A line for each system of a workload."""
    found = {}
    for figures in results.group(group):
        if (figures.case.workload, figures.case.variant) == (workload, variant) and figures.complete:
            found.setdefault(tables.label(figures), []).append((x_of(figures), y_of(figures)))
    return [(who, sorted(points)) for who, points in found.items()]


def works(results, group):
    return sorted({(f.case.workload, f.case.variant) for f in results.group(group)})


def title_of(workload, variant):
    return workload + (" " + variant if variant else "")


def heap_plots(results, directory):
    for workload, variant in works(results, "heap"):
        name = "heap-" + title_of(workload, variant).replace(" ", "-")
        settings = ("set title '%s'\nset xlabel 'heap / live'\nset ylabel 'CPU ns an operation'\n"
                    "set yrange [0:]" % title_of(workload, variant))
        if draw(directory, name, settings,
                lines(results, "heap", workload, variant, lambda f: f.case.heap_x,
                      lambda f: f.median("ns"))):
            yield "heap", "%s: time against the size of the heap" % title_of(workload, variant), name


def thread_plots(results, directory):
    for workload, variant in works(results, "threads"):
        name = "threads-" + workload
        settings = ("set title '%s'\nset xlabel 'threads, each with its own copy of the work'\n"
                    "set ylabel 'million operations a second of wall time'\nset yrange [0:]"
                    % workload)
        if draw(directory, name, settings,
                lines(results, "threads", workload, variant, lambda f: f.case.threads,
                      lambda f: 1e3 / f.median("wall_ns"))):
            yield "threads", "%s: threads" % workload, name


def live_plots(results, directory):
    series = []
    for workload, variant in works(results, "live"):
        for who, points in lines(results, "live", workload, variant, lambda f: f.first("live_mb"),
                                 lambda f: f.median("cpu_ns_per_allocation")):
            series.append(("%s, %s" % (workload, who), points))
    settings = ("set title 'cost as the live heap grows, heap 2x'\nset logscale x\n"
                "set xlabel 'MB live'\nset ylabel 'CPU ns an allocation'\nset yrange [0:]")
    if draw(directory, "live", settings, series):
        yield "live", "What is live", "live"


def pause_plots(results, directory):
    """Percentiles of the pauses of each collected system, in the core."""
    for workload, variant, threads in (("gcbench", "", 1), ("binary-trees", "", 1),
                                       ("old-young", "array", 1), ("cache", "", 2)):
        series = []
        for figures in results.group("core"):
            case = figures.case
            if (case.workload, case.variant, case.threads) != (workload, variant, threads) or \
                    not figures.complete or figures.median("pause_max_ms") == 0:
                continue
            series.append((tables.label(figures),
                           [(at, max(figures.median("pause_%s_ms" % p), 1e-3))
                            for at, p in ((1, "p50"), (2, "p99"), (3, "max"))]))
        name = "pauses-" + title_of(workload, variant).replace(" ", "-")
        settings = ("set title '%s: pauses'\nset logscale y\nset ylabel 'ms'\nset xrange [0.5:3.5]\n"
                    "set xtics ('p50' 1, 'p99' 2, 'longest' 3)" % title_of(workload, variant))
        if draw(directory, name, settings, series):
            yield "core", "%s: pauses" % title_of(workload, variant), name


def draw_all(results, directory):
    """Pictures by group: {group: [(title, file name)]}."""
    found = {}
    if shutil.which("gnuplot") is None:
        print("gnuplot is not installed: no pictures")
        return found
    os.makedirs(directory, exist_ok=True)
    for make in (heap_plots, thread_plots, live_plots, pause_plots):
        for group, title, name in make(results, directory):
            found.setdefault(group, []).append((title, name + ".svg"))
    return found
