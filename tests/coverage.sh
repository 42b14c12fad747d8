#!/bin/bash
# tests/coverage.sh DIRECTORY PERCENT - what the tests have run of topology/, alloc/ and gc/.
#
# DIRECTORY is the coverage build (objects below obj/, after the suites have run). Prints lines and lines run
# for each source, writes the lines that never ran to DIRECTORY/uncovered.txt, and fails if less than
# PERCENT of all lines ran. A line of a header is run if it is in any source that includes it. gcov comes
# with gcc.
set -euo pipefail

directory=$1
wanted=$2

mapfile -t data < <(find "$directory/obj" -name '*.gcda' | sort)
if [ ${#data[@]} -eq 0 ]; then
    echo "no *.gcda in $directory/obj: run the suites of this build first" >&2
    exit 1
fi

"${GCOV:-gcov}" --stdout "${data[@]}" 2>/dev/null | awk -v list="$directory/uncovered.txt" -v wanted="$wanted" '
    {
        first = index($0, ":")
        count = substr($0, 1, first - 1)
        rest = substr($0, first + 1)
        second = index(rest, ":")
        line = substr(rest, 1, second - 1) + 0
        text = substr(rest, second + 1)
        gsub(/[ *]/, "", count)
    }
    line == 0 {
        if (text ~ /^Source:/) {
            file = substr(text, 8)
            ours = file ~ /^(topology|alloc|gc)\//
        }
        next
    }
    !ours || count == "-" { next }
    {
        key = file SUBSEP line
        if (!(key in source)) {
            source[key] = text
            lines[file]++
            if (!(file in last) || line > last[file])
                last[file] = line
        }
        if (count !~ /^[#=]/ && count + 0 > 0)
            ran[key] = 1
    }
    END {
        printf "" > list
        for (file in lines)
            order[++files] = file
        for (i = 2; i <= files; i++) { # by name; there are few
            file = order[i]
            for (j = i - 1; j > 0 && order[j] > file; j--)
                order[j + 1] = order[j]
            order[j + 1] = file
        }
        for (i = 1; i <= files; i++) {
            file = order[i]
            covered = 0
            for (n = 1; n <= last[file]; n++) {
                key = file SUBSEP n
                if (!(key in source))
                    continue
                if (key in ran)
                    covered++
                else
                    printf "%s:%d:%s\n", file, n, source[key] > list
            }
            printf "  %-28s %5d lines %5d run %6.1f %%\n", file, lines[file], covered, 100 * covered / lines[file]
            all += lines[file]
            run += covered
        }
        printf "  %-28s %5d lines %5d run %6.1f %%; wanted: %s %%; see %s\n", "all", all, run, 100 * run / all, wanted, list
        exit 100 * run < wanted * all
    }'
