"""tests/test_trust.py - whose tp_traverse helpers call.

foreign/foreign.c is compiled into a directory of its own. Its type counts calls of its tp_traverse on other threads than
the importing one: there must be none, but with set_parallel("all"). What is found is the same in every mode. Whether a library is trusted is asked once, not for each of
its objects. (It was, if the answer was no: mypy, whose compiled classes have a tp_traverse each, took seven times as long.)
"""
import os
import subprocess
import sysconfig
import tempfile
import unittest

import support

PROGRAM = """
import foreign, gc, hearth
class Sub(foreign.Box): pass
def make():
    kept = []
    for i in range(1000):
        for kind in (foreign.Box, Sub):
            box = kind([i])
            kept.append([box, kind([[]])])
            gone = []
            gone.append(kind(gone))
    kept.append(foreign.Box([[i] for i in range(5000)]))
    return kept
gc.disable()
chain = None
for i in range(50000):
    chain = foreign.Box(chain)
hearth.workers(3)
hearth.parallel_min(1)
for mode in "python", "all", "python", "off":
    hearth.set_parallel(mode)
    gc.collect()
    kept = make()
    foreign.counts()
    before = hearth.stats()["parallel"]
    found = gc.collect()
    after = hearth.stats()["parallel"]
    calls, elsewhere = foreign.counts()
    for attempt in range(200 if mode == "all" and not elsewhere else 0):
        gc.collect()  # helpers join late or not at all: sooner or later one does
        elsewhere += foreign.counts()[1]
        if elsewhere:
            break
    alive = sum(len(pair[1].__class__.__name__) > 2 for pair in kept[:-1])
    print(mode, found, alive, calls > 50000, elsewhere > 0, after["left_to_holder"] > before["left_to_holder"],
          after["phases"] - before["phases"] < 100)
print(hearth.stats()["parallel"]["looked_up"], "library looked up")
"""

# mode, dead, alive, all boxes were visited, some of them elsewhere, some left to the holder, few steps
EXPECTED = """python 4000 2000 True False True True
all 4000 2000 True True False True
python 4000 2000 True False True True
off 4000 2000 True False False True
1 library looked up
"""


class TrustTest(unittest.TestCase):
    def test_foreign(self):
        with tempfile.TemporaryDirectory() as directory:
            source = os.path.join(support.HERE, "foreign", "foreign.c")
            subprocess.run(
                ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Wno-missing-field-initializers",
                 "-Wno-cast-function-type", "-Werror", "-isystem", sysconfig.get_path("include"), source,
                 "-o", os.path.join(directory, "foreign.so")],
                check=True,
            )
            found = support.code("parallel", PROGRAM, PYTHONPATH=directory)
        self.assertEqual((found.status, found.err), (0, ""), repr(found))
        self.assertEqual(found.out, EXPECTED)


if __name__ == "__main__":
    unittest.main()
