"""bench/heaps.py - the heaps and programs that are measured. Each function is one workload of bench.py.

A live heap is returned, and is kept while it is collected; garbage is dropped before the function returns. Objects are
counted as the collector counts them: an instance, its list and its dictionary are three.
"""
import ast
import glob
import random


class Node:
    """Of a graph: the instance, its list of successors and its dictionary."""

    def __init__(self, number):
        self.number = number
        self.successors = []
        self.names = {"number": number}


class Itself:
    def __init__(self):
        self.me = self


def graph(objects):
    """A tree of nodes, in the order they were made; each refers back to its parent, which is one of the last 1000."""
    rnd, nodes = random.Random(1), []
    for number in range(objects // 3):
        node = Node(number)
        nodes.append(node)
        if number:
            parent = nodes[rnd.randrange(max(0, number - 1000), number)]
            parent.successors.append(node)
            node.names["parent"] = parent
    return nodes


def shuffled(objects):
    """The same with a random reference more for each node, and its nodes reached in random order."""
    rnd, nodes = random.Random(1), graph(objects)
    for node in nodes:
        node.successors.append(nodes[rnd.randrange(len(nodes))])
    rnd.shuffle(nodes)
    return nodes


def trees(files):
    """Syntax trees of the standard library, all kept."""
    paths = sorted(glob.glob("/usr/lib/python3.11/*.py") + glob.glob("/usr/lib/python3.11/[a-z]*/*.py"))
    made = []
    for path in paths:
        if "/test" in path or "lib2to3/tests" in path or "dist-packages" in path:
            continue
        with open(path, encoding="utf-8") as file:
            try:
                made.append(ast.parse(file.read()))
            except (SyntaxError, UnicodeDecodeError):
                continue
        if len(made) == files:
            break
    return made


def pairs(objects):
    """Garbage: pairs of lists that refer to each other."""
    for _ in range(objects // 2):
        first = []
        first.append([first])


def instances(objects):
    """Garbage: instances with a list and a dictionary, which refer back."""
    for number in range(objects // 3):
        node = Node(number)
        node.names["me"] = node
        node.successors.append(node)


def ring(objects):
    """Garbage: one ring of dictionaries."""
    first = last = {}
    for _ in range(objects - 1):
        new = {"last": last}
        last["next"] = new
        last = new
    last["next"] = first


# Programs that make objects, collected by the automatic collections they cause.


def keep_lists(objects):
    return [[] for _ in range(objects)]


def drop_cycles(objects):
    for _ in range(objects):
        made = []
        made.append(made)


def drop_instances(objects):
    for _ in range(objects // 2):
        Itself()


def keep_tuples(objects):
    def tree(depth):
        return (tree(depth - 1), tree(depth - 1)) if depth else [None]

    return [tree(12) for _ in range(max(1, objects // 8192))]


def keep_dicts(objects):
    return [{"a": [i]} for i in range(objects // 2)]


CREATION = {
    "lists kept": keep_lists,
    "cycles dropped": drop_cycles,
    "instances dropped": drop_instances,
    "tuple trees kept": keep_tuples,
    "dicts kept": keep_dicts,
}


# What a young collection sees: about 700 objects, the default threshold.


def young_lists():
    return [[] for _ in range(700)]


def young_instances():
    return [Node(i) for i in range(233)]


def young_dead():
    pairs(700)


YOUNG = {"700 lists, alive": young_lists, "233 instances, alive": young_instances, "700 lists, dead": young_dead}


def idle(steps):
    """Work that makes no object the collector knows: what is installed must cost nothing."""
    total = 0
    text = "abc"
    for i in range(steps):
        total += i % 7
        text = text[1:] + text[0]
        if text == "bca":
            total ^= len(text)
    return total
