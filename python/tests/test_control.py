"""tests/test_control.py - hearth's own functions: statistics, workers, whom helpers may look at, memory."""
import os
import textwrap
import unittest

import support

BEGIN = textwrap.dedent(
    """
    import gc, hearth, weakref
    class Knot:
        def __init__(self): self.me = self
    def numbers(): return hearth.stats()["generations"]
    """
)


class ControlTest(unittest.TestCase):
    def good(self, text, mode="builtin", **more):
        result = support.code(mode, BEGIN + textwrap.dedent(text), **more)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.err, "", result)
        return result.out

    def test_statistics_count(self):
        self.good(
            """
            assert [g["collections"] for g in numbers()] == [0, 0, 0]
            gc.disable()
            hearth.install()
            for generation, times in ((0, 5), (1, 3), (2, 2)):
                before, theirs = numbers()[generation], gc.get_stats()[generation]
                for _ in range(times):
                    Knot(); Knot()
                    assert gc.collect(generation) >= 2
                after, now = numbers()[generation], gc.get_stats()[generation]
                assert after["collections"] - before["collections"] == times
                for name in ("collections", "collected"):
                    assert after[name] - before[name] == now[name] - theirs[name], name
                assert after["collected"] - before["collected"] >= 2 * times
                assert after["examined"] - before["examined"] >= after["collected"] - before["collected"]
                pauses = after["pauses"]
                assert pauses["count"] == after["collections"]
                assert 0 < pauses["median"] <= pauses["longest"] * 1.07 and pauses["longest"] <= pauses["total"]
            """
        )

    def test_statistics_of_pauses(self):
        """The pauses are about those that gc.callbacks see."""
        self.good(
            """
            import time
            heap = [[i] for i in range(200000)]
            hearth.install()
            gc.collect()
            seen, began = [], 0
            def note(phase, info):
                global began
                if phase == "start": began = time.perf_counter()
                else: seen.append(time.perf_counter() - began)
            before = numbers()[2]["pauses"]["total"]
            gc.callbacks.append(note)
            for _ in range(5): gc.collect()
            gc.callbacks.remove(note)
            told = numbers()[2]["pauses"]["total"] - before
            assert 0.2 * sum(seen) < told <= sum(seen), (told, seen)
            """
        )

    def test_live_objects(self):
        self.good(
            """
            hearth.install()
            gc.collect(); first = hearth.stats()["live"]
            heap = [[i] for i in range(50000)]
            gc.collect(); second = hearth.stats()["live"]
            assert 50000 <= second - first <= 50020, (first, second)
            assert abs(second - len(gc.get_objects(2))) < 20
            """
        )

    def test_helpers_take_part(self):
        """Forced into every collection, helpers join and mark: else the "parallel" runs of other tests show nothing."""
        out = self.good(
            """
            heap = [[{"i": [i]}] for i in range(30000)]
            for _ in range(40): gc.collect()
            parallel = hearth.stats()["parallel"]
            assert parallel["joined"] > 0 and parallel["marked_by_helpers"] > 0, parallel
            lost = [weakref.ref(Knot()) for _ in range(10)]
            gc.collect()
            assert all(r() is None for r in lost) and all(h[0]["i"] == [i] for i, h in enumerate(heap))
            print(parallel["joined"])
            """,
            mode="parallel",
        )
        self.assertGreater(int(out), 10)

    def test_no_helpers(self):
        self.good(
            """
            heap = [[i] for i in range(200000)]
            for _ in range(5): gc.collect()
            assert hearth.stats()["parallel"]["joined"] == 0
            """,
            mode="hearth",
        )
        self.good(
            """
            hearth.set_parallel("off")
            before = hearth.stats()["parallel"]["joined"]
            heap = [[i] for i in range(20000)]
            for _ in range(20): gc.collect()
            assert hearth.stats()["parallel"]["joined"] == before
            """,
            mode="parallel",
        )

    def test_settings(self):
        self.good(
            """
            def refused(kind, function, *arguments):
                try: function(*arguments)
                except kind as error: assert str(error); return str(error)
                raise AssertionError(arguments)
            before = hearth.workers()
            assert hearth.workers(3) == before and hearth.workers() == 3 and hearth.workers(before) == 3
            assert "-1" in refused(ValueError, hearth.workers, -1)
            assert "100000" in refused(ValueError, hearth.workers, 100000)
            refused(TypeError, hearth.workers, "two")
            before = hearth.parallel_min()
            assert hearth.parallel_min(7) == before and hearth.parallel_min() == 7
            assert "-5" in refused(ValueError, hearth.parallel_min, -5)
            refused(TypeError, hearth.parallel_min, 1.5)
            for mode in ("off", "all", "python"):
                hearth.set_parallel(mode)
                assert hearth.get_parallel() == mode
            assert "everything" in refused(ValueError, hearth.set_parallel, "everything")
            refused(TypeError, hearth.set_parallel, 1)
            assert hearth.get_parallel() == "python"
            assert "sometimes" in refused(ValueError, hearth.arenas, "sometimes")
            refused(TypeError, hearth.arenas, None)
            """
        )

    def test_changing_workers_while_collecting(self):
        self.good(
            """
            heap = [[{"i": [i]}] for i in range(20000)]
            hearth.install(); hearth.parallel_min(1)
            for turn in range(60):
                hearth.workers(turn % 5)
                hearth.set_parallel(("off", "python", "all")[turn % 3])
                Knot()
                assert gc.collect() >= 1
            assert all(h[0]["i"] == [i] for i, h in enumerate(heap))
            """
        )

    def test_no_memory_of_our_own(self):
        """hearth's n-th allocation fails: the built-in collector does that collection, nothing is lost."""
        self.good(
            """
            import hearth._core as core
            hearth.install()
            gc.disable()
            for sticky in (False, True):
                for n in range(1, 25):
                    kept = [[i, {"i": [i]}] for i in range(20 + 500 * n)]
                    lost = [weakref.ref(Knot()) for _ in range(20)]
                    core._fail(n, sticky)
                    found = gc.collect(n % 3)
                    core._fail(0)
                    assert found >= 20 or n % 3 != 2 and gc.collect() >= 20 - found, (n, sticky, found)
                    assert all(r() is None for r in lost), (n, sticky)
                    assert all(k[1]["i"] == [k[0]] for k in kept)
            """
        )
        self.good(
            """
            import hearth._core as core
            core._fail(1, True)
            lost = weakref.ref(Knot())
            assert gc.collect() >= 1 and lost() is None
            assert hearth.stats()["fallbacks"] >= 1, hearth.stats()["fallbacks"]
            core._fail(0)
            before = hearth.stats()["fallbacks"]
            Knot(); assert gc.collect() >= 1
            assert hearth.stats()["fallbacks"] == before
            """,
            mode="hearth",
        )


class MemoryTest(unittest.TestCase):
    """Arenas from hearth's windows; on one node too, if they are asked for."""

    good = ControlTest.good

    def test_arenas(self):
        self.good(
            """
            hearth.arenas("on")
            heap = [[str(i), {i: [i]}] for i in range(200000)]
            nodes = hearth.residency()
            pages = sum(node["local"] for node in nodes)
            elsewhere = sum(node["elsewhere"] for node in nodes)
            assert pages * 4096 > 20 << 20, nodes
            assert elsewhere == 0, nodes
            del heap[::2]
            hearth.arenas("off")
            heap += [[str(i), {i: [i]}] for i in range(100000)]
            assert sum(len(h) for h in heap) == 400000
            heap.clear()
            gc.collect()
            """
        )

    def test_arenas_come_and_go(self):
        self.good(
            """
            for turn in range(30):
                hearth.arenas(("on", "off", "huge", "auto")[turn % 4])
                heap = [[i] * (turn % 9) for i in range(30000)]
                gc.collect()
                assert all(len(h) == turn % 9 for h in heap)
            """
        )

    def test_in_threads_and_children(self):
        self.good(
            """
            import os, threading
            hearth.install(); hearth.arenas("on")
            kept = []
            def work(n):
                kept.append([[n, str(i)] for i in range(40000)])
                for _ in range(2000): Knot()
            threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
            for t in threads: t.start()
            for t in threads: t.join()
            for _ in range(3):
                pid = os.fork()
                if pid == 0:
                    mine = [[i] for i in range(100000)]
                    kept.clear(); gc.collect()
                    os._exit(0 if len(mine) == 100000 else 1)
                assert os.waitpid(pid, 0)[1] == 0
            assert sorted(k[0][0] for k in kept) == list(range(6))
            assert all(x[1] == str(i) for k in kept for i, x in enumerate(k))
            """
        )

    def test_environment(self):
        for value in ("on", "huge"):
            self.good('assert hearth.stats()["arenas"]', mode="hearth", HEARTH_PYTHON_ARENAS=value)
        result = support.run("hearth", "-c", "print('runs')", HEARTH_PYTHON_ARENAS="sometimes")
        self.assertEqual(result.out, "runs\n")
        self.assertIn("sometimes", result.err)


class RefusalTest(unittest.TestCase):
    """Interpreters that hearth does not know are refused, by name, and nothing is touched."""

    def test_other_versions(self):
        candidates = os.environ.get("HEARTH_OTHER_PYTHONS", "").split() or [
            f"/usr/bin/python3.{minor}" for minor in (9, 10, 12, 13)
        ]
        there = [path for path in candidates if os.path.exists(path)]
        if not there:
            self.skipTest("no other Python is here (HEARTH_OTHER_PYTHONS)")
        where = os.path.dirname(os.path.dirname(__import__("hearth").__file__))
        for path in there:
            with self.subTest(path):
                text = """
                    import gc, sys
                    before = [(n, id(v)) for n, v in sorted(vars(gc).items())]
                    try: import hearth
                    except ImportError as error: print(error)
                    assert [(n, id(v)) for n, v in sorted(vars(gc).items())] == before
                    assert sys.modules["gc"] is gc and "hearth" not in sys.modules
                    """
                result = support.run("builtin", "-c", textwrap.dedent(text), python=path, PYTHONPATH=where)
                self.assertEqual(result.status, 0, result)
                self.assertIn("3.11", result.out)

    def test_another_implementation(self):
        text = """
            import sys, types
            sys.implementation = types.SimpleNamespace(name="pypy", cache_tag="pypy311")
            import gc
            before = [(n, id(v)) for n, v in sorted(vars(gc).items())]
            try: import hearth
            except ImportError as error: print(error)
            assert [(n, id(v)) for n, v in sorted(vars(gc).items())] == before
            """
        result = support.code("builtin", textwrap.dedent(text))
        self.assertEqual(result.status, 0, result)
        self.assertIn("pypy", result.out)

    def test_another_collector_is_there(self):
        """If gc.collect is somebody else's, hearth does not take the process over."""
        text = """
            import gc
            real = gc.collect
            gc.collect = lambda generation=2: real(generation)
            try:
                import hearth
                hearth.install()
            except (ImportError, RuntimeError) as error: print("refused:", error)
            """
        result = support.code("builtin", textwrap.dedent(text))
        self.assertEqual(result.status, 0, result)
        self.assertIn("refused:", result.out)


if __name__ == "__main__":
    unittest.main()
