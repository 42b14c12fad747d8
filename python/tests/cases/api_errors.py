"""cases/api_errors.py - every function of gc with good and bad arguments: results, types and messages of errors."""
import checked
from checked import attempt, settled

import gc

gc.disable()


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class Sour:
    """A class whose truth and comparison raise."""

    def __bool__(self):
        raise ZeroDivisionError("bool")

    def __eq__(self, other):
        raise ZeroDivisionError("eq")


VALUES = [
    ("0", 0), ("1", 1), ("2", 2), ("3", 3), ("-1", -1), ("-2", -2), ("True", True), ("None", None),
    ("1.5", 1.5), ("'2'", "2"), ("b'2'", b"2"), ("[]", []), ("2**31", 2**31), ("2**31-1", 2**31 - 1),
    ("-2**31", -(2**31)), ("-2**31-1", -(2**31) - 1), ("2**63", 2**63), ("-2**63-1", -(2**63) - 1), ("2**70", 2**70),
    ("Index(1)", Index(1)), ("Index(9)", Index(9)), ("Index(raises)", Index(KeyError("index"))),
    ("Index('a')", Index("a")), ("1j", 1j), ("Sour()", Sour()), ("object", object),
]  # fmt: skip

NO_ARGUMENTS = [
    "enable", "disable", "isenabled", "get_debug", "get_count", "get_threshold", "get_stats",
    "freeze", "unfreeze", "get_freeze_count",
]  # fmt: skip
QUIET = {"get_count", "get_stats", "freeze", "get_freeze_count"}

for name in NO_ARGUMENTS:
    function = getattr(gc, name)
    attempt(f"{name}(1)", function, 1)
    attempt(f"{name}(1, 2)", function, 1, 2)
    attempt(f"{name}(x=1)", function, x=1)
    attempt(f"{name}()", function) if name not in QUIET else function()
gc.unfreeze()
gc.disable()

for name in ("collect", "get_objects"):
    function = getattr(gc, name)
    settled()
    attempt(f"{name}()", function)
    for text, value in VALUES:
        settled()
        result = attempt(f"{name}({text})", function, value)
        settled()
        result = attempt(f"{name}(generation={text})", function, generation=value)
        result = None
    attempt(f"{name}(0, 1)", function, 0, 1)
    attempt(f"{name}(0, generation=1)", function, 0, generation=1)
    attempt(f"{name}(generations=1)", function, generations=1)
    attempt(f"{name}(0, x=1)", function, 0, x=1)
    attempt(f"{name}(**{{1: 2}})", lambda: function(**{1: 2}))

for text, value in VALUES:
    gc.set_debug(0)
    attempt(f"set_debug({text})", gc.set_debug, value)
    attempt("  get_debug()", gc.get_debug)
gc.set_debug(0)
attempt("set_debug()", gc.set_debug)
attempt("set_debug(0, 0)", gc.set_debug, 0, 0)
attempt("set_debug(flags=0)", lambda: gc.set_debug(flags=0))

for text, value in VALUES:
    for count in (1, 2, 3):
        arguments = [11, 12, 13]
        arguments[count - 1] = value
        gc.set_threshold(700, 10, 10)
        attempt(f"set_threshold({text} at {count})", gc.set_threshold, *arguments[:count])
        attempt("  get_threshold()", gc.get_threshold)
for arguments in ((), (1, 2, 3, 4), (5, 6), (7,)):
    gc.set_threshold(700, 10, 10)
    attempt(f"set_threshold{arguments}", gc.set_threshold, *arguments)
    attempt("  get_threshold()", gc.get_threshold)
attempt("set_threshold(threshold0=1)", lambda: gc.set_threshold(threshold0=1))
gc.set_threshold(700, 10, 10)

for name in ("is_tracked", "is_finalized"):
    function = getattr(gc, name)
    for text, value in VALUES:
        attempt(f"{name}({text})", function, value)
    attempt(f"{name}()", function)
    attempt(f"{name}(1, 2)", function, 1, 2)
    attempt(f"{name}(obj=1)", lambda: function(obj=1))

for name in ("get_referrers", "get_referents"):
    function = getattr(gc, name)
    attempt(f"{name}()", function)
    attempt(f"{name}(1.25)", function, 1.25)
    attempt(f"{name}('a unique' + str)", function, "a unique %s" % 7, 9.75)
    attempt(f"{name}(objs=1)", lambda: function(objs=1))
    attempt(f"{name}(1, x=2)", lambda: function(1, x=2))
attempt("get_referents([1, 'x'], (2.5,), {'k': 'v'})", gc.get_referents, [1, "x"], (2.5,), {"k": "v"})
attempt("get_referents(int)", lambda: sorted(map(repr, gc.get_referents(type("T", (), {}))))[0][:6])

for name in ("garbage", "callbacks"):
    attempt(name, lambda: (type(getattr(gc, name)), len(getattr(gc, name))))
for name in sorted(n for n in dir(gc) if n.startswith("DEBUG")):
    attempt(name, lambda: getattr(gc, name))
attempt("gc.nothing", lambda: hasattr(gc, "nothing"))
