# main.py - gcbench, binary-trees and old-young on PyPy, as bench/driver.h runs them on the C systems.
#
# The command line and the line of JSON are those of the C programs; one thread only. A pass of a tenth of
# the work warms the compiler up and is not measured. The heap is held to --heap-x by PYPY_GC_MAJOR_COLLECT
# (bench/peers/peer.sh): PyPy has no fixed heap. It does not tell its pauses.
#
# Invariant: what is printed is of the measured pass, but for the peak of memory and cpu_s.
import gc
import os
import sys
import time

SEED = 88172645


def fail(text):
    sys.stderr.write("pypy: %s\n" % text)
    sys.exit(1)


def at_least_one(count):
    return 1 if count < 1 else int(count + 0.5)


class Node(object):
    __slots__ = ("left", "right", "i", "j")

    def __init__(self, left, right, j):
        self.left = left
        self.right = right
        self.i = 0
        self.j = j


class Cell(object):
    __slots__ = ("link", "key", "value")

    def __init__(self, key, value):
        self.link = None
        self.key = key
        self.value = value


class Entry(object):
    __slots__ = ("next", "value", "key")

    def __init__(self, next, value, key):
        self.next = next
        self.value = value
        self.key = key


class Worker(object):
    def __init__(self, scale, size, variant):
        self.scale, self.size, self.variant = scale, size, variant
        self.allocations = self.checksum = self.ops = 0
        self.cpu, self.wall = [0.0, 0.0], [0.0, 0.0]
        self.marked = False

    def mark(self, which):
        self.cpu[which], self.wall[which] = time.process_time(), time.time()
        self.marked = which == 1


def tree_size(depth):
    return (2 << depth) - 1


def populate(depth, node):
    node.j = depth
    if depth <= 0:
        return
    node.left = Node(None, None, 0)
    node.right = Node(None, None, 0)
    populate(depth - 1, node.left)
    populate(depth - 1, node.right)


def make_tree(depth, height):
    if depth <= 0:
        return Node(None, None, 0)
    left = make_tree(depth - 1, height)
    right = make_tree(depth - 1, height)
    return Node(left, right, depth if height else 0)


def check_tree(node, depth):
    if node.i != 0 or node.j != depth or (node.left is None) != (depth == 0):
        fail("a node at height %d is damaged" % depth)
    total = 1 + depth
    if depth > 0:
        total += check_tree(node.left, depth - 1) + check_tree(node.right, depth - 1)
    return total


def gcbench(worker):
    root = Node(None, None, 0)
    populate(16, root)
    array = [0.0] * 500000
    for i in range(250000):
        array[i] = 1.0 / (i + 1)
    worker.allocations = tree_size(16) + 1
    left = 5 * worker.scale
    while left > 0:
        share = min(left, 1)
        for depth in range(4, 17, 2):
            count = at_least_one(share * (2 * tree_size(18) // tree_size(depth)))
            for i in range(2 * count):
                if i < count:
                    node = Node(None, None, 0)
                    populate(depth, node)
                else:
                    node = make_tree(depth, True)
                if i % 16 == 0:
                    worker.checksum += check_tree(node, depth)
            worker.allocations += 2 * count * tree_size(depth)
        left -= 1
    for i in range(250000):
        if array[i] != 1.0 / (i + 1):
            fail("the array is damaged at %d" % i)
    worker.checksum += check_tree(root, 16) + len(array)


def count_tree(node):
    if node.left is None:
        return 1
    return 1 + count_tree(node.left) + count_tree(node.right)


def check_count(node, depth):
    count = count_tree(node)
    if count != tree_size(depth):
        fail("a tree of depth %d has %d nodes" % (depth, count))
    return count


def temporary(worker, depth, count):
    for _ in range(count):
        worker.checksum += check_count(make_tree(depth, False), depth)
    worker.allocations += count * tree_size(depth)


def binary_trees(worker):
    temporary(worker, 19, 1)
    root = make_tree(18, False)
    worker.allocations += tree_size(18)
    for depth in range(4, 19, 2):
        temporary(worker, depth, at_least_one(worker.scale * (1 << (22 - depth))))
    worker.checksum += check_count(root, 18)


def draw(x):
    x ^= (x << 13) & 0xffffffff
    x ^= x >> 17
    x ^= (x << 5) & 0xffffffff
    return x


def bucket_of(key, bits):
    return (key * 1327217885 & 0x7fffffff) >> (31 - bits)


def check_cell(cell, key):
    if cell.key != key or cell.link is not None:
        fail("the cell of key %d is damaged" % key)
    return cell.value


def update_array(array, updates):
    x, entries = SEED, len(array)
    for u in range(1, updates + 1):
        x = draw(x)
        i = x * entries >> 32
        array[i] = Cell(i, u)


def update_hash(buckets, bits, entries, updates):
    x = SEED
    for u in range(1, updates + 1):
        x = draw(x)
        key = x * entries >> 32
        cell = Cell(key, u)
        entry = buckets[bucket_of(key, bits)]
        while entry.key != key:
            entry = entry.next
        entry.value = cell


def old_young_hash(worker, entries, updates):
    bits = 1
    while 1 << bits < entries:
        bits += 1
    buckets = [None] * (1 << bits)
    for i in range(entries):
        b = bucket_of(i, bits)
        buckets[b] = Entry(buckets[b], Cell(i, 0), i)
    worker.mark(0)
    update_hash(buckets, bits, entries, updates)
    worker.mark(1)
    count = 0
    for entry in buckets:
        while entry is not None:
            worker.checksum += check_cell(entry.value, entry.key)
            entry, count = entry.next, count + 1
    if count != entries:
        fail("the hash table has %d entries" % count)


def old_young(worker):
    entries, updates = at_least_one(1e6 * worker.size), at_least_one(1e7 * worker.scale)
    worker.ops = updates
    if worker.variant == "hash":
        old_young_hash(worker, entries, updates)
        worker.allocations = updates + 2 * entries + 1
        return
    array = [Cell(i, 0) for i in range(entries)]
    worker.mark(0)
    update_array(array, updates)
    worker.mark(1)
    for i, cell in enumerate(array):
        worker.checksum += check_cell(cell, i)
    worker.allocations = updates + entries + 1


WORKLOADS = {"gcbench": (gcbench, ""), "binary-trees": (binary_trees, ""),
             "old-young": (old_young, "array")}


def peak_rss():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def arguments(words):
    options = {"--threads": "1", "--heap-x": "2", "--scale": "1", "--size": "1", "--variant": ""}
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        if word in ("--json", "--nodes"):
            continue
        if "=" in word:
            word, value = word.split("=", 1)
        else:
            value, at = words[at], at + 1
        if word not in options:
            fail("unknown argument '%s'" % word)
        options[word] = value
    if options["--threads"] != "1":
        fail("--threads: '%s', but PyPy runs one" % options["--threads"])
    return options


def run(work, scale, size, variant):
    worker = Worker(scale, size, variant)
    worker.mark(0)
    work(worker)
    if not worker.marked:
        worker.mark(1)
    return worker


def main():
    began = time.time()
    name, options = sys.argv[1], arguments(sys.argv[2:])
    work, variant = WORKLOADS[name]
    variant = options["--variant"] or variant
    scale, size, heap_x = (float(options[key]) for key in ("--scale", "--size", "--heap-x"))
    run(work, scale / 10, size, variant)
    gc.collect()
    worker = run(work, scale, size, variant)
    live = float(os.environ.get("BENCH_LIVE", "0"))
    sys.stdout.write(
        '{"workload":"%s","system":"pypy","threads":1,"heap_x":%g,"allocations":%d,"cpu_s":%.4f,'
        '"wall_s":%.4f,"peak_rss_mb":%.2f,"collections":0,"pause_p50_ms":0.0,"pause_p99_ms":0.0,'
        '"pause_max_ms":0.0,"checksum":"%016x","live_mb":%.3f,"heap_mb":%.3f,"variant":"%s",'
        '"size":%g,"ops":%d,"work_cpu_s":%.4f,"work_wall_s":%.4f,"latency_p50_us":0.0,'
        '"latency_p99_us":0.0,"latency_p999_us":0.0,"latency_max_us":0.0}\n'
        % (name, heap_x, worker.allocations, time.process_time(), time.time() - began, peak_rss(),
           worker.checksum, live / 1e6, live * heap_x / 1e6, variant, size,
           worker.ops or worker.allocations, worker.cpu[1] - worker.cpu[0],
           worker.wall[1] - worker.wall[0]))


main()
