"""cases/tracking.py - which objects are tracked, and which tuples and dicts collections untrack."""
import checked
from checked import settled

import gc

gc.disable()
settled()


class Plain:
    pass


class Slots:
    __slots__ = ("a",)


class TupleOf(tuple):
    pass


class DictOf(dict):
    pass


def function():
    pass


def generator():
    yield


one = 1
SAMPLES = [
    ("int", 1), ("str", "a"), ("float", 1.5), ("None", None), ("object()", object()), ("[]", []), ("()", ()),
    ("(1,)", (one,)), ("([],)", ([],)), ("{}", {}), ("{1: 2}", {1: 2}), ("{1: []}", {1: []}), ("set", {1}),
    ("frozenset", frozenset([1])), ("Plain()", Plain()), ("Slots()", Slots()), ("TupleOf()", TupleOf((1,))),
    ("DictOf()", DictOf()), ("class", Plain), ("int type", int), ("function", function), ("generator", generator()),
    ("len", len), ("[].append", [].append), ("property", property()), ("slice", slice(1, 2)), ("range", range(3)),
    ("iter([])", iter([])), ("zip", zip()), ("enumerate", enumerate([])), ("bytearray", bytearray(2)), ("module", gc),
]  # fmt: skip
for text, value in SAMPLES:
    print(text, gc.is_tracked(value), gc.is_finalized(value))


def tuples():
    number = len("ab")
    return {
        "numbers": tuple([number, number]),
        "with a list": tuple([number, []]),
        "nested list": tuple([tuple([[]])]),
        "subclass": TupleOf([number]),
        "with a subclass": tuple([TupleOf([number])]),
        "empty inside": tuple([()]),
        "with a class": tuple([Plain]),
        "with an instance": tuple([Plain()]),
        "with a frozenset": tuple([frozenset()]),
    }


def dicts():
    number = len("ab")
    return {
        "numbers": {"a": number},
        "tuple of numbers": {"a": tuple([number])},
        "list": {"a": []},
        "dict of numbers": {"a": {"b": number}},
        "tuple key": {tuple([number]): 1},
        "frozenset key": {frozenset([number]): 1},
        "subclass": DictOf(a=number),
        "emptied": {"a": []},
        "replaced": {"a": []},
        "instance dict": vars(Plain()),
    }


def survey(what, made):
    print(what, [name for name, value in made.items() if gc.is_tracked(value)])


# A dict that is older than the tuples in it: all tuples are asked before any dict, so one collection does.
older = {"a": []}
for key in range(5):
    older[key] = tuple([key, str(key)])
del older["a"]
print("older", gc.is_tracked(older), [gc.is_tracked(value) for value in older.values()])
gc.collect()
print("older", gc.is_tracked(older), [gc.is_tracked(value) for value in older.values()])

# Tuples in tuples: the outer one needs another collection or not, by the order of visiting. In the end it is untracked.
nest = tuple([tuple([len("ab")]), tuple([tuple([len("ab")])])])
for _ in range(4):
    gc.collect()
print("nested", gc.is_tracked(nest))

for generation in (0, 1, 2):
    for make in (tuples, dicts):
        made = make()
        survey(f"{make.__name__} new", made)
        if make is dicts:
            made["emptied"].clear()
            made["replaced"]["a"] = 1
        for _ in range(3):
            gc.collect(generation)
            survey(f"{make.__name__} collect({generation})", made)
        if make is dicts:
            made["numbers"]["b"] = []
            survey("dicts tracked again", made)
            made["numbers"].pop("b")
            gc.collect()
            survey("dicts after that", made)

copied = {"a": 1}.copy()
print("copy", gc.is_tracked(copied), gc.is_tracked({**{"a": []}}), gc.is_tracked(dict.fromkeys("ab", [])))
instance = Plain()
instance.x = 1
print("instance", gc.is_tracked(instance), gc.is_tracked(instance.__dict__))
instance.x = []
gc.collect()
print("instance", gc.is_tracked(instance), gc.is_tracked(instance.__dict__))
