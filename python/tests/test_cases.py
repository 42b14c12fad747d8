"""tests/test_cases.py - each program of cases/ prints the same under the built-in collector and under hearth's.

A case prints facts: results, exceptions, which objects died, what ran. Its output and its errors are compared,
addresses and times masked. A case that prints nothing, or fails under the built-in collector, is an error of the case.
"""
import functools
import glob
import os
import unittest

import support

CASES = sorted(
    os.path.basename(path)[:-3] for path in glob.glob(os.path.join(support.HERE, "cases", "*.py"))
)
CASES.remove("checked")
# Standard error of these is about failed allocations, at places that differ.
ERRORS_DIFFER = {"scarce"}


@functools.lru_cache(None)
def reference(name):
    return support.run("builtin", path(name))


def path(name):
    return os.path.join(support.HERE, "cases", name + ".py")


class CaseTest(unittest.TestCase):
    def compare(self, name, mode):
        expected = reference(name)
        if expected.status != 0 or not expected.out:
            self.fail(f"the case itself fails, or prints nothing: {expected}")
        found = support.run(mode, path(name))
        if found.status != 0:
            self.fail(repr(found))
        difference = support.difference(support.masked(expected.out), support.masked(found.out))
        if difference:
            self.fail(f"output\n{difference}")
        if name not in ERRORS_DIFFER:
            difference = support.difference(support.masked(expected.err), support.masked(found.err))
            if difference:
                self.fail(f"errors\n{difference}")


def define(name, mode):
    def test(self):
        self.compare(name, mode)

    setattr(CaseTest, f"test_{name}_{mode}", test)


for case in CASES:
    for mode in ("hearth", "parallel"):
        define(case, mode)

if __name__ == "__main__":
    unittest.main()
