#!/bin/sh
# bench/peers/peer.sh - one workload in Go, OCaml or PyPy, with the command line of the C programs.
#
#   bench/peers/peer.sh SYSTEM WORKLOAD PROGRAMS [ARGUMENTS...]
#
# SYSTEM is go, ocaml or pypy. PROGRAMS is the directory of the built programs: go-runner and ocaml-runner
# lie there, and WORKLOAD-hearth says how many bytes are live at most and refuses arguments that are wrong.
# None of the three has a heap of fixed size: what may be garbage is set in proportion to what is live, by
# GOGC, space_overhead and PYPY_GC_MAJOR_COLLECT.
set -eu

system=$1 workload=$2 programs=$3
shift 3
. "$(dirname "$0")/heap.sh" # live, heap_x
export BENCH_LIVE="$live"

case $system in
go | ocaml) exec "$programs/$system-runner" "$workload" "$@" ;;
pypy) ;;
*) echo "peer.sh: '$system' is no system" >&2; exit 2 ;;
esac

# Its least is 1.1.
PYPY_GC_MAJOR_COLLECT=$(awk -v x="$heap_x" 'BEGIN { print x < 1.1 ? 1.1 : x }')
export PYPY_GC_MAJOR_COLLECT
exec pypy3 "$(dirname "$0")/pypy/main.py" "$workload" "$@"
