"""test_draw.py - draw.py: what is drawn of a small timeline, and what it says of what is none.

    python3 -m unittest discover -s bench/timeline      (make bench-check)

That it takes what the library writes is tested by the suite `timeline`. Invariant: needs no built program.
"""
import contextlib
import io
import json
import math
import os
import random
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import draw  # noqa: E402

MS = 1000


def named(what, pid, name, tid=None):
    event = {"ph": "M", "name": what, "pid": pid, "args": {"name": name}}
    return event if tid is None else dict(event, tid=tid)


def part(name, pid, tid, begin, end, **args):
    return {"ph": "X", "name": name, "pid": pid, "tid": tid, "ts": 5e6 + begin * MS, "dur": (end - begin) * MS,
            "args": args}


def batch(identity, references, source, posted, target, taken):
    return [{"ph": kind, "name": "batch", "cat": "batch", "id": identity, "pid": at[0], "tid": at[1],
             "ts": 5e6 + time * MS, "args": {"references": references}}
            for kind, at, time in (("s", source, posted), ("f", target, taken))]


def small():
    """Two nodes, two collections, one of 10 ms with two batches, one of 2 ms."""
    return [
        named("process_name", 1, "node 0 (system's 0)"), named("process_name", 2, "node 1 (system's <4>)"),
        named("thread_name", 1, "thread 77", 1), named("thread_name", 1, "GC worker 0", 100000),
        named("thread_name", 2, "GC worker 1", 101001),
        part("stopping", 1, 1, 99, 100), part("collects", 1, 1, 99, 111),
        part("roots", 1, 100000, 100, 101), part("trace", 1, 100000, 101, 109),
        part("full collection", 1, 100000, 100, 110, number=2, reason="budget"),
        part("trace", 2, 101001, 102, 109),
        *batch(1, 64, (1, 100000), 102, (2, 101001), 103), *batch(2, 8, (2, 101001), 104, (1, 100000), 105),
        {"ph": "i", "name": "spilled", "pid": 1, "tid": 1, "ts": 5e6 + 20 * MS, "s": "t", "args": {}},
        {"ph": "C", "name": "live bytes", "pid": 1000, "ts": 5e6, "args": {"bytes": 1}},
        part("minor collection", 1, 100000, 50, 52, number=1, reason="nursery")]


class Drawing(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "trace.json")

    def draw(self, trace, *options):
        """Exit status, picture, message."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(trace if isinstance(trace, str) else json.dumps(trace))
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            status = draw.main([*options, self.path])
        return status, out.getvalue(), error.getvalue()

    def picture(self, trace, *options):
        status, svg, error = self.draw(trace, *options)
        self.assertEqual((status, error), (0, ""))
        ElementTree.fromstring(svg)
        return svg

    def test_the_longest_collection(self):
        svg = self.picture(small())
        self.assertIn("full collection 2 (budget): 10.000 ms, at 0.100 s", svg)
        self.assertEqual(svg.count('class="slice"'), 6)
        self.assertEqual(svg.count('class="batch"'), 2)
        self.assertIn("2 batches with 72 references", svg)
        self.assertIn(">trace: 2, 15.0 ms<", svg)
        self.assertNotIn("minor", svg)
        self.assertNotIn("red marks", svg)

    def test_a_chosen_collection(self):
        svg = self.picture(small(), "--collection", "1")
        self.assertIn("minor collection 1 (nursery): 2.000 ms", svg)
        self.assertEqual(svg.count('class="slice"'), 1)
        self.assertIn("not drawn: 2", svg)

    def test_a_chosen_time(self):
        svg = self.picture(small(), "--from", "0", "--to", "60")
        self.assertEqual(svg.count('class="slice"'), 1)
        self.assertEqual(svg.count('class="spill"'), 1)
        self.assertIn("red marks: 1 times", svg)
        svg = self.picture(small(), "--from", "105", "--to", "108")
        self.assertIn(">trace: 2, 6.000 ms<", svg)  # only what lies in it
        self.assertEqual(svg.count('class="batch"'), 0)
        self.assertIn("0 batches", svg)

    def test_places(self):
        """A slice begins and ends where the axis says so, and one within another lies below it."""
        svg = self.picture(small(), "--from", "100", "--to", "110")
        found = [tuple(map(float, numbers)) for numbers in
                 re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" [^>]* class="slice"', svg)]
        ticks = [float(x) for x in re.findall(r'<text x="([\d.]+)"[^>]*>\d+ ms<', svg)]
        self.assertEqual(len(ticks), 11)
        roots, full = [next(f for f in found if abs(f[2] - length * (ticks[1] - ticks[0])) < 0.2 and test(f))
                       for length, test in ((1, lambda f: f[0] < ticks[1]), (10, lambda f: f[1] > draw.TOP))]
        self.assertAlmostEqual(roots[0], ticks[0], delta=0.1)
        self.assertAlmostEqual(full[0] + full[2], ticks[10], delta=0.2)
        self.assertEqual(roots[1] - full[1], draw.LEVEL)

    def test_most_arrows(self):
        svg = self.picture(small(), "--arrows", "1")
        self.assertEqual(svg.count('class="batch"'), 1)
        self.assertIn("2 batches with 72 references; 1 are drawn", svg)
        self.assertRegex(svg, 'class="batch"[^>]*stroke="%s"' % draw.NODE_COLOURS[0])  # the one of 64, of node 0

    def test_a_file_without_its_end(self):
        lines = ["["] + [json.dumps(event) + "," for event in small()]
        whole = self.picture("\n".join(lines) + "\n")
        self.assertEqual(whole, self.picture(small()))
        self.assertEqual(whole, self.picture("\n".join(lines) + '\n{"ph":"X","na'))

    def test_no_timelines(self):
        slices = [e for e in small() if e["ph"] == "X"]
        for trace, message in (
                ("", "is no timeline"), ("hello", "is no timeline"), ("[", "is no timeline"), ("[3]", "is no timeline"),
                ("{}", "no events with a time"), ([], "no events with a time"),
                ([{"ph": "X", "ts": 1}], "KeyError: 'name'"),
                ([dict(slices[0], dur=-1)], "ends before it begins"),
                ([dict(slices[0], ts=math.inf)], "not finite"), ([dict(slices[0], ts="x")], "is no timeline"),
                ([slices[0]], "no collection")):
            status, svg, error = self.draw(trace)
            self.assertEqual((status, svg), (1, ""), trace)
            self.assertIn(message, error)

    def test_wrong_arguments(self):
        for options, message in ((("--collection", "3"), "no collection 3"),
                                 (("--from", "5", "--to", "5"), "nothing between 5 and 5 ms"),
                                 (("--to", "nan"), "nothing between 0 and nan ms"),
                                 (("--output", "/nowhere/x.svg"), "/nowhere/x.svg: No such file")):
            status, svg, error = self.draw(small(), *options)
            self.assertEqual((status, svg), (1, ""))
            self.assertIn(message, error)
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as end:
            draw.main(["--nonsense", self.path])
        self.assertEqual(end.exception.code, 2)
        with contextlib.redirect_stderr(io.StringIO()) as error:
            self.assertEqual(draw.main(["/nowhere/trace.json"]), 1)
        self.assertIn("/nowhere/trace.json: No such file", error.getvalue())

    def test_damaged_files(self):
        """A file with some characters changed is drawn or refused, and nothing else."""
        dice, whole = random.Random(1), json.dumps(small())
        for _ in range(300):
            text = list(whole)
            for _ in range(dice.randint(1, 4)):
                text[dice.randrange(len(text))] = dice.choice(' 0123456789-.e"{}[]:,spidX')
            status, svg, error = self.draw("".join(text))
            self.assertEqual(status == 0, svg != "")
            self.assertEqual(status == 1, error.startswith("draw.py: "))

    def test_ticks(self):
        self.assertEqual(draw.ticks(10), ([float(i) for i in range(11)], 0))
        self.assertEqual(draw.ticks(103)[0][-1], 100)
        steps, decimals = draw.ticks(0.05)
        self.assertEqual((len(steps), decimals), (11, 3))


if __name__ == "__main__":
    unittest.main()
