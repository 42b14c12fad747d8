"""cases/frames.py - what only frames, exceptions, generators, threads' stacks or C code hold stays alive, at any moment."""
import checked
from checked import Knot, settled

import asyncio
import contextvars
import functools
import gc
import itertools
import operator
import sys
import weakref

gc.disable()
settled()
gc.set_threshold(1, 1, 1)  # a collection at nearly every allocation
gc.enable()


def deep(n):
    mine = [n, Knot(n)]
    if n:
        below = deep(n - 1)
        return below + mine[1].name if mine[1].me is mine[1] else None
    return [[] for _ in range(20)] and mine[0]


print(deep(200))


def generators(n):
    held = Knot(n)
    for i in range(n):
        yield (held.me.name, [i])


running = [generators(5) for _ in range(20)]
print(sum(next(g)[1][0] + next(g)[1][0] for g in running))
print(sum(len(list(g)) for g in running))


def fails(n):
    held = [Knot(n)]
    try:
        if n == 0:
            raise ValueError([Knot("value")])
        fails(n - 1)
    except ValueError as error:
        raise ValueError([held]) from error


try:
    fails(15)
except ValueError as error:
    depth, cause = 0, error
    while cause.__cause__ is not None:
        depth, cause = depth + 1, cause.__cause__
        assert cause.args[0][0]
    print("causes", depth, error.__traceback__ is not None)

# Held by C code alone while it calls back.
print(sorted([Knot(i) for i in range(50)], key=lambda k: ([], -k.me.name)[1])[0].name)
print(functools.reduce(lambda a, b: [a, b, Knot()][1:2], ([i] for i in range(100)))[0])
print(len(list(map(lambda *a: [a], map(list, itertools.repeat((), 500)), itertools.count()))))
print("".join(map(str, itertools.chain.from_iterable([[i] for i in range(30)]))))
print({k: v[0].name for k, v in zip("abc", ([Knot(i)] for i in range(3)))})
print(max(([i, Knot(i)] for i in range(60)), key=operator.itemgetter(0))[1].me.name)

variable = contextvars.ContextVar("variable")


async def part(n):
    variable.set(Knot(n))
    await asyncio.sleep(0)
    made = [[] for _ in range(10)]
    await asyncio.sleep(0)
    return variable.get().me.name + len(made)


async def agen(n):
    held = Knot(n)
    for i in range(n):
        yield held.me.name + i
        await asyncio.sleep(0)


async def main():
    numbers = await asyncio.gather(*(part(i) for i in range(15)))
    return sum(numbers), [i async for i in agen(5)]


print(asyncio.run(main()))


class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.extra = [Knot(args)]
        return made


class Made(metaclass=Meta):
    def __init__(self, *args):
        self.args = args


print(Made(1, [2]).extra[0].me.name)
print(len({Made(i) for i in range(30)}))
namespace = {}
exec("class A:\n def f(self): return [self, __class__]\nx = [A().f() for _ in range(20)]", namespace)
print(len(namespace["x"]), namespace["x"][0][1].__name__)
sys.settrace(lambda frame, event, arg: (lambda *a: None))
print(deep(20))
sys.settrace(None)
sys.setprofile(lambda *a: [])
print(deep(20))
sys.setprofile(None)
gc.disable()
reference = weakref.ref(running[0])
del running
gc.collect()
print(reference() is None)
