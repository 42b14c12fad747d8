#!/bin/bash
# check_policies.sh - does hearth obey what the user asks of the system? Runs inside the guest, as root.
#
#     check_policies.sh RUNNER                RUNNER: check_placement, see test_placement_where.c
#
# numactl and a cpuset restrict or direct a program that allocates from every processor it may use and
# collects; it prints the nodes of its pages. Where the user has said something, hearth adds
# nothing: pages are exactly where any program's would be. Prints ok or not ok for each, and a total in
# Check's form; fails if any failed. Needs nodes 0, 1 and 2, with memory.
set -u
runner=$1
export CK_DEFAULT_TIMEOUT=60
checks=0 failures=0
machine=$(ls -d /sys/devices/system/node/node[0-9]* | wc -l)
cgroup=/sys/fs/cgroup/policies

# expect WHAT CONDITION OUTPUT: an awk condition over n[node] (pages), all, nodes (hearth's), bound,
# machine, its nodes; and pools, pages enough for the pool that a node has before anything is on it.
expect() {
    checks=$((checks + 1))
    if awk -v pools=64 -v machine="$machine" '
        $1 == "node" { n[$2] = $3; all += $3 }
        $1 == "nodes" { nodes = $2 }
        $1 == "bound" { bound = $2 }
        /^100%: Checks: 1,/ { passed = 1 }
        END { exit !(passed && all > 2000 && ('"$2"')) }' <<<"$3"; then
        echo "ok $checks - $1"
    else
        failures=$((failures + 1))
        echo "not ok $checks - $1: $2"
        sed 's/^/# /' <<<"$3"
    fi
}

in_cpuset() { # cpus mems command...
    local cpus=$1 mems=$2
    shift 2
    echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p $cgroup
    echo "$cpus" >$cgroup/cpuset.cpus
    echo "$mems" >$cgroup/cpuset.mems
    bash -c "echo \$\$ >$cgroup/cgroup.procs && exec \"\$@\"" in_cpuset "$@"
}

cpus_of() {
    cat "/sys/devices/system/node/node$1/cpulist"
}

for options in '' policy=strict; do
    export HEARTH_OPTIONS=$options
    as=${options:+, $options}
    expect "as it is: every node's own$as" 'nodes > 2 && bound == 1 && n[0] && n[1] && n[2]' \
        "$("$runner" placement_where 2>&1)"
    expect "--cpunodebind=1$as" 'all - n[1] < pools * (nodes - 1) && bound == 1' \
        "$(numactl --cpunodebind=1 "$runner" placement_where 2>&1)"
    expect "--membind=1$as" 'n[1] == all && nodes == 1 && bound == 0' \
        "$(numactl --membind=1 "$runner" placement_where 2>&1)"
    expect "--membind=1,2$as" 'n[1] + n[2] == all && n[1] && n[2] && nodes == 2 && bound == 0' \
        "$(numactl --membind=1,2 "$runner" placement_where 2>&1)"
    expect "--preferred=2$as" 'n[2] == all && bound == 0' "$(numactl --preferred=2 "$runner" placement_where 2>&1)"
    expect "--localalloc$as" 'nodes > 2 && bound == 1 && n[0] && n[1] && n[2]' \
        "$(numactl --localalloc "$runner" placement_where 2>&1)"
    expect "cpuset of node 1's memory and processors$as" 'n[1] == all && nodes == 1' \
        "$(in_cpuset "$(cpus_of 1)" 1 "$runner" placement_where 2>&1)"
    expect "cpuset of node 1's memory, all processors$as" 'n[1] == all && nodes == 1' \
        "$(in_cpuset "$(cpus_of 0),$(cpus_of 1)" 1 "$runner" placement_where 2>&1)"
    expect "cpuset of two nodes' memory$as" 'n[0] + n[1] == all && n[0] && n[1] && nodes == 2 && bound == 1' \
        "$(in_cpuset "$(cpus_of 0),$(cpus_of 1)" 0-1 "$runner" placement_where 2>&1)"
done

# Shares can be compared where pages are small.
export HEARTH_OPTIONS=hugepages=off
expect '--interleave=all: equal shares' \
    'bound == 0 && n[0] * machine > all * 0.85 && n[0] * machine < all * 1.15 &&
     n[1] * machine > all * 0.85 && n[1] * machine < all * 1.15 && n[2] * machine > all * 0.85' \
    "$(numactl --interleave=all "$runner" placement_where 2>&1)"
expect '--interleave=0,2: equal shares of two' \
    'bound == 0 && n[0] + n[2] == all && n[0] > all * 0.42 && n[2] > all * 0.42' \
    "$(numactl --interleave=0,2 "$runner" placement_where 2>&1)"
export HEARTH_OPTIONS=preferred=1
expect '--cpunodebind=0, and preferred=1 of ours' 'all - n[1] < pools * (nodes - 1) && bound == 1' \
    "$(numactl --cpunodebind=0 "$runner" placement_where 2>&1)"
passed=$((checks - failures))
echo "$((100 * passed / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
test $failures = 0
