"""bench/programs.py - real programs from Debian packages under the built-in collector and under hearth's.

Each program runs in a directory of its own, in turn under one and the other. Compared are its exit status, what it prints and
the files it writes; measured are wall-clock and CPU time of it and its children, and in runs of their own the pauses.
"""
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = "/usr/lib/python3.11"
MYPYC_DOCS = "/usr/lib/python3/dist-packages/mypyc/doc"


def copy(package, name):
    """A package of the standard library under another name, so that mypy does not take it for the library's."""

    def prepare(directory):
        shutil.copytree(
            f"{LIBRARY}/{package}", os.path.join(directory, name), ignore=shutil.ignore_patterns("__pycache__")
        )

    return prepare


def apidoc(package):
    def prepare(directory):
        subprocess.run(
            [sys.executable, "-m", "sphinx.ext.apidoc", "-q", "-F", "-o", os.path.join(directory, "source"), f"{LIBRARY}/{package}"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        index = os.path.join(directory, "source", "index.rst")
        with open(index) as file:
            lines = [line for line in file if "sphinx-quickstart on" not in line]  # the time
        with open(index, "w") as file:
            file.writelines(lines)

    return prepare


# name: (prepare, module and arguments, in which sizes)
PROGRAMS = {
    "Sphinx, mypyc's documentation": (
        None, ["sphinx", "-q", "-b", "html", "-D", "html_theme=alabaster", "-d", "trees", MYPYC_DOCS, "html"], "quick full",
    ),
    "Sphinx, asyncio by autodoc": (
        apidoc("asyncio"), ["sphinx", "-q", "-b", "html", "-D", "html_theme=alabaster", "-d", "trees", "source", "html"], "full",
    ),
    "black, asyncio": (None, ["black", "-q", "--diff", "-W", "1", f"{LIBRARY}/asyncio"], "full"),
    "mypy, a copy of asyncio": (copy("asyncio", "aio"), ["mypy", "--cache-dir=/dev/null", "-p", "aio"], "full"),
    "pyflakes, the standard library": (
        None, ["pyflakes", *(f"{LIBRARY}/{name}" for name in ("asyncio", "email", "unittest", "xml", "http", "typing.py"))], "quick full",
    ),
    "lib2to3, asyncio": (None, ["lib2to3", "-f", "all", f"{LIBRARY}/asyncio"], "quick full"),
}  # fmt: skip


ADDRESS = re.compile(rb"0x[0-9a-f]{8,}")
TIME = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")  # black's, in the heads of its diffs


def digest(directory):
    """Of all files below a directory, without addresses; but for Sphinx's pickles, which have times in them."""
    total = hashlib.sha256()
    for where, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if name not in ("trees", "__pycache__"))
        for name in sorted(files):
            path = os.path.join(where, name)
            total.update(os.path.relpath(path, directory).encode() + b"\0")
            with open(path, "rb") as file:
                total.update(hashlib.sha256(ADDRESS.sub(b"0x", file.read())).digest())
    return total.hexdigest()


def environment(taken):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "HEARTH_OPTIONS") if name in os.environ}
    kept.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", SOURCE_DATE_EPOCH="1700000000")
    if taken:
        kept["HEARTH_PYTHON"] = "1"
    return kept


def run(prepare, command, taken, pauses=False):
    """Runs a program once. Returns what is compared, and what was measured."""
    top = tempfile.mkdtemp(prefix="hearth-program-")
    # The same path each time, for it may be printed; another one for another benchmark that runs now.
    directory = os.path.join(tempfile.gettempdir(), f"hearth-program-{os.getpid():07}")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    try:
        if prepare is not None:
            prepare(directory)
        note = os.path.join(top, "pauses")
        start = [os.path.join(HERE, "program_child.py"), note] if pauses else ["-m"]
        with open(os.path.join(top, "out"), "wb") as out, open(os.path.join(top, "err"), "wb") as err:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *start, *command], cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=environment(taken),
            )  # fmt: skip
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            process.returncode = status
        measured = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss}
        if pauses and os.path.exists(note):
            with open(note) as file:
                measured["pauses"] = json.load(file)
        same = [os.waitstatus_to_exitcode(status), digest(directory)]
        for name in ("out", "err"):
            with open(os.path.join(top, name), "rb") as file:
                same.append(TIME.sub(b"(time)", file.read()))
        return same, measured
    finally:
        shutil.rmtree(top)
        shutil.rmtree(directory, ignore_errors=True)


def measure(name, rounds, report):
    """Runs a program in turn under both, and once each for the pauses. None: it cannot run here."""
    prepare, command, _ = PROGRAMS[name]
    samples, outputs = {False: [], True: []}, {False: [], True: []}
    for turn in range(rounds):
        for taken in (False, True) if turn % 2 == 0 else (True, False):
            same, measured = run(prepare, command, taken)
            samples[taken].append(measured)
            outputs[taken].append(same)
        if b"No module named" in same[3]:
            report(f"{name}: {same[3].decode().strip().splitlines()[-1]}")
            return None
    pauses = {taken: run(prepare, command, taken, pauses=True)[1].get("pauses") for taken in (False, True)}
    expected = outputs[False][0]
    alike = all(same == expected for same in outputs[False] + outputs[True])
    if not alike:
        explain(name, outputs, report)

    def median(taken, what):
        return statistics.median(sample[what] for sample in samples[taken])

    return {
        "kind": "program", "name": name, "same_output": alike, "status": expected[0], "bytes_printed": len(expected[2]),
        "variants": {
            key: {
                "wall": median(taken, "wall"), "cpu": median(taken, "cpu"), "memory_kb": median(taken, "memory"),
                "least": min(sample["wall"] for sample in samples[taken]),
                "ratio": statistics.median(b["wall"] / a["wall"] for a, b in zip(samples[False], samples[taken])),
                "ratio_cpu": statistics.median(b["cpu"] / a["cpu"] for a, b in zip(samples[False], samples[taken])),
                "rounds": rounds, "pauses": pauses[taken],
            }
            for key, taken in (("builtin", False), ("many", True))
        },
    }  # fmt: skip


def explain(name, outputs, report):
    """What differs, and whether the built-in's own runs differ among each other."""
    own = any(same != outputs[False][0] for same in outputs[False])
    report(f"{name}: the output differs{' also between runs of the built-in' if own else ''}")
    for taken in (False, True):
        for same in outputs[taken]:
            report(f"   {'hearth' if taken else 'built-in'}: status {same[0]}, files {same[1][:12]}, "
                   f"{len(same[2])} bytes printed, {len(same[3])} bytes of errors: {same[3][-200:]!r}")  # fmt: skip
