"""tests/test_api.py - hearth.gc beside gc, in one process: the same names, signatures and kinds; texts of its own.

What the functions do with their arguments is in cases/api_errors.py, run in two processes.
"""
import gc as builtin
import inspect
import re
import sys
import unittest

import hearth
import hearth.gc as ours

FUNCTIONS = [name for name in dir(builtin) if inspect.isbuiltin(getattr(builtin, name))]


def sentences(text):
    """The sentences of a text, without white space and case."""
    text = re.sub(r"\s+", " ", text).lower()
    return {part.strip(" .:;") for part in re.split(r"[.;\n]|:param", text) if len(part.strip()) > 24}


class ApiTest(unittest.TestCase):
    def test_python_has_a_known_api(self):
        self.assertEqual(len(FUNCTIONS), 18)

    def test_names(self):
        public = {name for name in dir(builtin) if not name.startswith("_")}
        self.assertEqual(public, {name for name in dir(ours) if not name.startswith("_")})

    def test_not_the_same_functions(self):
        for name in FUNCTIONS:
            self.assertIsNot(getattr(ours, name), getattr(builtin, name), name)

    def test_signatures(self):
        for name in FUNCTIONS:
            with self.subTest(name):
                theirs, mine = getattr(builtin, name), getattr(ours, name)
                self.assertEqual(theirs.__text_signature__, mine.__text_signature__)
                self.assertEqual(type(theirs), type(mine))
                self.assertEqual(theirs.__name__, mine.__name__)

    def test_constants(self):
        for name in dir(builtin):
            if name.startswith("DEBUG_"):
                self.assertEqual(getattr(builtin, name), getattr(ours, name), name)

    def test_lists_are_shared(self):
        self.assertIs(ours.garbage, builtin.garbage)
        self.assertIs(ours.callbacks, builtin.callbacks)

    def test_docstrings_are_there_and_our_own(self):
        for name in FUNCTIONS:
            with self.subTest(name):
                theirs, mine = getattr(builtin, name).__doc__, getattr(ours, name).__doc__
                self.assertTrue(mine and len(mine.split()) >= 3, mine)
                self.assertNotEqual(theirs, mine)
                self.assertFalse(sentences(theirs) & sentences(mine), mine)
        self.assertTrue(ours.__doc__)
        self.assertFalse(sentences(builtin.__doc__) & sentences(ours.__doc__))

    def test_package_is_documented(self):
        self.assertTrue(hearth.__doc__)
        for name in ("install", "uninstall", "installed", "stats"):
            self.assertTrue(getattr(hearth, name).__doc__, name)

    def test_importing_takes_nothing_over(self):
        self.assertFalse(hearth.installed())
        self.assertIs(sys.modules["gc"], builtin)

    def test_usable_without_taking_over(self):
        """hearth.gc collects when it is told to, also while the built-in collector does the automatic work."""
        knot = []
        knot.append(knot)
        ours.collect()
        del knot
        self.assertEqual(ours.collect(), 1)
        self.assertEqual(ours.collect(generation=0), 0)
        with self.assertRaisesRegex(ValueError, "invalid generation"):
            ours.collect(3)


if __name__ == "__main__":
    unittest.main()
