#!/bin/bash
# check_machines.sh - runs a command of Check's in one guest after another and sums up.
#
#     check_machines.sh LOG-DIRECTORY 'MACHINE...' GUEST-COMMAND...
#
# GUEST-COMMAND is `guest` with all options but --machine, and what to run. Each machine's whole output
# goes to LOG-DIRECTORY/MACHINE.log, its failures and a line with Check's totals to standard output.
# Fails if any machine failed.
set -u
logs=$1 machines=$2
shift 2
mkdir -p "$logs" || exit 1
guest=$1
shift
failed=0

# Check's own lines of failures, or, if there is no total, the end of the log.
show_failures() { # log
    if grep -qE '^[0-9]+%: Checks' "$1"; then
        grep -aE '^[^ ]+:[0-9]+:[FE]:' "$1" | cut -c 1-300
        grep -a '^Repeat with' "$1"
    else
        tail -n 40 "$1"
    fi
}

for machine in $machines; do
    log=$logs/$machine.log
    start=$SECONDS
    "$guest" --machine "$machine" "$@" >"$log" 2>&1
    status=$?
    totals=$(grep -aE '^[0-9]+%: Checks: ' "$log" | tail -n 1)
    if test $status -ne 0; then
        failed=$((failed + 1))
        show_failures "$log"
    fi
    printf '%-8s %s (status %d, %d s, %s)\n' "$machine" "${totals:-no totals}" $status \
        $((SECONDS - start)) "$log"
done
if test $failed -gt 0; then
    echo "$failed machines failed"
    exit 1
fi
