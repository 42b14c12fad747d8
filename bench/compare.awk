# bench/compare.awk - medians, bars and reports for bench/compare.sh.
#
# Reads the list of cases (name workload system threads heap-x options) and the raw runs (name,
# round, percent of the machine that others used, JSON line; separated by tabs). Prints tables,
# writes them as Markdown and everything as JSON. Exit status 1 if strict and a bar is missed.

function get(line, key,    text) {
    if (!match(line, "\"" key "\":(\"[^\"]*\"|[-+0-9.e]+)"))
        return ""
    text = substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
    gsub(/"/, "", text)
    return text
}

# Median of the values of `key` over the runs of a case.
function median(name, key,    n, i, j, v, list) {
    n = runs[name]
    for (i = 1; i <= n; i++) {
        v = get(line[name, i], key) + 0
        for (j = i - 1; j > 0 && list[j] > v; j--)
            list[j + 1] = list[j]
        list[j + 1] = v
    }
    if (n == 0)
        return 0
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function extreme(name, key, sign,    i, v, best) {
    for (i = 1; i <= runs[name]; i++) {
        v = get(line[name, i], key) + 0
        if (i == 1 || (v - best) * sign > 0)
            best = v
    }
    return best
}

# True if every run of the case finished.
function complete(name) {
    return runs[name] > 0 && failures[name] == 0
}

function cpu(name) {
    return median(name, "cpu_s")
}

# One row of the table of bars. `measured` is "" if a run that it needs failed: `why` tells. It is a
# miss unless the other system was the one that failed.
function bar(work, what, measured, limit, format, why, other_failed,    verdict, shown) {
    bars++
    if (measured == "") {
        verdict = other_failed ? "n/a" : "MISS"
        shown = why
    } else {
        verdict = measured <= limit ? "pass" : "MISS"
        shown = sprintf(format, measured)
    }
    reached += verdict == "pass"
    missed += verdict == "MISS"
    bar_row[bars] = sprintf("%-14s %-45s %8s %8s  %s", work, what, sprintf("<= " format, limit),
                            shown, verdict)
    bar_markdown[bars] = sprintf("| %s | %s | %s | %s | %s |", work, what,
                                 sprintf("<= " format, limit), shown, verdict)
    bar_json[bars] = sprintf("{\"work\":\"%s\",\"bar\":\"%s\",\"limit\":%.6g,\"measured\":%s," \
                             "\"pass\":%s}", work, what, limit,
                             measured == "" ? "null" : sprintf("%.6g", measured),
                             verdict == "pass" ? "true" : "false")
}

# A bar on the ratio of the CPU seconds of two cases; `times` multiplies the second.
function ratio_bar(work, what, ours, other, times, limit,    failed) {
    failed = !complete(ours) ? ours : !complete(other) ? other : ""
    bar(work, what, failed == "" ? cpu(ours) / (times * cpu(other)) : "", limit, "%.2f",
        failed " failed", complete(ours))
}

function finishes_bar(work, name) {
    bar(work, "runs that did not finish", failures[name] + 0, 0, "%d", "")
}

function rss_bar(work,    name) {
    name = work "/hearth"
    bar(work, "peak RSS, 2.2 x live + 8 MB", complete(name) ? median(name, "peak_rss_mb") : "",
        2.2 * median(work "/arena", "live_mb") + 8, "%.1f", name " failed")
}

function all_bars(    w, work) {
    ratio_bar("gcbench-holes", "CPU, against bdwgc, 2x heap", "gcbench-holes/hearth",
              "gcbench-holes/bdwgc", 1, 0.50)
    ratio_bar("gcbench-holes", "CPU, against mimalloc by hand", "gcbench-holes/hearth",
              "gcbench-holes/mimalloc", 1, 0.60)
    ratio_bar("gcbench", "CPU, against bdwgc, 2x heap", "gcbench/hearth", "gcbench/bdwgc", 1, 0.40)
    bar("gcbench", "ns of CPU per allocation, 2x heap",
        complete("gcbench/hearth") ? \
        cpu("gcbench/hearth") * 1e9 / median("gcbench/hearth", "allocations") : "", 8, "%.2f",
        "gcbench/hearth failed")
    ratio_bar("binary-trees", "CPU, against bdwgc, 2x heap", "binary-trees/hearth",
              "binary-trees/bdwgc", 1, 0.55)
    ratio_bar("binary-trees", "CPU, against mimalloc by hand, 2x heap", "binary-trees/hearth",
              "binary-trees/mimalloc", 1, 0.85)
    finishes_bar("binary-trees", "binary-trees-1.6/hearth")
    ratio_bar("binary-trees", "CPU, against bdwgc, 1.6x heap", "binary-trees-1.6/hearth",
              "binary-trees-1.6/bdwgc", 1, 0.55)
    ratio_bar("binary-trees", "CPU, against mimalloc by hand, 1.6x heap",
              "binary-trees-1.6/hearth", "binary-trees/mimalloc", 1, 0.85)
    split("gcbench-holes gcbench binary-trees", work, " ")
    for (w = 1; w <= 3; w++)
        ratio_bar(work[w], "CPU, 2 threads against twice 1", work[w] "/2t", work[w] "/hearth", 2,
                  1.10)
    for (w = 1; w <= 3; w++) {
        ratio_bar(work[w], "CPU, fake-nodes=2 against 1 node, 1 thread", work[w] "/fake",
                  work[w] "/hearth", 1, 1.05)
        ratio_bar(work[w], "CPU, fake-nodes=2 against 1 node, 2 threads", work[w] "/fake2t",
                  work[w] "/2t", 1, 1.05)
    }
    for (w = 1; w <= 3; w++)
        rss_bar(work[w])
}

# Systems must have done the same work.
function same_work(    c, key, sum) {
    for (c = 1; c <= cases; c++) {
        if (!complete(name_of[c]))
            continue
        key = workload_of[c] " " threads_of[c]
        sum = get(line[name_of[c], 1], "checksum")
        if (key in checksum && checksum[key] != sum) {
            printf "checksums of %s differ: %s has %s, others %s\n", key, name_of[c], sum,
                checksum[key]
            wrong = 1
        }
        checksum[key] = sum
    }
}

# Systems without a heap limit say that their heap has 0 MB.
function heap_text(c) {
    return complete(name_of[c]) && median(name_of[c], "heap_mb") == 0 ? "-" : heap_of[c] "x"
}

function case_label(c) {
    return system_of[c] (options_of[c] == "-" ? "" : " " options_of[c])
}

function measured_row(c, format, none,    n) {
    n = name_of[c]
    if (!complete(n))
        return sprintf(none, workload_of[c], case_label(c), threads_of[c], heap_text(c),
                       "failed: " failure[n])
    return sprintf(format, workload_of[c], case_label(c), threads_of[c], heap_text(c), cpu(n),
                   extreme(n, "cpu_s", -1), extreme(n, "cpu_s", 1),
                   cpu(n) * 1e9 / median(n, "allocations"), median(n, "wall_s"),
                   median(n, "peak_rss_mb"), median(n, "collections"), median(n, "pause_p50_ms"),
                   median(n, "pause_p99_ms"), median(n, "pause_max_ms"))
}

function conditions() {
    return sprintf("%s, %d CPUs, Linux %s; medians over %d interleaved rounds, scale %g; %s", model,
                   cpus, kernel, rounds, scale, date)
}

function busy_text() {
    if (busy == 0)
        return ""
    return sprintf("Others used more than 3 %% of the machine in %d of %d runs, up to %d %%" \
                   " (load %s now): not a quiet machine.", busy, total, busiest, load)
}

function print_terminal(    c, b) {
    printf "%s\n\n", conditions()
    printf "%-14s %-20s %3s %5s %8s %15s %7s %7s %7s %6s %s\n", "work", "system", "thr", "heap",
        "CPU s", "min - max", "ns/obj", "wall s", "RSS MB", "GCs", "pauses p50/p99/max ms"
    for (c = 1; c <= cases; c++)
        print measured_row(c, "%-14s %-20s %3d %5s %8.3f %7.3f-%7.3f %7.2f %7.3f %7.1f %6d " \
                              "%.2f/%.2f/%.2f", "%-14s %-20s %3d %5s %s")
    printf "\n%-14s %-45s %8s %8s\n", "work", "bar", "", "measured"
    for (b = 1; b <= bars; b++)
        print bar_row[b]
    printf "\n%d of %d bars reached\n", reached, bars
    if (busy)
        printf "warning: %s\n", busy_text()
    if (quick)
        print "quick: one short run each, only to see that everything works"
}

function print_markdown(    c, b) {
    print "# Benchmark results\n\n" conditions() ".\n" >markdown
    if (busy)
        print busy_text() "\n" >markdown
    if (quick)
        print "One short run each, only to see that everything works.\n" >markdown
    print "| work | bar | limit | measured | |\n|---|---|---|---|---|" >markdown
    for (b = 1; b <= bars; b++)
        print bar_markdown[b] >markdown
    print "\n| work | system | threads | heap | CPU s (min - max) | ns per object | wall s |" \
        " peak RSS MB | collections | pauses p50 / p99 / max ms |" >markdown
    print "|---|---|---|---|---|---|---|---|---|---|" >markdown
    for (c = 1; c <= cases; c++)
        print measured_row(c, "| %s | %s | %d | %s | %.3f (%.3f - %.3f) | %.2f | %.3f | %.1f | " \
                              "%d | %.2f / %.2f / %.2f |",
                           "| %s | %s | %d | %s | %s | | | | | |") >markdown
}

function print_json(    c, b, i, n) {
    printf "{\"date\":\"%s\",\"machine\":\"%s\",\"cpus\":%d,\"kernel\":\"%s\",\"rounds\":%d," \
           "\"scale\":%g,\"quick\":%s,\"load\":%s,\"busy_runs\":%d,\"runs\":%d,\n\"bars\":[", date,
        model, cpus, kernel, rounds, scale, quick ? "true" : "false", load, busy, total >json
    for (b = 1; b <= bars; b++)
        printf "%s\n%s", (b > 1 ? "," : ""), bar_json[b] >json
    printf "],\n\"cases\":[" >json
    for (c = 1; c <= cases; c++) {
        n = name_of[c]
        printf "%s\n{\"case\":\"%s\",\"options\":\"%s\",\"failures\":%d,\"median_cpu_s\":%.4f," \
               "\"runs\":[", (c > 1 ? "," : ""), n, options_of[c] == "-" ? "" : options_of[c],
            failures[n], cpu(n) >json
        for (i = 1; i <= runs[n]; i++)
            printf "%s\n%s", (i > 1 ? "," : ""), line[n, i] >json
        printf "]}" >json
    }
    print "]}" >json
}

FNR == NR {
    if ($1 in listed) # runs several times a round
        next
    listed[$1] = 1
    cases++
    name_of[cases] = $1
    workload_of[cases] = $2
    system_of[cases] = $3
    threads_of[cases] = $4
    heap_of[cases] = $5
    options_of[cases] = $6
    next
}

{
    split($0, field, "\t")
    total++
    if (field[3] > 3)
        busy++
    if (field[3] + 0 > busiest)
        busiest = field[3] + 0
    if (field[4] ~ /"failed":/) {
        failures[field[1]]++
        failure[field[1]] = get(field[4], "failed")
    } else {
        line[field[1], ++runs[field[1]]] = field[4]
    }
}

END {
    same_work()
    all_bars()
    print_terminal()
    print_markdown()
    print_json()
    exit wrong || (strict && missed) ? 1 : 0
}
