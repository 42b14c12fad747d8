#!/bin/bash
# bench/numa/measure.sh - measures the locality of hearth's modes in NUMA guests and shows the tables.
#
#     measure.sh BUILD-DIRECTORY GUEST-COMMAND...      environment: MACHINES, ROUNDS, OBJECTS, SCALE, WORKLOADS, MODES
#
# Each machine is booted ROUNDS times, in turn; the tables show medians. With WORKLOADS only these are measured, and no GCBench.
# Writes BUILD-DIRECTORY/bench-numa.{json,md} and, where gnuplot is, bench-numa.svg. The workloads' programs
# are BUILD-DIRECTORY/bench/numa and BUILD-DIRECTORY/bench/gcbench-counted-*.
set -euo pipefail
build=$1
shift
machines=${MACHINES:-2node 4ring 8node}
here=$(dirname "$0")
rows=$build/bench-numa.rows
gcbench=("$build/bench/gcbench-counted-hearth" "$build/bench/gcbench-counted-bdwgc")
test -z "${WORKLOADS:-}" || gcbench=()
files=()
for program in "$build/bench/numa" "${gcbench[@]}" "$here/inside.sh"; do
    files+=(--file "$program")
done
: >"$rows"

for round in $(seq "${ROUNDS:-1}"); do
    for machine in $machines; do
        out=$build/bench-numa.$machine
        rm -rf "$out"
        start=$SECONDS
        "$@" --machine "$machine" --plugin cache=1024,pace=1000 --report "$out.report" --out "$out" \
            --env WORKLOADS="${WORKLOADS:-}" --env MODES="${MODES:-}" \
            "${files[@]}" -- \
            sh "$here/inside.sh" "$build/bench/numa" "${OBJECTS:-16368}" "${SCALE:-0.02}" \
            "${gcbench[@]}"
        sed "s/^/$machine\t/" "$out/runs" >>"$rows"
        printf '%s, round %d: %d runs, %d s\n' "$machine" "$round" "$(wc -l <"$out/runs")" $((SECONDS - start))
    done
done

awk -f "$here/tables.awk" -v json="$build/bench-numa.json" -v plot="$build/bench-numa.dat" \
    "$rows" | tee "$build/bench-numa.md"
if command -v gnuplot >/dev/null; then
    gnuplot -e "data='$build/bench-numa.dat'; picture='$build/bench-numa.svg'" "$here/plot.gp"
    echo "picture: $build/bench-numa.svg"
else
    echo 'no picture: gnuplot is not installed'
fi
