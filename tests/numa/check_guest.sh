#!/bin/bash
# check_guest.sh - does the rig itself work? Runs small commands in guests and compares what comes
# back with what must. Prints ok or not ok for each, and a total; fails if any failed.
#
#     check_guest.sh [BUILD-DIRECTORY]        (default build/numa of the project)
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/numa}
build=$(cd "$build" && pwd) || exit 1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/check_guest.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
run=0 failed=0

guest() {
    "$here/guest" --build "$build" --machine 1node "$@" >"$scratch/stdout" 2>"$scratch/stderr"
    status=$?
}

# expect WHAT CONDITION...: the condition is a command.
expect() {
    local what=$1
    shift
    run=$((run + 1))
    if "$@"; then
        echo "ok $run - $what"
        return
    fi
    failed=$((failed + 1))
    echo "not ok $run - $what"
    echo "# status $status; failed: $*"
    sed 's/^/# stdout: /' "$scratch/stdout" | tail -n 5
    sed 's/^/# stderr: /' "$scratch/stderr" | tail -n 20
}

status_is() {
    test "$status" -eq "$1"
}

stdout_is() {
    test "$(cat "$scratch/stdout")" = "$1"
}

stderr_has() {
    grep -qF -e "$1" "$scratch/stderr"
}

stdout_has() {
    grep -qE -e "$1" "$scratch/stdout"
}

# ------------------------------------------------------------------------------ output and status
guest -- sh -c 'echo to stdout; echo to stderr >&2'
expect 'status 0 comes back' status_is 0
expect 'standard output comes back, and nothing else on it' stdout_is 'to stdout'
expect 'standard error comes back' stderr_has 'to stderr'

guest --out "$scratch/out" --env GREETING="it's \$HOME" -- \
    sh -c 'echo "$GREETING" >$OUT/text; mkdir $OUT/dir; head -c 30000000 /dev/urandom >$OUT/dir/big;
           sha256sum <$OUT/dir/big; pwd; cat; exit 7'
expect 'status 7 comes back' status_is 7
expect 'files and the environment come back' grep -qxF "it's \$HOME" "$scratch/out/text"
sum=$(sha256sum <"$scratch/out/dir/big" 2>&1)
expect 'large files come back whole; standard input is empty; the directory is ours' \
    stdout_is "$sum"$'\n'"$PWD"

guest -- sh -c 'kill -SEGV $$'
expect 'status 139 after a signal' status_is 139

guest --file "$here/machines" --file "$here/README.md=/somewhere/else" -- \
    sh -c "ls $here/machines | grep -c machine; test -s /somewhere/else"
expect 'files are added where they are and where they are wanted' status_is 0

# ------------------------------------------------------------------------------ the end comes anyway
guest --time 5 --out "$scratch/late" -- sh -c 'echo kept >$OUT/kept; sleep 1000'
expect '124 after the time limit' status_is 124
expect 'what was there at the time limit comes back' grep -qx kept "$scratch/late/kept"
expect 'the time limit is told' stderr_has 'time limit of 5 s'

guest -- sh -c 'echo c >/proc/sysrq-trigger; sleep 100'
expect '125 after a panic' status_is 125
expect 'the console of a panic is shown' stderr_has 'Kernel panic - not syncing: sysrq'

GUEST_BOOT=1 guest --append 'panic=0 rdinit=/nothing' -- true
expect '124 if no attempt boots' status_is 124
expect 'each attempt is told' stderr_has 'attempt 3 of 3'

# ------------------------------------------------------------------------------ what is missing
guest -- no-such-command
expect '126 without the command' status_is 126
expect 'the command is named' stderr_has 'no command no-such-command'
guest --machine nowhere -- true
expect 'a machine that is not there is named' stderr_has 'no machine nowhere'
guest --kernel "$scratch" -- true
expect 'a missing kernel: how to get it' stderr_has 'make guest-kernel'
printf 'node 0 cpus=1 mem=256\nnode 1 cpu=1\n' >"$scratch/wrong.machine"
guest --machine "$scratch/wrong.machine" -- true
expect 'a line of a machine that cannot be read is shown' stderr_has ':2: cannot be read: node 1 cpu=1'
mkdir "$scratch/bin"
for name in dirname basename busybox cpio awk timeout numactl hwloc-bind lstopo-no-graphics cat; do
    ln -s "$(command -v $name)" "$scratch/bin/$name"
done
shell=$(command -v sh)
PATH=$scratch/bin "$shell" "$here/guest" -- true >"$scratch/stdout" 2>"$scratch/stderr"
status=$?
expect '126 without QEMU' status_is 126
expect 'the package is named' stderr_has 'install package qemu-system-x86'

# ------------------------------------------------------------------------------ machines
shows_nodes() { # machine, online nodes, node with processors
    guest --machine "$1" -- sh -c 'cd /sys/devices/system/node; cat online has_cpu has_memory'
    stdout_is "$2"$'\n'"$3"$'\n'"$4"
}
expect 'one node' shows_nodes 1node 0 0 0
expect 'four nodes' shows_nodes 4ring 0-3 0-3 0-3
expect 'eight nodes' shows_nodes 8node 0-7 0-7 0-7
expect 'a node without processors' shows_nodes cpuless 0-2 0-1 0-2
expect 'a node without memory' shows_nodes memless 0-2 0-2 0,2
expect 'holes in the numbers' shows_nodes sparse 0,2,5 0,2,5 0,2,5
guest --machine 4ring -- numactl -H
expect 'distances of a ring' stdout_has '2: +32 +21 +10 +21'
guest --machine hmat -- lstopo-no-graphics --memattrs
expect 'memory attributes' stdout_has 'NUMANode L#1 = 153 from'

# ------------------------------------------------------------------------------ the plugin
guest --plugin '' --report "$scratch/report" -- sh -c 'echo counted'
expect 'with the plugin: status' status_is 0
expect 'with the plugin: output' stdout_is counted
expect 'the map was proven' grep -qE 'places proven [1-9]' "$scratch/report"
printf 'node 0 0 536870912\ncpu 0 0\ndistance 0 0 10\n' >"$scratch/map"
for cpu in 1 2 3 4 5 6 7; do
    echo "cpu $cpu 0"
done >>"$scratch/map"
guest --machine 2node --plugin "map=$scratch/map" --report "$scratch/report" -- echo never
expect '126 if the map is wrong' status_is 126
expect 'what is wrong is told' stderr_has 'check_map: node of a'
expect 'the command did not run' stdout_is ''
guest --plugin 'cache=many' -- true
expect 'a wrong option of the plugin is named' stderr_has 'wrong option cache=many'

echo "$((run - failed)) of $run checks of the rig passed"
test "$failed" -eq 0
