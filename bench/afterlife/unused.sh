#!/bin/bash
# bench/afterlife/unused.sh - what a heap without weak references, finalizers and so on pays for them.
#
#     bench/afterlife/unused.sh PROGRAM BASE DIRECTORY
#
# Builds the commit BASE in DIRECTORY (a git worktree) and compares its gcbench-holes with PROGRAM, that of
# this tree: instructions as valgrind's callgrind counts them, with one collection thread, which other programs
# do not disturb; and CPU seconds, medians of ROUNDS (7) runs of each, interleaved.
set -euo pipefail
program=$(realpath "$1")
base=$2
directory=$3
rounds=${ROUNDS:-7}
count_scale=${COUNT_SCALE:-0.02}
scale=${SCALE:-0.2}
exec </dev/null

if ! test -e "$directory/.git"; then
    git worktree prune
    git worktree add --force --detach "$directory" "$base" >/dev/null
fi
git -C "$directory" checkout -q --detach "$base"
env -u MAKELEVEL -u MAKEFLAGS make -C "$directory" build/bench/gcbench-holes-hearth >/dev/null
before=$(realpath "$directory")/build/bench/gcbench-holes-hearth

instructions() { # program
    HEARTH_OPTIONS=workers=1 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" \
        --threads 1 --scale "$count_scale" --json 2>&1 >/dev/null |
        sed -nE 's/^.*Collected : ([0-9]+).*/\1/p'
}

seconds() { # program
    "$1" --threads 1 --scale "$scale" --json | sed -nE '1s/.*"cpu_s":([0-9.]+).*/\1/p'
}

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

old=$(instructions "$before")
new=$(instructions "$program")
for ((i = 0; i < rounds; i++)); do
    seconds "$before" >>"$directory/before.$$"
    seconds "$program" >>"$directory/now.$$"
done
old_s=$(median <"$directory/before.$$")
new_s=$(median <"$directory/now.$$")
rm -f "$directory/before.$$" "$directory/now.$$"

awk -v old="$old" -v new="$new" -v old_s="$old_s" -v new_s="$new_s" -v base="$base" 'BEGIN {
    printf "%-28s %14s %14s %9s\n", "gcbench-holes, 1 thread", base, "now", "change"
    printf "%-28s %14.0f %14.0f %+8.2f%%\n", "instructions", old, new, (new / old - 1) * 100
    printf "%-28s %14.3f %14.3f %+8.2f%%\n", "CPU seconds, median", old_s, new_s, (new_s / old_s - 1) * 100
}'
