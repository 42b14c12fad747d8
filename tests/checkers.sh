#!/bin/bash
# tests/checkers.sh PLAIN ASAN - memory checkers must see the use of memory that is nobody's.
#
# PLAIN and ASAN are tests/checked_use.c, built without and with AddressSanitizer. Each case must be reported
# in its function `fault`, the case `alive` must not; without a checker all end well. valgrind is asked if it
# is installed.
set -euo pipefail

plain=$1
asan=$2
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
failed=0

# case, options under which the report is due
cases='alive
alive guard=on,poison=on,verify=on
freed-young
freed-full
freed-full poison=on
freed-among-live
freed-large
freed-span
behind-large
not-allocated poison=on
not-allocated guard=on
overrun-small guard=on
overrun-large guard=on
overrun-span guard=on'

run() { # checker, words a report must have, command...
    local checker=$1 words=$2 name options word seen expected
    shift 2
    while read -r name options; do
        seen=no
        HEARTH_OPTIONS=$options "$@" "$name" >"$scratch" 2>&1 || seen=yes
        expected=yes
        # What is freed in chunks of its own goes back to mimalloc, whose writes AddressSanitizer sees.
        if [ "$name" = alive ] || [ "$checker" = none ] || [ "$name $checker" = 'freed-span asan' ]; then
            expected=no
        fi
        for word in $words; do
            if [ $expected = yes ] && ! grep -q "$word" "$scratch"; then
                seen="no ($word is missing)"
            fi
        done
        if [ "$seen" != $expected ]; then
            printf '%s, case %s %s: report %s, expected %s\n' "$checker" "$name" "$options" "$seen" $expected
            head -n 30 "$scratch"
            failed=1
        fi
    done <<<"$cases"
}

# In an overrun with guards a mere run without a checker ends well as well: nobody has looked.
run none '' "$plain"
export ASAN_OPTIONS=detect_leaks=0
run asan 'use-after-poison checked_use.c fault' "$asan"
if command -v valgrind >/dev/null; then
    run valgrind 'Invalid fault' valgrind -q --error-exitcode=99 "$plain"
fi
exit $failed
