#!/usr/bin/env python3
"""examples/respd/bench/bench.py PROGRAM CHURN OUTPUT - respd beside redis-server, on one event loop each.

Throughput and latency: redis-benchmark with 50 connections, pipelines of 1 and 16, SET GET LPUSH HSET. Both servers run;
the one that is not measured is idle. Rounds are interleaved, the order alternates, every table entry is
the median of the rounds. CPU time of the server process (collector threads included) per command is counted as well:
on a machine that does other things it says more than the clock.

Churn: 1M keys of 100-byte values are overwritten at random for DURATION seconds by `churn`, one server after the other,
each fresh: histogram of latency, the worst, resident memory, and hearth's pauses.

Writes OUTPUT.txt, OUTPUT.json and, with gnuplot, OUTPUT.svg. Environment: ROUNDS (5), REQUESTS (100000), DURATION (60),
KEYS (1000000), RESPD_OPTIONS (options of respd), PARTS (throughput,churn), STRICT=1 (status 1 if a bar is missed).
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test"))
import resp  # noqa: E402

TESTS = ["SET", "GET", "LPUSH", "HSET"]
PIPELINES = [1, 16]
BARS = {"throughput": 0.9, "p99": 1.2, "worst_ms": 60.0}
CONNECTIONS = 50


def number(name, default):
    return int(os.environ.get(name, default))


def cpu_seconds(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid):
    lines = open("/proc/%d/status" % pid).read().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {key: int(found[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM")}


# ------------------------------------------------------------------------------------------ throughput

def benchmark(server, test, pipeline, requests):
    """One run of redis-benchmark: its summary and its percentiles (in its output they halve the rest each time)."""
    client = server.connect()
    client.call("FLUSHALL")
    before = cpu_seconds(server.process.pid)
    output = subprocess.run(["redis-benchmark", "-p", str(server.port), "-t", test.lower(), "-n", str(requests),
                             "-c", str(CONNECTIONS), "-P", str(pipeline), "-r", "100000", "-d", "100"],
                            check=True, capture_output=True, text=True).stdout.replace("\r", "\n")
    cpu = cpu_seconds(server.process.pid) - before
    client.close()
    summary = re.search(r"latency summary \(msec\):\n.*\n\s*([\d. ]+)", output).group(1).split()
    shares = re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds \(cumulative", output, re.M)
    return {
        "per_second": float(re.search(r"throughput summary: ([\d.]+)", output).group(1)),
        "p50": float(summary[2]), "p99": float(summary[4]), "max": float(summary[5]),
        "p999": min(float(ms) for share, ms in shares if float(share) >= 99.9),
        "cpu_us": cpu / requests * 1e6,
    }


def throughput(program, options, rounds, requests):
    runs = {}
    with resp.redis() as redis, resp.respd(program, "--loops", "1", *options) as respd:
        servers = [("respd", respd), ("redis", redis)]
        for r in range(rounds):
            for pipeline in PIPELINES:
                for test in TESTS:
                    for name, server in servers if r % 2 == 0 else servers[::-1]:
                        run = benchmark(server, test, pipeline, requests * (4 if pipeline > 1 else 1))
                        runs.setdefault((test, pipeline, name), []).append(run)
        client = respd.connect()
        info = client.info()
        client.close()
    rows = []
    for pipeline in PIPELINES:
        for test in TESTS:
            row = {"test": test, "pipeline": pipeline}
            for name in ("respd", "redis"):
                own = runs[test, pipeline, name]
                row[name] = {key: statistics.median(run[key] for run in own) for key in own[0]}
                row[name]["max"] = max(run["max"] for run in own)
            row["throughput_ratio"] = row["respd"]["per_second"] / row["redis"]["per_second"]
            row["p99_ratio"] = row["respd"]["p99"] / row["redis"]["p99"]
            row["cpu_ratio"] = row["respd"]["cpu_us"] / max(row["redis"]["cpu_us"], 1e-9)
            rows.append(row)
    return rows, heap_of(info)


def throughput_text(rows, heap):
    lines = ["redis-benchmark, %d connections; requests a second, ms, and CPU us a command of the server" % CONNECTIONS,
             "%-6s %3s | %9s %6s %6s %6s %7s %5s | %9s %6s %6s %6s %7s %5s | %6s %6s %6s" %
             (("test", "P") + ("respd/s", "p50", "p99", "p99.9", "max", "us") +
              ("redis/s", "p50", "p99", "p99.9", "max", "us") + ("ratio", "p99", "CPU"))]
    for row in rows:
        cells = []
        for name in ("respd", "redis"):
            own = row[name]
            cells.append("%9.0f %6.2f %6.2f %6.2f %7.2f %5.2f" %
                         (own["per_second"], own["p50"], own["p99"], own["p999"], own["max"], own["cpu_us"]))
        lines.append("%-6s %3d | %s | %s | %6.2f %6.2f %6.2f" %
                     (row["test"], row["pipeline"], cells[0], cells[1], row["throughput_ratio"], row["p99_ratio"],
                      row["cpu_ratio"]))
    lines.append("respd's heap: " + heap_text(heap))
    return lines


# ----------------------------------------------------------------------------------------------- churn

def heap_of(info):
    names = ["minor_collections", "full_collections", "pause_total_ms", "pause_max_ms", "pause_minor_ms",
             "pause_full_ms", "heap_live_bytes", "heap_live_objects", "heap_budget_bytes", "last_collection"]
    return {name: info[name] for name in names}


def heap_text(heap):
    return ("%s minor collections (ms: %s), %s full (ms: %s)" %
            (heap["minor_collections"], heap["pause_minor_ms"], heap["full_collections"], heap["pause_full_ms"]))


def churn_one(server, churn, keys, duration):
    command = [churn, str(server.port), str(keys), "100", str(duration), str(CONNECTIONS)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result.update(memory(server.process.pid))
    client = server.connect()
    if "full_collections" in client.info():
        result["heap"] = heap_of(client.info())
    client.close()
    return result


def churn_both(program, options, churn, keys, duration):
    results = {}
    with resp.respd(program, "--loops", "1", *options) as respd:
        results["respd"] = churn_one(respd, churn, keys, duration)
    with resp.redis() as redis:
        results["redis"] = churn_one(redis, churn, keys, duration)
    return results


def churn_text(results):
    one = results["respd"]
    lines = ["", "%d keys of %d bytes overwritten at random for %.0f s, %d connections (ms)" %
             (one["keys"], one["bytes"], one["seconds"], one["connections"]),
             "%-6s %9s %7s %7s %7s %7s %8s %8s %8s" %
             ("", "SET/s", "p50", "p99", "p99.9", "p99.99", "worst", "RSS MB", "peak MB")]
    for name, r in results.items():
        lines.append("%-6s %9.0f %7.2f %7.2f %7.2f %7.2f %8.2f %8.0f %8.0f" %
                     (name, r["per_second"], r["p50_ms"], r["p99_ms"], r["p999_ms"], r["p9999_ms"], r["max_ms"],
                      r["VmRSS"] / 1e6, r["VmHWM"] / 1e6))
    lines.append("respd's heap: " + heap_text(one["heap"]))
    for name, r in results.items():
        lines += ["", "histogram of %s (requests that took up to so many ms)" % name] + histogram_text(r)
    return lines


def histogram_text(result):
    rows, bound, count = [], 0.0625, 0
    for upper, requests in result["histogram_ms"] + [[float("inf"), 0]]:
        while upper > bound:
            if count or rows:
                share = count / result["requests"]
                rows.append("%9.3f %10d %9.5f%% %s" % (bound, count, share * 100, "#" * round(share * 60)))
            bound, count = bound * 2, 0
            if bound > 2 * result["max_ms"] and upper == float("inf"):
                return rows
        count += requests
    return rows


def draw(results, path):
    """Share of requests that took longer, against how long: the right end of a curve is the worst."""
    if shutil.which("gnuplot") is None:
        return
    with tempfile.TemporaryDirectory() as directory:
        plots = []
        for color, (name, r) in zip(("#c0392b", "#2c3e50"), results.items()):
            left, data = r["requests"], os.path.join(directory, name)
            with open(data, "w") as file:
                for upper, requests in r["histogram_ms"]:
                    file.write("%g %g\n" % (min(upper, r["max_ms"]), left / r["requests"]))
                    left -= requests
            plots.append("'%s' using 1:2 with steps lw 2 lc rgb '%s' title '%s, worst %.1f ms'" %
                         (data, color, name, r["max_ms"]))
        one = results["respd"]
        script = """set terminal svg size 800,440 font 'sans,13' background '#ffffff'
set output '%s'
set logscale xy
set format y '10^{%%L}'
set grid
set key bottom left
set title '%d keys of %d bytes overwritten at random, %d connections, %.0f s'
set xlabel 'milliseconds until the answer'
set ylabel 'share of requests that took longer'
set arrow from %g, graph 0 to %g, graph 1 nohead dt 2 lc rgb '#888888'
set label ' bar: %g ms' at %g, graph 0.04 tc rgb '#555555'
plot %s
""" % (path, one["keys"], one["bytes"], one["connections"], one["seconds"], BARS["worst_ms"], BARS["worst_ms"],
            BARS["worst_ms"], BARS["worst_ms"], ", ".join(plots))
        subprocess.run(["gnuplot"], input=script, text=True, check=True)


# ------------------------------------------------------------------------------------------------ bars

def judge(report):
    missed = []
    for row in report.get("throughput", []):
        what = "%s, pipeline %d" % (row["test"], row["pipeline"])
        if row["throughput_ratio"] < BARS["throughput"]:
            missed.append("%s: %.2f of redis-server's throughput, bar %.1f" %
                          (what, row["throughput_ratio"], BARS["throughput"]))
        if row["p99_ratio"] > BARS["p99"]:
            missed.append("%s: p99 %.2f times redis-server's, bar %.1f" % (what, row["p99_ratio"], BARS["p99"]))
    if "churn" in report and report["churn"]["respd"]["max_ms"] > BARS["worst_ms"]:
        missed.append("churn: worst %.1f ms, bar %.0f" % (report["churn"]["respd"]["max_ms"], BARS["worst_ms"]))
    return missed


def main():
    program, churn, output = sys.argv[1:4]
    parts = os.environ.get("PARTS", "throughput,churn").split(",")
    options = os.environ.get("RESPD_OPTIONS", "").split()
    report, lines = {"options": options, "bars": BARS}, []
    if "throughput" in parts:
        report["throughput"], heap = throughput(program, options, number("ROUNDS", 5), number("REQUESTS", 100000))
        lines += throughput_text(report["throughput"], heap)
    if "churn" in parts:
        report["churn"] = churn_both(program, options, churn, number("KEYS", 1000000), number("DURATION", 60))
        lines += churn_text(report["churn"])
        draw(report["churn"], output + ".svg")
    report["missed"] = judge(report)
    lines += ["", "bars missed: " + ("; ".join(report["missed"]) or "none")]
    with open(output + ".json", "w") as file:
        json.dump(report, file, indent=1)
    with open(output + ".txt", "w") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    if report["missed"] and os.environ.get("STRICT"):
        sys.exit(1)


if __name__ == "__main__":
    main()
