#!/bin/bash
# tests/side_by_side.sh - runs the test suites several at a time, for checkers that make one slow.
#
# usage: side_by_side.sh LOG SUITE... -- RUNNER-COMMAND...
# Each suite is a process of its own: RUNNER-COMMAND SUITE. SIDE_BY_SIDE of them run at once, as
# many as there are CPUs if it is not set. Long suites are best named first. A suite's output is printed when it ends; the last line holds the sum of
# Check's totals. Status 1 if any suite failed. Suites that measure time do not belong here.
set -uo pipefail

log=$1
shift
suites=()
while [ "$1" != -- ]; do
    suites+=("$1")
    shift
done
shift
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

one() { # suite command...
    local suite=$1
    shift
    SECONDS=0
    "$@" "$suite" >"$parts/$suite" 2>&1
    local status=$?
    printf '%6d s  %s\n' $SECONDS "$suite" >"$parts/$suite.time"
    [ $status = 0 ] || printf '%s: status %d\n' "$suite" $status >>"$parts/$suite.failed"
    sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
        "$parts/$suite" | tail -n 1 >"$parts/$suite.totals"
    cat "$parts/$suite"
}
export -f one
export parts

printf '%s\0' "${suites[@]}" |
    xargs -0 -P "${SIDE_BY_SIDE:-$(nproc)}" -I '{}' bash -c 'one "$@"' one '{}' "$@" 2>&1 | tee "$log"

printf 'longest:\n%s\n' "$(sort -rn "$parts"/*.time | head -n 5)" | tee -a "$log"
failed=$(cat "$parts"/*.failed 2>/dev/null)
total=$(cat "$parts"/*.totals | awk '{ c += $1; f += $2; e += $3 } END { print c + 0, f + 0, e + 0 }')
read -r checks failures errors <<<"$total"
if [ -n "$failed" ] || [ "$checks" = 0 ]; then
    printf 'FAILED:\n%s\n' "${failed:-no test ran}" | tee -a "$log"
    [ "$failures$errors" != 00 ] || errors=1
fi
percent=$((checks > 0 ? 100 * (checks - failures - errors) / checks : 0))
printf '%d%%: Checks: %d, Failures: %d, Errors: %d\n' "$percent" "$checks" "$failures" "$errors" |
    tee -a "$log"
[ -z "$failed" ] && [ "$checks" != 0 ]
