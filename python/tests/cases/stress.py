"""cases/stress.py - a random program that keeps a model of its objects, collected as often as possible.

SEED and STEPS in the environment. What the model says is alive must be intact, what it says is dead must be gone
after a full collection.
"""
import checked
from checked import settled

import gc
import os
import random
import weakref


class Node:
    made = 0

    def __init__(self):
        Node.made += 1
        self.number = Node.made
        self.links = []


class SlotNode:
    __slots__ = ("number", "links", "__weakref__")
    __init__ = Node.__init__


class ListNode(list):
    def __init__(self):
        Node.made += 1
        self.number = Node.made

    @property
    def links(self):
        return self


class Closure:
    def __init__(self):
        Node.made += 1
        self.number = Node.made
        links = []
        self.get = lambda: links

    @property
    def links(self):
        return self.get()


KINDS = (Node, SlotNode, ListNode, Closure)


def reachable(roots, graph):
    seen, todo = set(), [n for n in roots if n]
    while todo:
        number = todo.pop()
        if number not in seen:
            seen.add(number)
            todo.extend(graph[number])
    return seen


def run(seed, steps):
    rnd = random.Random(seed)
    roots = [None] * 40
    numbers = [0] * 40  # the model's roots
    graph, references = {}, {}
    settled()
    gc.set_threshold(1, 2, 3)
    gc.enable()
    for step in range(steps):
        at = rnd.randrange(40)
        action = rnd.random()
        if action < 0.45 or not numbers[at]:
            node = rnd.choice(KINDS)()
            if numbers[at] and rnd.random() < 0.7:
                node.links.append(roots[at])
                graph[node.number] = [numbers[at]]
            else:
                graph[node.number] = []
            roots[at], numbers[at] = node, node.number
            references[node.number] = weakref.ref(node)
            del node
        elif action < 0.8:
            other = rnd.randrange(40)
            if numbers[other]:
                roots[at].links.append(roots[other])
                graph[numbers[at]].append(numbers[other])
        elif action < 0.9 and graph[numbers[at]]:
            index = rnd.randrange(len(graph[numbers[at]]))
            del roots[at].links[index], graph[numbers[at]][index]
        elif action < 0.97:
            roots[at], numbers[at] = None, 0
        elif graph[numbers[at]]:
            numbers[at] = graph[numbers[at]][0]
            roots[at] = roots[at].links[0]
        if step % 500 == 499:
            gc.collect()
            alive = {n for n, r in references.items() if r() is not None}
            expected = reachable(numbers, graph)
            assert alive == expected, (seed, step, len(alive), len(expected))
            for n in alive:
                assert [o.number for o in references[n]().links] == graph[n], (seed, step, n)
            for n in set(graph) - alive:
                del graph[n], references[n]
    gc.disable()
    roots.clear()
    gc.collect()
    assert all(r() is None for r in references.values()), seed
    return Node.made


seed, steps = int(os.environ.get("SEED", "1")), int(os.environ.get("STEPS", "3000"))
for n in range(3):
    print("seed", seed + n, "objects", run(seed + n, steps))
