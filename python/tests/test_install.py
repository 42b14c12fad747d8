"""tests/test_install.py - taking over and giving back: what changes, and that all of it is as before afterwards."""
import os
import sys
import tempfile
import textwrap
import unittest

import support

SNAPSHOT = textwrap.dedent(
    """
    import gc, sys
    import gc as earlier
    from gc import collect as earlier_collect

    def snapshot():
        # Identities, not values: what was there must be there again.
        module = sys.modules["gc"]
        return (
            id(module),
            sorted((name, id(value)) for name, value in vars(module).items()),
            [id(entry) for entry in gc.callbacks], id(gc.callbacks), id(gc.garbage),
            gc.get_threshold(), gc.isenabled(), gc.get_debug(), gc.get_freeze_count(),
        )

    class Knot:
        def __init__(self): self.me = self
    """
)


class InstallTest(unittest.TestCase):
    def good(self, text, mode="builtin", **more):
        result = support.code(mode, SNAPSHOT + textwrap.dedent(text), **more)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.err, "", result)
        return result.out

    def test_exactly_undone(self):
        self.good(
            """
            import hearth
            gc.disable(); gc.set_threshold(123, 4, 5); gc.callbacks.append(print)
            gc.callbacks.clear()
            before = snapshot()
            for _ in range(5):
                hearth.install()
                assert hearth.installed()
                Knot(); assert gc.collect() >= 1
                hearth.uninstall()
                assert not hearth.installed()
                assert snapshot() == before
                Knot(); assert gc.collect() >= 1
            """
        )

    def test_state_set_meanwhile_stays(self):
        self.good(
            """
            import hearth
            hearth.install()
            import gc as now
            now.set_threshold(5, 6, 7); now.disable(); now.set_debug(now.DEBUG_SAVEALL)
            now.callbacks.append(len); now.garbage.append(1)
            hearth.uninstall()
            import gc as then
            assert then.get_threshold() == (5, 6, 7) and not then.isenabled()
            assert then.get_debug() == then.DEBUG_SAVEALL
            assert then.callbacks == [len] and then.garbage == [1]
            then.callbacks.clear(); then.set_debug(0); then.garbage.clear()
            """
        )

    def test_earlier_imports_see_it(self):
        self.good(
            """
            import hearth, hearth.gc
            old = {name: getattr(gc, name) for name in dir(gc)}
            hearth.install()
            assert sys.modules["gc"] is hearth.gc, sys.modules["gc"]
            import gc as later
            assert later is hearth.gc
            for name in old:
                if callable(old[name]) and not name.startswith("_"):
                    assert getattr(earlier, name) is getattr(later, name), name
            # A reference to the old function itself still collects.
            knot = Knot(); import weakref; seen = weakref.ref(knot); del knot
            earlier_collect()
            assert seen() is None
            hearth.uninstall()
            for name in old:
                assert getattr(earlier, name) is old[name], name
            """
        )

    def test_twice_is_once(self):
        self.good(
            """
            import hearth
            before = snapshot()
            hearth.install(); hearth.install()
            hearth.uninstall()
            assert snapshot() == before
            hearth.uninstall()
            assert snapshot() == before
            """
        )

    def test_automatic_collections_are_ours_only_meanwhile(self):
        self.good(
            """
            import hearth
            def work():
                for _ in range(20000): Knot()
            def count(): return sum(entry["collections"] for entry in gc.get_stats())
            def hearths(): return sum(entry["collections"] for entry in hearth.stats()["generations"])
            gc.set_threshold(100, 5, 5)
            work()
            first = hearths()
            hearth.install(); start = count(); work(); made = count() - start; hearth.uninstall()
            second = hearths()
            assert made > 100, made
            assert abs((second - first) - made) <= 3, (first, second, made)
            work()
            assert hearths() == second
            """
        )

    def test_from_inside_a_collection(self):
        """install and uninstall in callbacks and finalizers: either works or says so, and the heap stays whole."""
        self.good(
            """
            import hearth, weakref
            class Toggling(Knot):
                def __del__(self):
                    try:
                        (hearth.uninstall if hearth.installed() else hearth.install)()
                    except RuntimeError as error:
                        assert str(error)
            def note(phase, info):
                try:
                    (hearth.uninstall if hearth.installed() else hearth.install)()
                except RuntimeError as error:
                    assert str(error)
            gc.set_threshold(20, 2, 2)
            for callbacks in ([], [note]):
                gc.callbacks[:] = callbacks
                references = []
                for i in range(2000):
                    made = Toggling()
                    references.append(weakref.ref(made))
                del made
                gc.callbacks.clear()
                if hearth.installed(): hearth.uninstall()
                gc.collect(); gc.collect()
                if hearth.installed(): hearth.uninstall()
                gc.collect()
                assert not any(r() for r in references)
                if hearth.installed(): hearth.uninstall()
            """
        )

    def test_sub_interpreters(self):
        """Each interpreter is taken over by itself, has its own statistics, and ends with or without giving back."""
        self.good(
            """
            import hearth, _xxsubinterpreters as interpreters
            TEXT = '''if True:
                import hearth, gc, weakref
                class Knot:
                    def __init__(self): self.me = self
                already = hearth.installed()
                assert already == {expected}, already
                hearth.install()
                import gc
                assert gc is hearth.gc
                gc.set_threshold(10, 2, 2)
                before = [g["collections"] for g in hearth.stats()["generations"]]
                lost = [weakref.ref(Knot()) for _ in range(500)]
                gc.collect()
                after = [g["collections"] for g in hearth.stats()["generations"]]
                assert after[0] - before[0] > 20 and after[2] > before[2], (before, after)
                assert not any(r() for r in lost)
                if {back}: hearth.uninstall()
            '''
            def mine(): return [g["collections"] for g in hearth.stats()["generations"]]
            for turn in range(6):
                if turn == 3: hearth.install()
                number = interpreters.create()
                gc.disable(); before = mine()
                interpreters.run_string(number, TEXT.format(expected=False, back=turn % 2))
                assert mine() == before
                assert hearth.installed() == (turn >= 3)
                interpreters.run_string(number, TEXT.format(expected=not turn % 2, back=False))
                interpreters.destroy(number)
                Knot(); assert gc.collect() >= 1
                gc.enable()
            """
        )

    def test_at_exit(self):
        """A process that ends while taken over runs what is left to run, as under the built-in collector."""
        text = """
            import atexit
            class Last(Knot):
                def __del__(self): print("last")
            atexit.register(lambda: print("atexit", gc.collect() >= 0))
            last = Last(); gc.collect(); Last()
            """
        self.assertEqual(self.good(text, "builtin"), self.good(text, "hearth"))
        self.assertIn("last", self.good(text, "parallel"))


class StartTest(unittest.TestCase):
    """Ways to take a whole program over."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.write(
            "program.py",
            """
            import gc, sys, os, __main__
            import neighbour
            hearth = sys.modules.get("hearth")
            print("argv", [os.path.basename(sys.argv[0])] + sys.argv[1:], "name", __name__)
            print("path", os.path.basename(sys.path[0]) == neighbour.WHERE)
            print("main", sorted(n for n in vars(__main__) if n.startswith("ours_")), __main__.__file__ == __file__)
            print("taken", hearth is not None and hearth.installed() and gc is sys.modules["hearth.gc"])
            ours_value = 1
            class Knot:
                def __init__(self): self.me = self
            Knot(); print("found", gc.collect() >= 1)
            if "exit" in sys.argv: sys.exit(7)
            if "raise" in sys.argv: raise LookupError("as asked")
            """,
        )
        where = os.path.basename(self.directory.name)
        self.write("neighbour.py", f"WHERE = {where!r}\n")

    def write(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text).lstrip())
        return path

    def both(self, plain, taken, status=0, mode="builtin"):
        """Runs a command line without and with hearth: everything but "taken" is equal."""
        first = support.run("builtin", *plain, cwd=self.directory.name)
        second = support.run(mode, *taken, cwd=self.directory.name)
        self.assertEqual(first.status, status, first)
        self.assertEqual(second.status, status, second)
        self.assertIn("taken False", first.out)
        self.assertIn("taken True", second.out)
        self.assertEqual(first.out.replace("taken False", "taken True"), second.out)
        return first, second

    def test_script(self):
        self.both(["program.py"], ["-m", "hearth", "program.py"])
        self.both(["program.py", "a", "-m", "--b"], ["-m", "hearth", "program.py", "a", "-m", "--b"])

    def test_module(self):
        self.both(["-m", "program", "x"], ["-m", "hearth", "-m", "program", "x"])

    def test_package(self):
        os.mkdir(os.path.join(self.directory.name, "pack"))
        self.write("pack/__init__.py", "")
        self.write("pack/__main__.py", "import sys, gc\nprint('taken', 'hearth' in sys.modules, __package__)\n")
        self.both(["-m", "pack"], ["-m", "hearth", "-m", "pack"])

    def test_status(self):
        self.both(["program.py", "exit"], ["-m", "hearth", "program.py", "exit"], status=7)
        first, second = self.both(["program.py", "raise"], ["-m", "hearth", "program.py", "raise"], status=1)
        self.assertIn("LookupError: as asked", first.err)
        self.assertEqual(first.err.splitlines()[-1], second.err.splitlines()[-1])

    def test_bad_command_lines(self):
        for arguments in (["no-such-file.py"], ["-m", "no_such_module"], [], ["-m"], ["--no-such-option"]):
            with self.subTest(arguments):
                result = support.run("builtin", "-m", "hearth", *arguments, cwd=self.directory.name)
                self.assertGreater(result.status, 0, result)
                self.assertTrue(result.err, result)
                if arguments and not arguments[-1].startswith("-"):
                    self.assertIn(arguments[-1], result.err)

    def test_environment(self):
        self.both(["program.py"], ["program.py"], mode="hearth")
        self.both(["-m", "program"], ["-m", "program"], mode="parallel")
        self.both(["-I", "-c", RUN], ["-I", "-c", RUN], mode="hearth")

    def test_environment_off(self):
        for value in ("", "0"):
            result = support.run("builtin", "program.py", cwd=self.directory.name, HEARTH_PYTHON=value)
            self.assertIn("taken False", result.out, value)

    def test_environment_reaches_children(self):
        text = """
            import subprocess, sys, multiprocessing
            print(subprocess.run([sys.executable, "-c",
                "import sys; print(sys.modules['hearth'].installed())"], capture_output=True, text=True).stdout.strip())
            def task(_): return sys.modules["hearth"].installed()
            if __name__ == "__main__":
                for method in ("fork", "spawn", "forkserver"):
                    with multiprocessing.get_context(method).Pool(2) as pool: print(method, pool.map(task, range(2)))
            """
        path = self.write("children.py", text)
        result = support.run("hearth", path)
        self.assertEqual(result.out.split("\n")[0], "True", result)
        self.assertEqual(result.out.count("[True, True]"), 3, result)

    def test_bad_environment(self):
        """A value that is no number is refused by name, and the program runs on with the built-in collector."""
        for name in ("HEARTH_PYTHON_WORKERS", "HEARTH_PYTHON_PARALLEL_MIN"):
            for value in ("many", "-3"):
                with self.subTest(f"{name}={value}"):
                    result = support.run("hearth", "-c", "print('runs')", **{name: value})
                    self.assertEqual(result.out, "runs\n", result)
                    self.assertIn(value, result.err)


RUN = """
import sys
hearth = sys.modules.get("hearth")
print("taken", hearth is not None and hearth.installed())
"""

if __name__ == "__main__":
    unittest.main()
