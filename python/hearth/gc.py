"""The functions of the standard module gc, by hearth's collector.

enable() -- let collections start by themselves.
disable() -- let none start by itself.
isenabled() -- do they?
collect() -- collect now.
get_count() -- what is compared with the thresholds.
get_stats() -- what was collected so far.
set_debug(), get_debug() -- what collections report.
set_threshold(), get_threshold() -- when collections start.
get_objects() -- all tracked objects.
is_tracked() -- is an object tracked?
is_finalized() -- was its finalizer called?
get_referrers() -- who refers to an object.
get_referents() -- what an object refers to.
freeze(), unfreeze(), get_freeze_count() -- objects out of the collector's sight.
garbage -- objects that could not be collected.
callbacks -- called before and after every collection.
"""

from hearth._core import (
    DEBUG_COLLECTABLE, DEBUG_LEAK, DEBUG_SAVEALL, DEBUG_STATS, DEBUG_UNCOLLECTABLE,
    callbacks, collect, disable, enable, freeze, garbage, get_count, get_debug,
    get_freeze_count, get_objects, get_referents, get_referrers, get_stats, get_threshold,
    is_finalized, is_tracked, isenabled, set_debug, set_threshold, unfreeze,
)

__all__ = [
    "DEBUG_COLLECTABLE", "DEBUG_LEAK", "DEBUG_SAVEALL", "DEBUG_STATS", "DEBUG_UNCOLLECTABLE",
    "callbacks", "collect", "disable", "enable", "freeze", "garbage", "get_count", "get_debug",
    "get_freeze_count", "get_objects", "get_referents", "get_referrers", "get_stats",
    "get_threshold", "is_finalized", "is_tracked", "isenabled", "set_debug", "set_threshold",
    "unfreeze",
]
