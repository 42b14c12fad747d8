# bench/numa/tables.awk - the tables of bench-numa, as Markdown; the same as JSON and as plot data.
#
# Input: machine, tab, a run's line of JSON. Of several runs of the same the median of each figure is shown, and in the
# JSON are all. Bars are those of one machine (4ring); the others are shown.

function get(line, key,    text) {
    if (!match(line, "\"" key "\": ?(\"[^\"]*\"|[-+0-9.e]+)"))
        return ""
    text = substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
    gsub(/[" ]/, "", text)
    return text
}

function median(list, n,    i, j, t) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
            t = list[j]
            list[j] = list[j - 1]
            list[j - 1] = t
        }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

# A figure of one of the groups "heap", "all", "allocate", or (group "") of the run; median of the runs.
function part(runs, group, key,    lines, n, i, values) {
    n = split(runs, lines, "\n") - 1
    if (n < 1)
        return ""
    for (i = 1; i <= n; i++) {
        if (group != "" && !match(lines[i], "\"" group "\": \\{[^}]*\\}"))
            return ""
        values[i] = get(group == "" ? lines[i] : substr(lines[i], RSTART, RLENGTH), key) + 0
    }
    return median(values, n)
}

function mode_of(line,    text) {
    text = get(line, "options")
    sub(/.*mode=/, "", text)
    sub(/,.*/, "", text)
    return text
}

BEGIN {
    FS = "\t"
    printf "[" >json
}

{
    machine = $1
    workload = get($2, "workload")
    mode = mode_of($2)
    if (!(machine in seen))
        machines[++machine_count] = machine
    seen[machine] = 1
    printf "%s\n  {\"machine\": \"%s\", %s", NR == 1 ? "" : ",", machine, substr($2, 2) >json
    if (get($2, "system") != "") {
        mode = get($2, "system") == "hearth" ? mode : "-"
        gcbench[machine, get($2, "system"), mode] = gcbench[machine, get($2, "system"), mode] $2 "\n"
    } else {
        run[machine, workload, mode] = run[machine, workload, mode] $2 "\n"
    }
}

function bar(what, measured, limit, least, format,    good) {
    if (measured == 0)
        return # this workload was not asked for
    good = least ? measured >= limit : measured <= limit
    missed += !good
    printf "| %s | %s %s | %s | %s |\n", what, least ? ">=" : "<=", sprintf(format, limit),
        sprintf(format, measured), good ? "pass" : "MISS"
}

function quotient(a, b) {
    return b > 0 ? a / b : 0
}

function ratio(machine, workload, group, key) {
    return quotient(part(run[machine, workload, "local"], group, key),
        part(run[machine, workload, "off"], group, key))
}

function bars(machine,    w, list, n, i) {
    printf "\n### Bars, machine `%s`\n\n| what | bar | measured | |\n|---|---|---|---|\n", machine
    bar("trees: local accesses to the heap, mode local, %", part(run[machine, "trees", "local"], "heap", "local_percent"), 97, 1, "%.1f")
    bar("shared: the same", part(run[machine, "shared", "local"], "heap", "local_percent"), 90, 1, "%.1f")
    bar("cache: the same", part(run[machine, "cache", "local"], "heap", "local_percent"), 90, 1, "%.1f")
    bar("trees: distance per access, local / off", ratio(machine, "trees", "heap", "distance"), 0.6, 0, "%.2f")
    bar("shared: the same", ratio(machine, "shared", "heap", "distance"), 0.6, 0, "%.2f")
    bar("trees: accesses, local / off", ratio(machine, "trees", "all", "accesses"), 1.10, 0, "%.2f")
    bar("shared: the same", ratio(machine, "shared", "all", "accesses"), 1.25, 0, "%.2f")
    bar("onebuilder: CPU of the collections, local / off", quotient(part(run[machine, "onebuilder", "local"], "", "cpu_ms"),
        part(run[machine, "onebuilder", "off"], "", "cpu_ms")), 1.15, 0, "%.2f")
    n = split("trees shared cache", list, " ")
    for (i = 1; i <= n; i++) {
        w = list[i]
        bar(w ": local accesses of allocation, mode local, %", part(run[machine, w, "local"], "allocate", "local_percent"), 99, 1, "%.1f")
    }
}

# The short table of the README.
function summary(machine,    works, i, w) {
    printf "\n### In short, machine `%s`\n\n", machine
    print "| workload | off: local, % | distance | interleave: local, % | place: local, % | local: local, % | distance | all accesses, local / off |\n|---|---|---|---|---|---|---|---|"
    split("trees shared onebuilder cache", works, " ")
    for (i = 1; i in works; i++) {
        w = works[i]
        if (run[machine, w, "off"] == "" || run[machine, w, "local"] == "")
            continue
        printf "| %s | %.1f | %.2f | %.1f | %.1f | %.1f | %.2f | %.2f |\n", w,
            part(run[machine, w, "off"], "heap", "local_percent"), part(run[machine, w, "off"], "heap", "distance"),
            part(run[machine, w, "interleave"], "heap", "local_percent"),
            part(run[machine, w, "place"], "heap", "local_percent"),
            part(run[machine, w, "local"], "heap", "local_percent"), part(run[machine, w, "local"], "heap", "distance"),
            ratio(machine, w, "all", "accesses")
    }
}

function table(machine,    w, m, works, modes, i, j, line) {
    printf "\n### Machine `%s`: accesses of the collecting threads in full collections\n\n", machine
    print "| workload | mode | heap: accesses, M | local, % | distance | misses, M | local, % | distance | stacks and batches: accesses, M | local, % | all: accesses, M | local, % | allocation: local, % | sent | stolen | workers |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    split("trees shared onebuilder cache", works, " ")
    split("off interleave place local", modes, " ")
    for (i = 1; i in works; i++)
        for (j = 1; j in modes; j++) {
            w = works[i]
            m = modes[j]
            line = run[machine, w, m]
            if (line == "")
                continue
            printf "| %s | %s | %.2f | %.1f | %.2f | %.3f | %.1f | %.2f | %.2f | %.1f | %.2f | %.1f | %.1f | %d | %d | %d |\n", w, m,
                part(line, "heap", "accesses") / 1e6, part(line, "heap", "local_percent"),
                part(line, "heap", "distance"), part(line, "heap", "misses") / 1e6,
                part(line, "heap", "miss_local_percent"), part(line, "heap", "miss_distance"),
                part(line, "window", "accesses") / 1e6, part(line, "window", "local_percent"),
                part(line, "all", "accesses") / 1e6, part(line, "all", "local_percent"),
                part(line, "allocate", "local_percent"), part(line, "", "sent"), part(line, "", "stolen"),
                part(line, "", "workers")
            printf "%s %s %s %.2f %.2f\n", machine, w, m, part(line, "heap", "local_percent"),
                part(line, "heap", "distance") >plot
        }
}

function reference(machine,    kinds, kind, i, runs) {
    if (gcbench[machine, "bdwgc", "-"] == "")
        return
    printf "\n### Machine `%s`: GCBench, all accesses of the collections\n\n", machine
    print "| system | mode | collections | accesses, M | local, % | distance |\n|---|---|---|---|---|---|"
    split("hearth off:hearth local:bdwgc -", kinds, ":")
    for (i = 1; i in kinds; i++) {
        split(kinds[i], kind, " ")
        runs = gcbench[machine, kind[1], kind[2]]
        printf "| %s | %s | %d | %.2f | %.1f | %.2f |\n", kind[1], kind[2], part(runs, "", "collections"),
            part(runs, "", "accesses") / 1e6, part(runs, "", "local_percent"), part(runs, "", "distance")
    }
}

END {
    print "\n]" >json
    if ("4ring" in seen) {
        summary("4ring")
        bars("4ring")
    }
    for (i = 1; i <= machine_count; i++) {
        table(machines[i])
        reference(machines[i])
    }
    if (missed > 0)
        printf "\n%d bars missed\n", missed
}
