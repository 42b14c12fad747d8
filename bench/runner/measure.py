"""measure.py - runs cases in interleaved rounds on a machine that others may use.

A run during which other processes used more than a few percent of the machine (from /proc/stat, less what
the run itself used) is repeated, and so is one before or after which a load from memory took a sixth longer than it
can (probe.c: other virtual machines on the same processor are in no statistics). If it stays busy it is kept,
but marked, and the reports leave it out where enough quiet ones are left. Every second round goes backwards, so
that a drift of the machine meets all alike. Each run becomes one line of the raw file at once, so that a run can be
stopped and gone on with.

Invariant: a line of the raw file is one run, complete: case, round, percent that others used, result.
"""
import json
import os
import resource
import signal
import subprocess
import sys
import time

import cases as matrix

HERTZ = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count() or 1
VARIES = 12  # percent that the speed of memory varies by on a quiet machine
TIME_LIMIT = 150  # seconds of a run; the longest take a fifth of that


def busy_seconds():
    """All processors' time that was used or stolen since the machine started."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / HERTZ


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def command(case, programs):
    line = [os.path.join(programs, "%s-%s" % (case.workload, case.system)), "--json", "--threads",
            str(case.threads), "--heap-x", "%g" % case.heap_x, "--scale", "%.6g" % case.scale]
    if case.size != 1:
        line += ["--size", "%.6g" % case.size]
    if case.variant:
        line += ["--variant", case.variant]
    return line


def environment(case):
    result = dict(os.environ)
    for key, value in case.env.items():
        if key == "HEARTH_OPTIONS" and result.get(key):
            value = result[key] + "," + value
        result[key] = value
    return result


def run_once(case, programs):
    """(result, percent of the machine that others used). A failed run gives {"failed": reason}."""
    begin, busy, ours = time.time(), busy_seconds(), children_seconds()
    child = subprocess.Popen(command(case, programs), env=environment(case), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, error = child.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, error = child.communicate()
        error = "no end after %d seconds" % TIME_LIMIT
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    wall = time.time() - begin
    if child.returncode != 0:
        lines = error.strip().splitlines() or ["status %d" % child.returncode]
        return {"failed": lines[-1][:200]}, 0.0
    result = json.loads(out.splitlines()[0])
    others = busy_seconds() - busy - (children_seconds() - ours) - 0.02
    return result, max(0.0, 100 * others / (wall * CPUS))


class Probe:
    """Time of a load from memory, and the least of all; 0 without the program."""

    def __init__(self, programs, least=0):
        self.path = os.path.join(programs, "probe")
        self.least = least
        for _ in range(10):
            self.last = self.ask()

    def ask(self):
        if not os.path.exists(self.path):
            return 0
        done = subprocess.run([self.path], text=True, stdout=subprocess.PIPE, check=True)
        found = float(done.stdout.split()[0])
        self.least = min(self.least or found, found)
        return found

    def around(self):
        """The longer of the times before and after what was run since the last call."""
        before, self.last = self.last, self.ask()
        return max(before, self.last)

    def lost(self, load_ns):
        """Percent of the speed that others took, beyond what varies anyway."""
        return max(0.0, 100 * (1 - self.least / load_ns) - VARIES) if load_ns else 0.0


def measure(case, programs, limit, retries, probe):
    """The quietest of up to 1 + retries runs: (result, percent that others used)."""
    best = None
    for _ in range(1 + retries):
        result, others = run_once(case, programs)
        others = max(others, probe.lost(probe.around()))
        if best is None or others < best[1]:
            best = (result, others)
        if others <= limit:
            break
    return best


def say(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def rounds_of(case, rounds):
    return max(1, rounds - matrix.FEWER.get(case.group, 0))


def commit():
    """Of the source that hearth is built from, as far as git knows."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=10"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() or "unknown"


def last_round(raw):
    if not os.path.exists(raw):
        return 0
    with open(raw) as lines:
        return max((json.loads(line)["round"] for line in lines), default=0)


def least_load(raw):
    """The least time of a load in earlier runs, 0 without any."""
    if not os.path.exists(raw):
        return 0
    with open(raw) as lines:
        return min(filter(None, (json.loads(line).get("least_load_ns", 0) for line in lines)), default=0)


def run_all(cases, programs, raw, rounds, limit, retries, deadline=None):
    """Appends a line to the file `raw` for every run. Ends early, between two runs, at the deadline."""
    done, hearth = last_round(raw), commit()
    probe = Probe(programs, least_load(raw))
    with open(raw, "a") as out:
        for number in range(done + 1, done + rounds + 1):
            order = [case for case in cases if number - done <= rounds_of(case, rounds)]
            if number % 2 == 0:
                order.reverse()
            for at, case in enumerate(order, 1):
                if deadline is not None and time.time() > deadline:
                    say("")
                    print("stopped in round %d of %d, at case %d of %d: TIME is over"
                          % (number - done, rounds, at, len(order)))
                    return
                say("round %d of %d, %d of %d: %s" % (number - done, rounds, at, len(order),
                                                      matrix.name(case)))
                result, others = measure(case, programs, limit, retries, probe)
                out.write(json.dumps({"case": case._asdict(), "round": number,
                                      "others": round(others, 1), "at": int(time.time()),
                                      "hearth": hearth, "least_load_ns": probe.least,
                                      "result": result}) + "\n")
                out.flush()
    say("")
