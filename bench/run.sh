#!/bin/sh
# bench/run.sh - the main job: GCBench on all allowed nodes with hearth, compared with bdwgc and
# mimalloc.
#
#   bench/run.sh
#
# One thread per usable CPU, each with its own copy of the work, in a heap of twice what is live.
# The three systems run one after another; the summary compares them. About 20 seconds; bdwgc or
# mimalloc is stopped after a minute.
#
#   SCALE=f              how much work (default 3: some seconds for each system)
#   THREADS=n            threads (default all: as many as CPUs may be used)
#   BENCH_PROGRAMS=DIR   where the programs are (default build/bench)
#   HEARTH_OPTIONS=...   options for hearth, for example fake-nodes=2
set -eu

cd "$(dirname "$0")/.."
programs=${BENCH_PROGRAMS:-${HEARTH_BENCH_DIR:-build/bench}}
scale=${SCALE:-3} threads=${THREADS:-all} limit=60

[ $# -eq 0 ] || {
    echo "run.sh: unknown argument '$1'" >&2
    exit 2
}
for system in hearth bdwgc mimalloc; do
    [ -x "$programs/gcbench-$system" ] || {
        echo "run.sh: $programs/gcbench-$system is not built; run: make bench-programs" >&2
        exit 2
    }
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

value() {
    sed -n "1s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$2"
}

# Standard error stays the terminal's: the programs show their progress there.
"$programs/gcbench-hearth" --json --nodes --heap-x 2 --scale "$scale" --threads "$threads" \
    >"$scratch/hearth"
threads=$(value threads "$scratch/hearth")
for system in bdwgc mimalloc; do
    # A system that fails is shown as such; it does not take the result of the others away.
    timeout $limit "$programs/gcbench-$system" --json --heap-x 2 --scale "$scale" \
        --threads "$threads" >"$scratch/$system" || echo "gcbench-$system did not finish" >&2
done

awk '
function get(key,    text) {
    if (!match($0, "\"" key "\":(\"[^\"]*\"|[-+0-9.e]+)"))
        return ""
    text = substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
    gsub(/"/, "", text)
    return text
}
FNR == 1 {
    system_name[++n] = get("system")
    threads = get("threads")
    allocations = get("allocations")
    live = get("live_mb")
    if (n > 1 && get("checksum") != checksum)
        different = 1
    checksum = get("checksum")
    cpu[n] = get("cpu_s"); wall[n] = get("wall_s"); rss[n] = get("peak_rss_mb")
    heap[n] = get("heap_mb") + 0; gcs[n] = get("collections") + 0
    p50[n] = get("pause_p50_ms"); p99[n] = get("pause_p99_ms"); max[n] = get("pause_max_ms")
}
FNR > 1 && n == 1 { table = table "  " $0 "\n" }
END {
    printf "GCBench, %d thread%s, %.0f million objects, at most %.1f MB live\n\n", threads,
        threads == 1 ? "" : "s", allocations / 1e6, live
    printf "  %-10s %12s %8s %8s %9s %7s %6s  %s\n", "", "M objects/s", "wall s", "CPU s",
        "RSS MB", "heap MB", "GCs", "pauses p50 / p99 / max ms"
    for (i = 1; i <= n; i++)
        printf "  %-10s %12.1f %8.2f %8.2f %9.1f %7s %6s  %s\n", system_name[i],
            allocations / wall[i] / 1e6, wall[i], cpu[i], rss[i],
            (heap[i] > 0 ? sprintf("%.1f", heap[i]) : "-"), (gcs[i] > 0 ? gcs[i] : "-"),
            (gcs[i] > 0 ? sprintf("%.2f / %.2f / %.2f", p50[i], p99[i], max[i]) : "-")
    print "\nmemory nodes, as hearth saw them:"
    printf "%s", table
    print ""
    for (i = 2; i <= n; i++)
        printf "hearth needs %.2f of the CPU time and %.2f of the wall time of %s%s\n",
            cpu[1] / cpu[i], wall[1] / wall[i], system_name[i],
            system_name[i] == "mimalloc" ? " with memory freed by hand" : ""
    if (different) {
        print "the checksums of the systems differ: they did not do the same work"
        exit 1
    }
}' "$scratch/hearth" "$scratch/bdwgc" "$scratch/mimalloc"
