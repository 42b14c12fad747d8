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
live=$("$programs/$workload-hearth" --live "$@") || exit $?
case $live in '' | *[!0-9]*) echo "$live"; exit 0 ;; esac
export BENCH_LIVE="$live"

case $system in
go | ocaml) exec "$programs/$system-runner" "$workload" "$@" ;;
pypy) ;;
*) echo "peer.sh: '$system' is no system" >&2; exit 2 ;;
esac

heap_x=2 last=
for word; do
    case $last in --heap-x) heap_x=$word ;; esac
    case $word in --heap-x=*) heap_x=${word#*=} ;; esac
    last=$word
done
# Its least is 1.1.
PYPY_GC_MAJOR_COLLECT=$(awk -v x="$heap_x" 'BEGIN { print x < 1.1 ? 1.1 : x }')
export PYPY_GC_MAJOR_COLLECT
exec pypy3 "$(dirname "$0")/pypy/main.py" "$workload" "$@"
