"""test_runner.py - the runner's arithmetic: noise, medians, ratios, bars, tables, counts of instructions.

    python3 -m unittest discover -s bench/runner      (make bench-check)

Invariant: needs no built program and no quiet machine.
"""
import contextlib
import io
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bars  # noqa: E402
import cases as matrix  # noqa: E402
import instructions  # noqa: E402
import measure  # noqa: E402
import results  # noqa: E402
import tables  # noqa: E402


def case(system="hearth", workload="gcbench", group="core", **others):
    known = {"group": group, "workload": workload, "variant": "", "system": system, "threads": 1,
             "heap_x": 2, "size": 1, "scale": 1, "env": {}}
    known.update(others)
    return matrix.Case(**known)


def result(ns, checksum="1", **others):
    known = {key: 0 for key in results.KEYS}
    known.update({"work_cpu_s": ns, "ops": 1000000000, "work_wall_s": ns, "checksum": checksum,
                  "live_mb": 10, "heap_mb": 20, "allocations": 1000000000, "cpu_s": ns,
                  "peak_rss_mb": 20})
    known.update(others)
    return known


def results_of(runs, limit=3):
    """Results from (case, others, result), by way of a file as the runner writes it."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as raw:
        for number, (which, others, found) in enumerate(runs, 1):
            raw.write(json.dumps({"case": which._asdict(), "round": number, "others": others, "at": 0, "hearth": "abc",
                                  "result": found}) + "\n")
        raw.flush()
        return results.Results(raw.name, limit)


class Noise(unittest.TestCase):
    def test_busy_runs_are_left_out(self):
        found = results_of([(case(), 0, result(1)), (case(), 1, result(2)), (case(), 2, result(3)),
                            (case(), 50, result(90)), (case(), 60, result(91))])
        figures = found.get("core", "gcbench", "hearth")
        self.assertFalse(figures.noisy)
        self.assertEqual(figures.median("ns"), 2)
        self.assertEqual(figures.least("ns"), 1)
        self.assertEqual(found.busiest(), (5, 2, 60))

    def test_too_few_quiet_runs_are_marked(self):
        found = results_of([(case(), 0, result(1)), (case(), 50, result(5)), (case(), 50, result(9))])
        figures = found.get("core", "gcbench", "hearth")
        self.assertTrue(figures.noisy)
        self.assertEqual(figures.median("ns"), 5)
        self.assertIn("\\*", "\n".join(tables.wide_table(found, "core")))

    def test_others_are_seen(self):
        before = measure.busy_seconds(), measure.children_seconds()
        sum(range(3000000))
        self.assertGreaterEqual(measure.busy_seconds(), before[0])
        self.assertEqual(measure.children_seconds(), before[1])


class Runs(unittest.TestCase):
    def program(self, directory, name, script):
        path = os.path.join(directory, name)
        with open(path, "w") as out:
            out.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)

    def test_rounds_and_failures(self):
        with tempfile.TemporaryDirectory() as directory:
            raw = os.path.join(directory, "raw.jsonl")
            self.program(directory, "gcbench-hearth", "echo '%s'; test \"$HEARTH_OPTIONS\" = a=1\n"
                         % json.dumps(result(1)))
            self.program(directory, "gcbench-bdwgc", "echo out of luck >&2; exit 1\n")
            cases = [case(env={"HEARTH_OPTIONS": "a=1"}), case("bdwgc")]
            for _ in range(2):
                measure.run_all(cases, directory, raw, 2, 100, 0)
            found = results.Results(raw, 100)
        self.assertEqual((found.rounds, len(found.commits)), (4, 1))
        ours, theirs = found.figures.values()
        self.assertEqual((len(ours.runs), ours.failures), (4, []))
        self.assertEqual((theirs.runs, theirs.failures), ([], ["out of luck"] * 4))
        self.assertFalse(theirs.complete)

    def test_slow_memory_is_seen(self):
        with tempfile.TemporaryDirectory() as directory:
            raw, load = os.path.join(directory, "raw.jsonl"), os.path.join(directory, "load")
            self.program(directory, "probe", "cat %s\n" % load)
            for number, (before, after) in enumerate(((100, 110), (100, 200), (200, 200))):
                with open(load, "w") as out:
                    out.write("%d 0\n" % before)
                self.program(directory, "gcbench-hearth", "echo '%s'; echo %d 0 >%s\n"
                             % (json.dumps(result(1)), after, load))
                measure.run_all([case()], directory, raw, 1, 3, 0)
            with open(raw) as lines:
                others = [json.loads(line)["others"] for line in lines]
        self.assertLess(others[0], 3)
        self.assertEqual(others[1:], [38, 38])  # half the speed; also when it was slow from the start


class Verdicts(unittest.TestCase):
    def bar(self, runs, what, work="gcbench"):
        return [b for b in bars.judge(results_of(runs)) if b.what == what and b.work == work]

    def test_ratio_reached_and_missed(self):
        for ours, passed in ((0.45, True), (0.46, False)):
            runs = [(case(), 0, result(ours)), (case("bdwgc"), 0, result(1))]
            found = self.bar(runs, "CPU, of bdwgc")
            self.assertEqual([b.passed for b in found], [passed])
            self.assertAlmostEqual(found[0].measured, ours)

    def test_best_of_several_that_finished(self):
        runs = [(case(), 0, result(8)), (case("java-serial"), 0, result(10)),
                (case("java-g1"), 0, result(20)), (case("java-parallel"), 0, {"failed": "no memory"})]
        found = self.bar(runs, "CPU, of the best of Serial, Parallel and G1")
        self.assertEqual((found[0].measured, found[0].passed, found[0].note), (0.8, True, "java-serial"))

    def test_a_failure_of_hearth_is_a_miss(self):
        runs = [(case(), 0, {"failed": "no memory"}), (case("bdwgc"), 0, result(1))]
        found = self.bar(runs, "CPU, of bdwgc")
        self.assertEqual([(b.measured, b.passed) for b in found], [(None, False)])
        self.assertIn("failed: no memory", "\n".join(tables.wide_table(results_of(runs), "core")))

    def test_what_was_not_measured_has_no_bar(self):
        self.assertEqual(self.bar([(case("bdwgc"), 0, result(1))], "CPU, of bdwgc"), [])
        self.assertEqual(self.bar([(case(), 0, result(1))], "CPU, of bdwgc"), [])

    def test_workers(self):
        one, two = ({"HEARTH_OPTIONS": "workers=%d" % n} for n in (1, 2))
        runs = [(case(workload="mark", group="mark", variant="tree", env=env), 0,
                 result(10, work_wall_s=wall)) for env, wall in ((one, 10), (two, 5))]
        found = self.bar(runs, "wall, 2 workers of 1", "mark tree")
        self.assertEqual([(b.measured, b.passed) for b in found], [(0.5, True)])


class Work(unittest.TestCase):
    def test_different_work_is_told(self):
        same = [(case(), 0, result(1)), (case("bdwgc"), 0, result(2))]
        self.assertEqual(results_of(same).different_work(), [])
        wrong = same + [(case("go"), 0, result(2, checksum="2"))]
        self.assertEqual(len(results_of(wrong).different_work()), 1)

    def test_names_are_unique(self):
        for large in (False, True):
            names = [matrix.name(c) for c in matrix.all_cases(matrix.GROUPS, [], 4, large)]
            self.assertEqual(len(names), len(set(names)))
        names = [matrix.name(c) for c in matrix.quick_cases([])]
        self.assertEqual(len(names), len(set(names)))


class Documents(unittest.TestCase):
    def test_fill(self):
        with tempfile.NamedTemporaryFile("w", suffix=".md") as page:
            page.write("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n")
            page.flush()
            tables.fill(page.name, "x", ["new"])
            with open(page.name) as text:
                self.assertEqual(text.read(), "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n")
            with self.assertRaises(SystemExit):
                tables.fill(page.name, "y", [])

    def test_numbers(self):
        self.assertEqual([tables.number(x) for x in (0, 0.123, 9.876, 12.34, 123.4, None)],
                         ["0", "0.12", "9.88", "12.3", "123", ""])


class Instructions(unittest.TestCase):
    def verdict(self, number):
        read, instructions.read = instructions.read, lambda: {"gcbench --scale 1": 1000}
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            wrong = instructions.compare({"gcbench --scale 1": number})
        instructions.read = read
        return wrong, text.getvalue()

    def test_tolerance(self):
        self.assertEqual(self.verdict(1029)[0], 0)
        self.assertEqual(self.verdict(1031)[0], 1)
        self.assertEqual(self.verdict(900)[0], 0)
        self.assertIn("fewer", self.verdict(900)[1])
        self.assertEqual(self.verdict("failed: no output")[0], 1)


if __name__ == "__main__":
    unittest.main()
