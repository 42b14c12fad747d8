"""tests/test_docs.py - docs/python.md is about this package: its program runs, its names exist, none is left out."""
import os
import re
import unittest

import hearth
import support

ROOT = os.path.dirname(os.path.dirname(support.HERE))
PAGE = os.path.join(ROOT, "docs", "python.md")


@unittest.skipUnless(os.path.exists(PAGE), "the page is not here")
class PageTest(unittest.TestCase):
    def setUp(self):
        with open(PAGE) as file:
            self.text = file.read()

    def test_program_runs(self):
        programs = re.findall(r"^```python\n(.*?)^```$", self.text, re.M | re.S)
        self.assertEqual(len(programs), 1)
        result = support.code("builtin", programs[0])
        self.assertEqual(result.status, 0, result)
        self.assertIn("longest", result.out)

    def test_names_exist(self):
        for name in set(re.findall(r"\bhearth\.([a-z_]+)\b", self.text)) - {"pth"}:
            self.assertTrue(hasattr(hearth, name), f"docs/python.md: hearth.{name}")

    def test_nothing_is_left_out(self):
        for name in hearth.__all__:
            if name != "get_parallel":  # beside its setter
                self.assertIn(name, self.text, f"hearth.{name} is not in docs/python.md")

    def test_variables(self):
        with open(hearth.__file__) as file:
            source = file.read()
        known = set(re.findall(r"HEARTH_PYTHON_[A-Z_]+", source))
        named = set(re.findall(r"HEARTH_PYTHON_[A-Z_]+", self.text))
        self.assertEqual(known, named)

    def test_files_exist(self):
        for name in re.findall(r"`((?:python|bench|tests)/[\w/.]+)`", self.text):
            self.assertTrue(os.path.exists(os.path.join(ROOT, name)), name)


if __name__ == "__main__":
    unittest.main()
