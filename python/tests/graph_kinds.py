"""tests/graph_kinds.py - the objects that random graphs are made of (graphs.py), and how to hang one onto another.

A kind is a function (world, number) -> object. The world is one graph: its log, what finalizers saved, its random
numbers. Whatever runs when an object dies writes (what, number) to the log, and does the same whatever the order in
which a collector takes the objects.

Invariant: nothing depends on addresses; the numbers of a graph come from its seed alone. No tuple holds nothing but
another that is untracked: whether it is untracked in the same collection or the next depends on the order of visiting.
"""
import collections
import contextvars
import functools
import itertools
import types
import weakref

import _testcapi


class Plain:
    pass


class Slots:
    __slots__ = ("a", "b", "number", "__weakref__")


class Both(Slots):
    pass


class ListOf(list):
    pass


class DictOf(dict):
    pass


class SetOf(set):
    pass


class Final:
    def __del__(self):
        self.world.log.append(("final", self.number))


class FinalSlots:
    __slots__ = ("a", "b", "number", "world", "__weakref__")
    __del__ = Final.__del__


class Phoenix(Final):
    """Comes back once."""

    def __del__(self):
        self.world.log.append(("phoenix", self.number))
        self.world.saved.append(self)


class Saviour(Final):
    """Lets another one come back."""

    def __del__(self):
        self.world.log.append(("saviour", self.number))
        self.world.saved.append(vars(self).get("x0"))


class Dropping(Final):
    """Lets go of what it refers to."""

    def __del__(self):
        self.world.log.append(("dropping", self.number))
        for name in ("x0", "x1", "x2", "x3"):
            vars(self).pop(name, None)


class Making(Final):
    """Makes garbage while garbage is collected, and collects it."""

    def __del__(self):
        knot = []
        knot.append(knot)
        self.world.log.append(("making", self.number))
        self.world.collect_inside()


class Failing(Final):
    def __del__(self):
        self.world.log.append(("failing", self.number))
        raise ArithmeticError(self.number)


@_testcapi.with_tp_del
class Legacy:
    def __tp_del__(self):
        self.world.log.append(("legacy", self.number))


def instance(cls):
    def make(world, number):
        made = cls()
        if isinstance(made, (Final, FinalSlots, Legacy)):
            made.world = world
        made.number = number
        return made

    return make


def bare(cls):
    return lambda world, number: cls()


def tuple_of(world, number):
    # With a list of its own: it stays tracked, whatever the others are.
    return (*(world.any() for _ in range(world.random.randrange(4))), [])


def numbers(world, number):
    return (number, number + 1)


def frozen(world, number):
    return frozenset({world.hashable(), number})


def closure(world, number):
    held, box = world.any(), []

    def function(*arguments):
        return held, box

    function.box = box
    return function


def generator(world, number):
    def run(held, box):
        try:
            yield box
        finally:
            world.log.append(("generator", number))

    made = run(world.any(), [])
    if world.random.random() < 0.8:
        next(made)
    return made


class Forever:
    def __await__(self):
        yield self


def coroutine(world, number):
    async def run(held, box):
        try:
            await Forever()
        finally:
            world.log.append(("coroutine", number))

    made = run(world.any(), [])
    made.send(None)
    return made


def method(world, number):
    made = Plain()
    made.x0 = world.any()
    made.method = types.MethodType(instance(Plain), made)
    return made.method


def partial(world, number):
    return functools.partial(print, world.any(), [], key=[world.any()])


def a_class(world, number):
    return type(f"C{number}", (Plain,), {"held": world.any(), "__slots__": ()} if number % 2 else {"held": world.any()})


def module(world, number):
    made = types.ModuleType(f"m{number}")
    made.held = world.any()
    return made


def error(world, number):
    def fails(held):
        raise KeyError(held, [])

    try:
        fails(world.any())
    except KeyError as caught:
        return caught


def iterator(world, number):
    some = [world.any() for _ in range(3)]
    made = world.random.choice([iter, reversed, enumerate, zip, itertools.cycle, lambda s: map(id, s), itertools.chain.from_iterable])
    return made(some)


def context(world, number):
    made = contextvars.copy_context()
    made.run(VARIABLE.set, world.any())
    return made


VARIABLE = contextvars.ContextVar("variable")


def cache(world, number):
    held = world.any()

    @functools.lru_cache(maxsize=4)
    def function(key):
        return held, [key]

    function(number)
    return function


def not_collected(world, number):
    """A container that the collector does not know: what it refers to is held from outside."""
    return _testcapi.ContainerNoGC(world.any())


def weak_values(world, number):
    made = weakref.WeakValueDictionary()
    world.fill_weak(made)
    return made


def proxy_of(world, number):
    return types.MappingProxyType({"held": world.any()})


ORDINARY = [
    *[instance(Plain)] * 6, *[bare(list)] * 4, *[bare(dict)] * 4, *[tuple_of] * 2, *[closure] * 2, *[instance(Slots)] * 2,
    instance(Both), bare(ListOf), bare(DictOf), bare(SetOf), bare(set), numbers, frozen, generator, generator, coroutine,
    method, partial, a_class, module, error, iterator, context, cache, proxy_of, bare(collections.deque),
    bare(collections.OrderedDict), lambda world, number: collections.defaultdict(list), weak_values,
]  # fmt: skip
FINALS = [*[instance(Final)] * 4, instance(FinalSlots), instance(Phoenix), instance(Saviour), instance(Dropping),
          instance(Making), instance(Failing)]  # fmt: skip
RARE = [instance(Legacy), not_collected]


def attach(world, owner, value):
    """Makes the owner refer to the value, if it can."""
    key = world.random.randrange(5)
    if isinstance(owner, (collections.deque, list)):
        owner.append(value)
    elif isinstance(owner, dict):
        owner[key] = value
    elif isinstance(owner, set):
        owner.add(value if type(value).__hash__ is object.__hash__ else key)
    elif isinstance(owner, (Slots, FinalSlots)):
        setattr(owner, "ab"[key % 2], value)
    elif isinstance(owner, types.FunctionType):
        owner.box.append(value)
    elif isinstance(owner, types.GeneratorType) and owner.gi_frame is not None:
        owner.gi_frame.f_locals["box"].append(value)
    elif isinstance(owner, types.CoroutineType) and owner.cr_frame is not None:
        owner.cr_frame.f_locals["box"].append(value)
    elif isinstance(owner, (type, types.ModuleType, BaseException)):
        setattr(owner, f"x{key % 4}", value)
    elif isinstance(owner, functools.partial):
        owner.keywords["key"].append(value)
    elif isinstance(owner, Plain) or isinstance(owner, Final) or type(owner).__name__ == "Legacy":
        setattr(owner, f"x{key % 4}", value)


def successors(value):
    """What a surviving object refers to, by kind and number: to see that nothing of it was lost."""
    if isinstance(value, (list, tuple, collections.deque)):
        found = list(value)
    elif isinstance(value, dict):
        found = list(value.values())
    elif isinstance(value, (Slots, FinalSlots)):
        found = [getattr(value, name, None) for name in "ab"]
    elif isinstance(value, types.FunctionType):
        found = list(getattr(value, "box", ()))
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        found = [vars(value).get(f"x{i}") for i in range(4)]
    else:
        found = []
    return [(type(o).__name__, getattr(o, "number", None) if not isinstance(o, type) else 0) for o in found]
