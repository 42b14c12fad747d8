#!/bin/bash
# tests/symbols.sh ARCHIVE SHARED - fails if a library defines a global name that is not hearth_*, if
# the two libraries differ in what they offer, or if a function declared with HEARTH_API is missing
# from them.
set -euo pipefail

archive=$1
shared=$2
status=0

global_names() { # every symbol defined for others, one a line, sorted
    nm --defined-only --extern-only --format=posix "$@" | awk 'NF > 1 { print $1 }' | sort -u
}

complain() { # title, names
    if [ -n "$2" ]; then
        printf '%s:\n%s\n' "$1" "$2" >&2
        status=1
    fi
}

in_archive=$(global_names "$archive")
in_shared=$(global_names --dynamic "$shared")
# Declarations are one per line or continued; the name is the first hearth_* before a parenthesis.
declared=$(cat include/hearth/*.h | tr '\n' ' ' | grep -oE 'HEARTH_API [^;(]*\(' |
    grep -oE 'hearth_[a-z0-9_]+\($' | tr -d '(' | sort -u)

complain "$archive defines other names" "$(grep -v '^hearth_' <<<"$in_archive" || true)"
complain "$shared exports other names" "$(grep -v '^hearth_' <<<"$in_shared" || true)"
complain "not in both libraries" "$(comm -3 <(echo "$in_archive") <(echo "$in_shared"))"
complain "declared, not defined" "$(comm -23 <(echo "$declared") <(echo "$in_shared"))"
complain "defined, not declared" "$(comm -13 <(echo "$declared") <(echo "$in_shared"))"
if [ -z "$declared" ] || [ -z "$in_shared" ]; then
    echo "no symbols found in include/hearth or $shared" >&2
    status=1
fi
exit $status
