"""hearth: a faster garbage collector for CPython 3.11.

    import hearth
    hearth.install()      # from now on every collection is hearth's
    hearth.uninstall()    # the built-in collector is back

hearth.gc has the functions of the standard module gc. While hearth is installed,
`import gc` gives them too, and so do earlier imports of it.

In the environment, HEARTH_PYTHON_WORKERS=n, HEARTH_PYTHON_PARALLEL_MIN=objects and
HEARTH_PYTHON_PARALLEL=off|python|all are workers(n), parallel_min(objects) and
set_parallel(...) from the beginning; HEARTH_PYTHON_ARENAS=auto|on|huge|off is what
install() does with arenas().
"""

import os
import sys

if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11):
    raise ImportError("hearth replaces the collector of CPython 3.11 only; this is %s %s"
                      % (sys.implementation.name, sys.version.split()[0]))

from hearth import _core
from hearth import gc
from hearth._core import (
    arenas, get_parallel, installed, parallel_min, residency, set_parallel, stats, workers,
)

__all__ = [
    "arenas", "gc", "get_parallel", "install", "installed", "parallel_min", "residency",
    "set_parallel", "stats", "uninstall", "workers",
]

_before = None  # sys.modules["gc"], and the old module's own names


def install():
    """From now on every collection of this interpreter is hearth's: those that start by
    themselves and gc.collect(). Modules that imported gc earlier see hearth's functions.
    New objects come from memory of the node their thread runs on, if the machine has several.

    Does nothing if it is so already. RuntimeError during a collection.
    """
    global _before
    if installed():
        return
    mode = os.environ.get("HEARTH_PYTHON_ARENAS") or "auto"
    try:
        arenas(mode)
    except OSError:  # CPython's own arenas will do
        if mode != "auto":
            raise
    builtin = sys.modules.get("gc")
    _core._install()
    if builtin is not None and builtin is not gc:
        _before = builtin, {name: getattr(builtin, name) for name in gc.__all__}
        for name in gc.__all__:
            setattr(builtin, name, getattr(gc, name))
    sys.modules["gc"] = gc


def uninstall():
    """The built-in collector is back, as if hearth had never been there; but objects that
    were made in hearth's memory stay there.

    Does nothing if it is not installed. RuntimeError during a collection.
    """
    global _before
    if not installed():
        return
    _core._uninstall()
    arenas("off")
    if _before is not None:
        builtin, names = _before
        for name, value in names.items():
            setattr(builtin, name, value)
        if sys.modules.get("gc") is gc:
            sys.modules["gc"] = builtin
        _before = None


def _environment():
    for name, setter, kind in (("HEARTH_PYTHON_WORKERS", workers, int),
                               ("HEARTH_PYTHON_PARALLEL_MIN", parallel_min, int),
                               ("HEARTH_PYTHON_PARALLEL", set_parallel, str)):
        value = os.environ.get(name)
        if not value:
            continue
        try:
            setter(kind(value))
        except (ValueError, OverflowError) as error:
            raise ValueError("%s=%s: %s" % (name, value, error)) from None


_environment()
