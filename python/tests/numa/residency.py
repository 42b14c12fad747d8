"""tests/numa/residency.py - runs in a machine of several memory nodes: objects lie on the node of the thread that made them.

For every node with processors a thread is bound there and makes objects. Then three witnesses are asked: where the
addresses of those objects lie in /proc/self/numa_maps (policy, and on which nodes the pages are), hearth.residency(), which asks
the kernel for every page, and hearth.stats(). Collections with helpers of all nodes go on meanwhile.

Prints a table; the status is 1 if anything lies elsewhere. FAIL=1 in the environment makes the threads change their node
first, which the check must find.
"""
import gc
import glob
import os
import re
import sys
import threading
import weakref

import hearth

OBJECTS = 120000


class Node:
    def __init__(self, number):
        self.number = number
        self.text = str(number) * 3
        self.me = self


def nodes_with_processors():
    """{node: processors} as the kernel tells."""
    found = {}
    for path in glob.glob("/sys/devices/system/node/node*/cpulist"):
        processors = set()
        for part in open(path).read().strip().split(","):
            if part:
                first, _, last = part.partition("-")
                processors.update(range(int(first), int(last or first) + 1))
        if processors & os.sched_getaffinity(0):
            found[int(re.search(r"node(\d+)", path).group(1))] = processors
    return found


def memory_nodes():
    text = open("/sys/devices/system/node/has_memory").read().strip()
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def mappings():
    """[(start, end, policy, {node: pages})] of this process."""
    ends = {}
    for line in open("/proc/self/maps"):
        start, end = line.split()[0].split("-")
        ends[int(start, 16)] = int(end, 16)
    found = []
    for line in open("/proc/self/numa_maps"):
        start, policy, *rest = line.split()
        start = int(start, 16)
        pages = {int(k): int(v) for k, v in re.findall(r"\bN(\d+)=(\d+)", line)}
        found.append((start, ends.get(start, start), policy, pages))
    return sorted(found)


def make(node, processors, kept, failures):
    """A thread's work: on its node, objects, garbage, collections."""
    try:
        os.sched_setaffinity(0, processors)
        objects = [Node(i) for i in range(OBJECTS)]
        for i in range(2000):
            Node(i)
        lost = weakref.ref(Node(0))
        gc.collect()
        assert lost() is None
        assert all(o.me is o and o.number == i for i, o in enumerate(objects))
        kept[node] = objects
    except BaseException as error:
        failures.append(f"node {node}: {error!r}")


def where(objects, found):
    """{policy: objects} and {policy: {node: pages}} of the mappings that objects lie in."""
    policies, pages = {}, {}
    for o in objects:
        address = id(o)
        for start, end, policy, nodes in found:
            if start <= address < end:
                policies[policy] = policies.get(policy, 0) + 1
                pages[policy] = nodes
                break
    return policies, pages


def main():
    nodes, memory, kept, failures = nodes_with_processors(), memory_nodes(), {}, []
    hearth.parallel_min(1000)
    hearth.arenas("on")
    hearth.install()
    for node, processors in sorted(nodes.items()):
        # One after another: the arenas that are half full belong to whoever runs.
        other = nodes[max(nodes, key=lambda n: (n != node, n))] if os.environ.get("FAIL") else processors
        thread = threading.Thread(target=make, args=(node, other, kept, failures))
        thread.start()
        thread.join()
    found = mappings()
    for node in sorted(nodes):
        if node not in kept:
            continue
        policies, pages = where(kept[node], found)
        best = max(policies, key=policies.get)
        share = policies[best] / OBJECTS
        there = pages[best]
        print(f"node {node}: {100 * share:.1f} % of its objects in memory of policy {best}, whose pages are {there}")
        if node in memory:
            # What is free in arenas that were begun on another node is used up first: CPython has one list of them.
            if share < 0.90 or str(node) not in re.findall(r"\d+", best) or set(there) != {node}:
                failures.append(f"node {node}: objects lie in {policies}, pages {pages}")
    for entry in hearth.residency():
        print("residency", entry)
        if entry["elsewhere"]:
            failures.append(f"residency: {entry}")
    for entry in hearth.stats()["arenas"]["nodes"]:
        print("arenas", entry)
    helpers = hearth.stats()["parallel"]
    print("helpers joined", helpers["joined"], "marked", helpers["marked_by_helpers"])
    if len(nodes) > 1 and not helpers["joined"]:
        failures.append("no helper ever joined")
    kept.clear()
    found = gc.collect()
    print("collected", found)
    if found < OBJECTS * len(nodes):
        failures.append(f"only {found} objects were collected")
    for failure in failures:
        print("FAILED", failure)
    passed = 100 * max(0, len(nodes) - len(failures)) // len(nodes)
    print(f"{passed}%: Checks: {len(nodes)}, Failures: {len(failures)}, Errors: 0")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
