"""cases/checked.py - imported first by every case: the collector is the one the caller wants.

HEARTH_EXPECT names it: "builtin" or "hearth". A case that ran under the wrong one would compare a
collector with itself, so the check is repeated at the end of the process.

Invariant: nothing here makes a reference cycle, and all it keeps is tracked before a case begins.
"""
import atexit
import os
import sys

import gc

EXPECTED = os.environ["HEARTH_EXPECT"]


def _verify():
    package = sys.modules.get("hearth")
    taken = package is not None and package.installed()
    if taken != (EXPECTED == "hearth"):
        sys.stderr.write(f"the collector is not {EXPECTED}\n")
        os._exit(86)


def attempt(what, function, *args, **kwargs):
    """Prints the result of a call, or the type and the message of its exception."""
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # whatever it is, it is compared
        print(f"{what}: {type(error).__qualname__}: {error}")
        return None
    if isinstance(result, list) and (len(result) > 8 or what.startswith("get_objects")):
        print(f"{what}: a list of objects")
    else:
        print(f"{what}: {result!r}")
    return result


def settled():
    """Collects until nothing is found, so that what follows starts from the same heap."""
    while gc.collect():
        pass


class Knot:
    """An instance that refers to itself: garbage as soon as it is dropped."""

    def __init__(self, name=None):
        self.name = name
        self.me = self


_verify()
atexit.register(_verify)
