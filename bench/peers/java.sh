#!/bin/sh
# bench/peers/java.sh - one workload on the Java virtual machine, with the command line of the C programs.
#
#   bench/peers/java.sh SYSTEM WORKLOAD PROGRAMS [ARGUMENTS...]
#
# SYSTEM is java-serial, java-parallel, java-g1 or java-z: the collector. PROGRAMS is the directory of the
# built programs: the classes lie in its java/, and WORKLOAD-hearth there says how many bytes are live at
# most, refuses arguments that are wrong, and knows the first variant. Smallest and largest heap are both
# that times --heap-x. JAVA_FLAGS adds options of the virtual machine, for example -XX:ParallelGCThreads=1.
set -eu

system=$1 workload=$2 programs=$3
shift 3
. "$(dirname "$0")/heap.sh" # live, heap_x

least=8192 # KiB: the virtual machine refuses less, and ZGC does not get on with it
case $system in
java-serial) collector=-XX:+UseSerialGC ;;
java-parallel) collector=-XX:+UseParallelGC ;;
java-g1) collector=-XX:+UseG1GC ;;
java-z) collector=-XX:+UseZGC least=32768 ;;
*) echo "java.sh: '$system' is no system" >&2; exit 2 ;;
esac

heap=$(awk -v live="$live" -v x="$heap_x" -v least=$least \
    'BEGIN { k = live * x / 1024; printf "%d", k < least ? least : k }')

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
status=0
# shellcheck disable=SC2086
java $collector "-Xms${heap}k" "-Xmx${heap}k" "-Xlog:gc,gc+phases:file=$log:uptimemillis:filecount=0" \
    "-Dbench.live=$live" "-Dbench.log=$log" "-Dbench.system=$system" ${JAVA_FLAGS:-} \
    -cp "$programs/java" Main "$workload" "$@" || status=$?
exit $status
