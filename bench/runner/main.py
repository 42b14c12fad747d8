"""main.py - `make bench`, `make bench-quick`, `make bench-report`, `make bench-docs`.

    python3 bench/runner/main.py run|quick|report|docs [--strict]

run      measures; then the same as report
quick    the same with small work, once: under three minutes, to see that everything works
report   from the raw runs (raw.jsonl): results.json, results.md, pictures; prints the bars
docs     the same, and puts the tables and pictures into docs/performance.md and README.md

Environment:
  BENCH_PROGRAMS=DIR  where the programs are and the results go (build/bench)
  WHAT="core mark"    only these groups of cases: core heap threads nodes live mark alloc barrier pause
  WORK="lru cache"    only these workloads            ON="hearth bdwgc"   only these systems
  ROUNDS=n            rounds (5)                      RETRIES=n           repeats of a busy run (2)
  SCALE=f             work of each run, as a multiple of the usual
  LIMIT=p             percent of processors or memory that others may use in a run (3)
  TIME=s              begin no run later than so many seconds from now
  ADD=1               add to the raw runs that are there, instead of beginning anew
  LARGE=1             also 2.5 and 8 GB live           EXTRA="a b"         more systems (EXTRA_SYSTEMS)

Invariant: results come from raw.jsonl alone, so that they can be made again. Exit status 1 if systems did
not do the same work, or if --strict is given and a bar is missed.
"""
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bars as judging  # noqa: E402
import cases as matrix  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import results as figures  # noqa: E402
import tables  # noqa: E402


def usage(text):
    sys.stderr.write("bench: %s\n" % text)
    sys.exit(2)


def whole(name, usual, least):
    text = os.environ.get(name, "") or str(usual)
    if not text.isdigit() or int(text) < least:
        usage("%s: '%s' is not a whole number from %d" % (name, text, least))
    return int(text)


def positive(name, usual):
    text = os.environ.get(name, "") or str(usual)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        usage("%s: '%s' is not a number above 0" % (name, text))
    return value


def words(name, allowed=None):
    found = os.environ.get(name, "").split()
    for word in found:
        if allowed is not None and word not in allowed:
            usage("%s: '%s' is none of: %s" % (name, word, " ".join(allowed)))
    return found


def chosen(quick):
    extra = words("EXTRA")
    groups = words("WHAT", matrix.GROUPS) or matrix.GROUPS
    cases = list(matrix.quick_cases(extra) if quick else
                 matrix.all_cases(groups, extra, measure.CPUS, os.environ.get("LARGE") == "1"))
    work, systems = words("WORK"), words("ON")
    known = {case.workload for case in cases}, {case.system for case in cases}
    for name, wanted, there in (("WORK", work, known[0]), ("ON", systems, known[1])):
        for word in wanted:
            if word not in there:
                usage("%s: '%s' is none of: %s" % (name, word, " ".join(sorted(there))))
    cases = [case for case in cases if case.group in groups and (not work or case.workload in work)
             and (not systems or case.system in systems)]
    factor = positive("SCALE", 1)
    return [case._replace(scale=case.scale * factor) for case in cases]


def built(cases, programs):
    """The cases whose program is built; says which systems are not."""
    def path(case):
        return os.path.join(programs, "%s-%s" % (case.workload, case.system))
    missing = sorted({case.system for case in cases if not os.access(path(case), os.X_OK)})
    if "hearth" in missing:
        usage("the programs are not built; run: make bench-programs")
    if missing:
        print("not built, so not measured: %s (make bench-peers)" % " ".join(missing))
    return [case for case in cases if os.access(path(case), os.X_OK)]


def first_line(*command):
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None


def versions():
    """What was compared, as its own command says it."""
    found = {"gcc": first_line("gcc", "-dumpfullversion"),
             "bdwgc": first_line("pkg-config", "--modversion", "bdw-gc"),
             "glibc": platform.libc_ver()[1],
             "mimalloc": first_line("dpkg-query", "-W", "-f", "${Version}", "libmimalloc2.0"),
             "Java": first_line("java", "-version"), "Go": first_line("go", "version"),
             "OCaml": first_line("ocamlopt", "-version"),
             "PyPy": first_line("pypy3", "-c", "import sys; print('%d.%d.%d' % sys.pypy_version_info[:3])")}
    numbers = {name: re.search(r"\d[\w.+~-]*", version or "") for name, version in found.items()}
    return {name: number.group() for name, number in numbers.items() if number}


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as info:
        gigabytes = int(info.readline().split()[1]) * 1024 / 1e9
    with open("/sys/kernel/mm/transparent_hugepage/enabled") as setting:
        pages = setting.read().split("[")[1].split("]")[0]
    return {"model": model, "cpus": measure.CPUS, "memory_gb": round(gigabytes, 1),
            "kernel": platform.release(), "huge_pages": pages}


def conditions_of(results, quick):
    here, runs = machine(), results.busiest()
    sentence = ("%s, %d CPUs, %.0f GB, Linux %s, transparent huge pages: %s. Medians of up to %d"
                " interleaved runs; hearth at %s." % (here["model"], here["cpus"], here["memory_gb"], here["kernel"],
                              here["huge_pages"], results.rounds,
                              ", ".join(results.commits)))
    if runs[1]:
        sentence += (" In %d of %d runs others used more than %g %% of the machine or of its memory's speed (up to"
                     " %.0f %%), also when repeated; these are left out. Where too few quiet ones were left,"
                     " all runs count and the figure has a \\*." % (runs[1], runs[0], results.limit,
                                                                    runs[2]))
    if quick:
        sentence += " Short runs, once: to see that everything works, not to measure."
    return {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": here,
            "versions": versions(), "quick": quick, "busy_runs": runs[1], "runs": runs[0],
            "sentence": sentence}


def report(programs, quick, documents, strict):
    prefix = "quick" if quick else "results"
    raw = os.path.join(programs, "quick.jsonl" if quick else "raw.jsonl")
    if not os.path.exists(raw):
        usage("%s is not there: nothing was measured yet" % raw)
    results = figures.Results(raw, positive("LIMIT", 3))
    bars = judging.judge(results)
    conditions = conditions_of(results, quick)
    with open(os.path.join(programs, prefix + ".json"), "w") as out:
        json.dump(results.as_json(conditions, bars), out, indent=1)
    drawn = {} if quick else plots.draw_all(results, os.path.join(programs, "plots"))
    local = {g: [(t, "plots/" + f) for t, f in found] for g, found in drawn.items()}
    with open(os.path.join(programs, prefix + ".md"), "w") as out:
        out.write("# Benchmark results\n\n" + conditions["sentence"] + "\n\n" +
                  "\n".join(tables.markdown(results, bars, conditions, local)))
    if documents:
        fill_documents(results, bars, conditions, drawn, os.path.join(programs, "plots"))
    say(results, bars, conditions, os.path.join(programs, prefix))
    wrong = results.different_work()
    for sentence in wrong:
        print("not the same work: " + sentence)
    return 1 if wrong or (strict and not all(bar.passed for bar in bars)) else 0


def fill_documents(results, bars, conditions, drawn, directory):
    pictures = os.path.join("docs", "pictures")
    os.makedirs(pictures, exist_ok=True)
    for found in drawn.values():
        for _, name in found:
            shutil.copyfile(os.path.join(directory, name), os.path.join(pictures, name))
    linked = {g: [(t, "pictures/" + f) for t, f in found] for g, found in drawn.items()}
    tables.fill("docs/performance.md", "results",
                tables.markdown(results, bars, conditions, linked, "###"))
    lines = ["%s %s" % (name, version) for name, version in conditions["versions"].items()]
    tables.fill("docs/performance.md", "versions", [conditions["sentence"], "", "; ".join(lines) + "."])
    tables.fill("README.md", "bench", [conditions["sentence"], ""] + tables.bars_table(bars))


def say(results, bars, conditions, prefix):
    print(conditions["sentence"] + "\n")
    for group in matrix.GROUPS:
        if results.group(group):
            print(tables.TITLES[group])
            print("\n".join(tables.group_table(results, group)) + "\n")
    for bar in bars:
        print("%-16s %-44s <= %-6s %-7s %s %s" % (
            bar.work, bar.what, tables.number(bar.limit),
            "failed" if bar.measured is None else tables.number(bar.measured),
            "pass" if bar.passed else "MISS", bar.note))
    print("\n%d of %d bars reached; all figures: %s.md and %s.json"
          % (sum(bar.passed for bar in bars), len(bars), prefix, prefix))


def main():
    arguments = sys.argv[1:]
    strict = "--strict" in arguments
    arguments = [word for word in arguments if word != "--strict"]
    if len(arguments) != 1 or arguments[0] not in ("run", "quick", "report", "docs"):
        usage("one of run, quick, report, docs, and --strict: not '%s'" % " ".join(arguments))
    mode = arguments[0]
    quick = mode == "quick"
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    programs = os.environ.get("BENCH_PROGRAMS") or "build/bench"
    if mode in ("run", "quick"):
        raw = os.path.join(programs, "quick.jsonl" if quick else "raw.jsonl")
        cases = built(chosen(quick), programs)
        seconds = whole("TIME", 0, 0)
        if os.environ.get("ADD") != "1" and os.path.exists(raw):
            os.rename(raw, raw + ".before")
        measure.run_all(cases, programs, raw, 1 if quick else whole("ROUNDS", 5, 1),
                        positive("LIMIT", 3), 0 if quick else whole("RETRIES", 2, 0),
                        time.time() + seconds if seconds else None)
    return report(programs, quick, mode == "docs", strict)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
