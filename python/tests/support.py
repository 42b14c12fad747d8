"""tests/support.py - children under one collector or the other, and what of their output is compared.

Every comparison runs the same program in a fresh process: under the built-in collector, under hearth with one
worker, and under hearth with workers forced into every collection ("parallel"). The interpreter is the one that
runs this file: that of build/python-venv, where `hearth.pth` takes over if HEARTH_PYTHON is set, so that children of
children are taken over too.

Invariant: a child's environment is made here alone; nothing of the caller's HEARTH_* or PYTHON* reaches it.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = sys.executable
MODES = {
    "builtin": {"HEARTH_EXPECT": "builtin"},
    "hearth": {"HEARTH_EXPECT": "hearth", "HEARTH_PYTHON": "1", "HEARTH_PYTHON_WORKERS": "1"},
    "parallel": {
        "HEARTH_EXPECT": "hearth",
        "HEARTH_PYTHON": "1",
        "HEARTH_PYTHON_WORKERS": "3",
        "HEARTH_PYTHON_PARALLEL_MIN": "1",
    },
}
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "TERM", "HEARTH_OPTIONS")


class Result:
    """How a child ended: its output, its errors, its status (negative: the signal), whether it ran too long."""

    def __init__(self, out, err, status, late=False):
        self.out, self.err, self.status, self.late = out, err, status, late

    def __repr__(self):
        end = "ran too long" if self.late else f"status {self.status}"
        return f"{end}\n--- output\n{self.out[-3000:]}\n--- errors\n{self.err[-3000:]}"


def environment(mode, **more):
    """The whole environment of a child. Hashes are fixed, so that sets and dictionaries have one order."""
    made = {name: os.environ[name] for name in KEPT if name in os.environ}
    made.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", **MODES[mode])
    made.update({name: str(value) for name, value in more.items()})
    return made


def run(mode, *arguments, timeout=120, cwd=None, python=PYTHON, **more):
    """Runs the interpreter with arguments and waits. `more` are variables of its environment."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        late = False
        process = subprocess.Popen(
            [python, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=cwd,
            env=environment(mode, **more),
            start_new_session=True,
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(process.pid, 9)
            process.wait()
        out.seek(0)
        err.seek(0)
        return Result(out.read(), err.read(), process.returncode, late)


def code(mode, text, *arguments, **more):
    """Runs a program given as text."""
    return run(mode, "-c", text, *arguments, **more)


MASKS = [
    (re.compile(r"0x[0-9a-f]+"), "0x"),
    (re.compile(r"\d+\.\d+s elapsed"), "s elapsed"),
    (re.compile(r"(objects in each generation:|objects in permanent generation:)[ \d]+"), r"\1 n"),
]


def masked(text):
    """Without addresses, times, and the sizes of generations, which differ by what hearth's modules are made of."""
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return text


def alike(first, second):
    """Whether two lines are equal; numbers of lines that begin with "~" may differ by 3 and by 5 %."""
    if first == second or not (first.startswith("~") and second.startswith("~")):
        return first == second
    a, b = first.split(), second.split()
    return len(a) == len(b) and all(
        x == y or (x.isdigit() and y.isdigit() and abs(int(x) - int(y)) <= 3 + 0.05 * max(int(x), int(y)))
        for x, y in zip(a, b)
    )


def difference(expected, found, limit=12):
    """The first differing lines of two texts, "" if they are alike."""
    if expected == found:
        return ""
    first, second = expected.splitlines(), found.splitlines()
    lines = []
    for i in range(max(len(first), len(second))):
        a = first[i] if i < len(first) else "(no line)"
        b = second[i] if i < len(second) else "(no line)"
        if not alike(a, b):
            lines.append(f"line {i + 1}\n  built-in: {a}\n  hearth:   {b}")
            if len(lines) >= limit:
                break
    return "\n".join(lines)
