#!/bin/bash
# bench/numa/measure.sh - measures the locality of hearth's modes in NUMA guests and shows the tables.
#
#     measure.sh BUILD-DIRECTORY GUEST-COMMAND...      environment: MACHINES, OBJECTS, SCALE
#
# Writes BUILD-DIRECTORY/bench-numa.{json,md} and, where gnuplot is, bench-numa.svg. The workloads' programs
# are BUILD-DIRECTORY/bench/numa and BUILD-DIRECTORY/bench/gcbench-counted-*.
set -euo pipefail
build=$1
shift
machines=${MACHINES:-2node 4ring 8node}
here=$(dirname "$0")
rows=$build/bench-numa.rows
: >"$rows"

for machine in $machines; do
    out=$build/bench-numa.$machine
    rm -rf "$out"
    start=$SECONDS
    "$@" --machine "$machine" --plugin cache=1024,pace=1000 --report "$out.report" --out "$out" \
        --file "$build/bench/numa" --file "$build/bench/gcbench-counted-hearth" \
        --file "$build/bench/gcbench-counted-bdwgc" --file "$here/inside.sh" -- \
        sh "$here/inside.sh" "$build/bench/numa" "${OBJECTS:-16368}" "${SCALE:-0.02}" \
        "$build/bench/gcbench-counted-hearth" "$build/bench/gcbench-counted-bdwgc"
    sed "s/^/$machine\t/" "$out/runs" >>"$rows"
    printf '%s: %d runs, %d s\n' "$machine" "$(wc -l <"$out/runs")" $((SECONDS - start))
done

awk -f "$here/tables.awk" -v json="$build/bench-numa.json" -v plot="$build/bench-numa.dat" \
    "$rows" | tee "$build/bench-numa.md"
if command -v gnuplot >/dev/null; then
    gnuplot -e "data='$build/bench-numa.dat'; picture='$build/bench-numa.svg'" "$here/plot.gp"
    echo "picture: $build/bench-numa.svg"
else
    echo 'no picture: gnuplot is not installed'
fi
