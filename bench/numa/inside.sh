#!/bin/sh
# bench/numa/inside.sh - what bench-numa runs in the guest: every workload in every mode, then GCBench.
#
#     inside.sh NUMA-PROGRAM OBJECTS SCALE PROGRAM...
#
# One line of JSON a run, into $OUT/runs. Each mode is measured right after the other. The GCBench
# programs print theirs on standard error. Environment: WORKLOADS and MODES, instead of all.
set -eu
numa=$1 objects=$2 scale=$3
shift 3
for workload in ${WORKLOADS:-trees shared onebuilder cache}; do
    for mode in ${MODES:-off interleave place local}; do
        HEARTH_OPTIONS=mode=$mode "$numa" "$workload" --objects "$objects" >>"$OUT/runs"
    done
done
for program; do
    case $program in
    *bdwgc) modes=auto ;;
    *) modes='off local' ;;
    esac
    for mode in $modes; do
        HEARTH_OPTIONS=mode=$mode "$program" --threads all --scale "$scale" --json \
            2>>"$OUT/runs" >/dev/null
    done
done
