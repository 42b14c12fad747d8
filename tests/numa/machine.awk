# machine.awk - translates a .machine file for QEMU (-v out=qemu: arguments, one a line) or for the
# access-counting plugin (-v out=map).
#
# A .machine file, one fact a line, # starts a comment line:
#     node ID cpus=N mem=MIB     N processors, MIB mebibytes; either may be 0
#     distance A B D             SLIT distance both ways; a node to itself is 10
#     default D                  all distances not given (20 if absent)
#     hmat                       the firmware also tells latency and bandwidth, from the distances
#     latency A B N              what it tells of node A's processors and B's memory, in nanoseconds
#
# The plugin's map:
#     node ID BASE BYTES         what the plugin API calls a physical address, see below
#     cpu VCPU NODE              by QEMU's number of the virtual processor
#     distance A B D
#
# BASE: with one memory backend a node, QEMU 7.2's qemu_plugin_hwaddr_phys_addr() is not the guest's
# physical address. It is the offset of the RAM block plus the offset in the machine's memory, that
# is, twice the sum of the sizes of the earlier nodes, plus the offset in the node. check_map.c proves
# this in every run.
#
# Holes in the numbering: QEMU wants all numbers, and Linux numbers nodes in the order in which the
# SRAT mentions them. So a hole gets a socket into which no processor is plugged: the SRAT mentions
# the node, Linux counts it as possible, and since nothing is there it stays offline. Then all
# processors but the first must be plugged one by one (-device).

/^#/ || NF == 0 { next }
$1 == "node" && NF == 4 && $3 ~ /^cpus=[0-9]+$/ && $4 ~ /^mem=[0-9]+$/ && $2 ~ /^[0-9]+$/ {
    given[$2] = 1
    cpus[$2] = substr($3, 6) + 0
    mem[$2] = substr($4, 5) + 0
    if ($2 + 1 > nodes)
        nodes = $2 + 1
    next
}
$1 == "distance" && NF == 4 { far[$2, $3] = far[$3, $2] = $4; distances = 1; next }
$1 == "default" && NF == 2 { otherwise = $2; distances = 1; next }
$1 == "hmat" && NF == 1 { hmat = 1; next }
$1 == "latency" && NF == 4 { told[$2, $3] = $4; next }
{ print FILENAME ":" FNR ": cannot be read: " $0 >"/dev/stderr"; failed = 1; exit 1 }

function distance(a, b) {
    return a == b ? 10 : ((a, b) in far) ? far[a, b] : otherwise
}

# The node with processors that is nearest to a: its "initiator" in the HMAT.
function initiator(a,    b, best) {
    best = -1
    for (b = 0; b < nodes; b++)
        if (cpus[b] > 0 && (best < 0 || distance(a, b) < distance(a, best)))
            best = b
    return best
}

# Sockets of equal size if all nodes with processors have the same number, else one a processor.
function print_processors(    node, same, per, cpu, i) {
    same = !holes
    for (node = 0; node < nodes; node++)
        if (cpus[node] > 0) {
            if (per > 0 && cpus[node] != per)
                same = 0
            per = cpus[node]
        }
    if (!same)
        per = 1
    printf "-smp\n%d,maxcpus=%d,sockets=%d,cores=%d,threads=1\n", \
        holes ? 1 : slots, slots, slots / per, per
    if (!holes)
        return
    for (node = 0; node < nodes; node++)
        for (i = 0; i < cpus[node]; i++) {
            cpu = first[node] + i
            if (cpu > 0)
                printf "-device\n%s-x86_64-cpu,socket-id=%d,core-id=0,thread-id=0\n", model, cpu
        }
}

function print_nodes(    node) {
    printf "-m\n%dM\n", megabytes
    for (node = 0; node < nodes; node++) {
        if (mem[node] > 0)
            printf "-object\nmemory-backend-ram,id=m%d,size=%dM\n", node, mem[node]
        printf "-numa\nnode,nodeid=%d", node
        if (width[node] > 0)
            printf ",cpus=%d-%d", first[node], first[node] + width[node] - 1
        if (mem[node] > 0)
            printf ",memdev=m%d", node
        if (hmat && cpus[node] == 0)
            printf ",initiator=%d", initiator(node)
        printf "\n"
    }
}

function print_distances(    a, b) {
    for (a = 0; a < nodes; a++)
        for (b = 0; b < nodes; b++)
            if (a != b)
                printf "-numa\ndist,src=%d,dst=%d,val=%d\n", a, b, distance(a, b)
}

# 9 ns and 200 GiB/s at distance 1: 90 ns and 20 GiB/s at home.
function print_hmat(    a, b, start, latency) {
    printf "-machine\npc,hmat=on\n"
    for (a = 0; a < nodes; a++)
        for (b = 0; b < nodes; b++)
            if (cpus[a] > 0 && mem[b] > 0) {
                start = "-numa\nhmat-lb,initiator=" a ",target=" b ",hierarchy=memory,data-type="
                latency = (a, b) in told ? told[a, b] : 9 * distance(a, b)
                printf "%saccess-latency,latency=%d\n", start, latency
                printf "%saccess-bandwidth,bandwidth=%dM\n", start, 204800 / distance(a, b)
            }
}

function print_map(    node, i, other) {
    for (node = 0; node < nodes; node++) {
        if (!given[node])
            continue
        printf "node %d %.0f %.0f\n", node, 2 * before[node] * 1048576, mem[node] * 1048576
        for (i = 0; i < cpus[node]; i++)
            printf "cpu %d %d\n", first[node] + i, node
        for (other = 0; other < nodes; other++)
            if (given[other])
                printf "distance %d %d %d\n", node, other, distance(node, other)
    }
}

END {
    if (failed)
        exit 1
    if (!otherwise)
        otherwise = 20
    for (node = 0; node < nodes; node++) {
        if (!given[node])
            holes = 1
        width[node] = given[node] ? cpus[node] : 1 # a hole: one socket that stays empty
        first[node] = slots
        before[node] = megabytes
        slots += width[node]
        megabytes += mem[node]
    }
    if (nodes == 0 || cpus[0] == 0 || mem[0] == 0) {
        print FILENAME ": node 0 must exist and have processors and memory" >"/dev/stderr"
        exit 1
    }
    if (out == "map") {
        print_map()
        exit 0
    }
    print_processors()
    print_nodes()
    if (distances)
        print_distances()
    if (hmat)
        print_hmat()
}
