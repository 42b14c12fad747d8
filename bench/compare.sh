#!/bin/sh
# bench/compare.sh - measures every workload on every system against the bars that hearth must
# reach.
#
#   bench/compare.sh [--quick] [--strict]
#
# Runs all cases in turns, hearth's own three times a round and the others once; every second round
# backwards, so that a drift of the machine meets all systems alike. Takes medians of CPU seconds.
# A run during which other programs used the CPUs is repeated; what stays busy is reported. Writes
# results.md and results.json next to the programs (quick.md and quick.json with --quick, which
# checks that all works and measures nothing).
#
#   --quick    one round of a tenth of the work, nothing repeated
#   --strict   exit status 1 if a bar is missed
#   ROUNDS=n   rounds (default 5)          SCALE=f    work per run (default 1)
#   RETRIES=n  repeats of a busy run (2)   EXTRA="a b" more systems (built with EXTRA_SYSTEMS)
#   BENCH_PROGRAMS=DIR   where the programs are (default build/bench)
set -eu

cd "$(dirname "$0")/.."
programs=${BENCH_PROGRAMS:-${HEARTH_BENCH_DIR:-build/bench}}
rounds=${ROUNDS:-5} scale=${SCALE:-1} retries=${RETRIES:-2}
quick=0 strict=0 results=results

usage() {
    echo "compare.sh: $1" >&2
    echo "usage: bench/compare.sh [--quick] [--strict]" >&2
    exit 2
}

for argument; do
    case $argument in
    --quick) quick=1 rounds=1 retries=0 results=quick scale=${SCALE:-0.1} ;;
    --strict) strict=1 ;;
    *) usage "unknown argument '$argument'" ;;
    esac
done
case $rounds in '' | *[!0-9]* | 0) usage "ROUNDS: '$rounds' is not a number above 0" ;; esac
case $retries in '' | *[!0-9]*) usage "RETRIES: '$retries' is not a number" ;; esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
raw=$scratch/raw

# A case: name workload system threads heap-x options
add() {
    [ -x "$programs/$2-$3" ] || {
        echo "compare.sh: $programs/$2-$3 is not built; run: make bench-programs" >&2
        exit 2
    }
    echo "$*" >>"$scratch/cases"
}

# hearth against itself: what is compared stands close together, and runs several times a round,
# because a few percent decide.
hearth_cases() {
    add "$1/hearth" "$1" hearth 1 2 -
    add "$1/fake" "$1" hearth 1 2 fake-nodes=2
    add "$1/2t" "$1" hearth 2 2 -
    add "$1/fake2t" "$1" hearth 2 2 fake-nodes=2
}

for workload in gcbench-holes gcbench binary-trees; do
    hearth_cases $workload
    for system in bdwgc mimalloc ${EXTRA:-}; do
        add "$workload/$system" $workload "$system" 1 2 -
    done
    [ $quick -eq 1 ] || hearth_cases $workload
    for system in malloc arena; do
        add "$workload/$system" $workload "$system" 1 2 -
    done
    [ $quick -eq 1 ] || hearth_cases $workload
done
for system in hearth bdwgc; do
    add "binary-trees-1.6/$system" binary-trees $system 1 1.6 -
done
sed '1!G;h;$!d' "$scratch/cases" >"$scratch/backwards"

# Jiffies that all CPUs were busy, or stolen from this machine, since it started.
busy_jiffies() {
    read -r _ user nice system _ _ irq softirq steal _ </proc/stat
    echo $((user + nice + system + irq + softirq + steal))
}

hertz=$(getconf CLK_TCK)
cpus=$(nproc)

# Runs one case. Sets `line` to the program's JSON, or to {"failed":"message"}, and `others` to the
# CPU seconds of other programs during the run, in percent of the machine.
run_once() {
    begin=$(busy_jiffies)
    if [ "$6" = - ]; then
        options=${HEARTH_OPTIONS:-}
    else
        options=${HEARTH_OPTIONS:+$HEARTH_OPTIONS,}$6
    fi
    if HEARTH_OPTIONS=$options "$programs/$2-$3" --json --threads "$4" --heap-x "$5" \
        --scale "$scale" >"$scratch/out" 2>"$scratch/err"; then
        line=$(head -n 1 "$scratch/out")
    else
        line="{\"failed\":\"$(tail -n 1 "$scratch/err" | tr -d '"\134')\"}"
    fi
    end=$(busy_jiffies)
    others=$(echo "$line" | awk -v busy=$((end - begin)) -v hertz="$hertz" -v cpus="$cpus" '
        function get(key) {
            if (!match($0, "\"" key "\":[0-9.]+")) return 0
            return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
        }
        { wall = get("wall_s"); other = busy / hertz - get("cpu_s") - 0.03
          printf "%d", (wall > 0 && other > 0) ? 100 * other / (wall * cpus) : 0 }')
}

# Runs one case, again while the machine is busy, and keeps the quietest run.
measure() {
    best='' least=1000000 attempt=0
    while :; do
        run_once "$@"
        if [ "$others" -lt "$least" ]; then
            least=$others best=$line
        fi
        if [ "$least" -le 3 ] || [ $attempt -ge "$retries" ]; then
            break
        fi
        attempt=$((attempt + 1))
    done
    printf '%s\t%s\t%s\t%s\n' "$1" "$round" "$least" "$best" >>"$raw"
}

count=$(wc -l <"$scratch/cases")
round=1
while [ "$round" -le "$rounds" ]; do
    order=$scratch/cases
    [ $((round % 2)) -eq 1 ] || order=$scratch/backwards
    number=0
    while read -r name workload system threads heap options; do
        number=$((number + 1))
        if [ -t 2 ]; then
            printf '\r\033[Kround %d of %d, %d of %d: %s' "$round" "$rounds" $number "$count" \
                "$name" >&2
        fi
        measure "$name" "$workload" "$system" "$threads" "$heap" "$options" </dev/null
    done <"$order"
    round=$((round + 1))
done
[ ! -t 2 ] || printf '\r\033[K' >&2

read -r load _ </proc/loadavg
model=$(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo)
status=0
awk -v json="$programs/$results.json" -v markdown="$programs/$results.md" \
    -v rounds="$rounds" -v scale="$scale" -v quick=$quick -v strict=$strict -v load="$load" \
    -v cpus="$cpus" -v model="${model:-unknown CPU}" -v kernel="$(uname -r)" \
    -v date="$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    -f bench/compare.awk "$scratch/cases" "$raw" || status=$?
exit $status
