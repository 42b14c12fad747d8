"""bench/program_child.py - runs a module as `python -m` does, and writes how long each collection took.

Usage: program_child.py FILE MODULE [ARGS...]

FILE gets one line of JSON: number, total, median and longest of the pauses in seconds, as gc.callbacks see them. That
costs something, so these runs are not the ones that are timed.
"""
import atexit
import gc
import json
import os
import runpy
import statistics
import sys
import time

pauses, began = [], [0.0]
process = os.getpid()


def note(phase, info, clock=time.perf_counter):
    if phase == "start":
        began[0] = clock()
    else:
        pauses.append(clock() - began[0])


def report(path):
    if os.getpid() != process:
        return  # a forked child of the program
    with open(path, "w") as file:
        json.dump({
            "count": len(pauses), "total": sum(pauses), "longest": max(pauses, default=0.0),
            "median": statistics.median(pauses) if pauses else 0.0,
        }, file)  # fmt: skip


if __name__ == "__main__":
    path, leave = sys.argv[1], os._exit

    def leave_with_report(status):  # mypy ends like this
        report(path)
        leave(status)

    os._exit = leave_with_report
    atexit.register(report, path)
    module = sys.argv[2]
    sys.argv[:] = sys.argv[2:]
    sys.path[0] = os.getcwd()
    gc.callbacks.append(note)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
