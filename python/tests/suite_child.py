"""tests/suite_child.py - runs one of CPython's own test modules and writes the outcome of every test to a file.

Usage: suite_child.py MODULE FILE [SECONDS]

FILE gets a line of JSON a test: when it begins and how it ended. After a crash it tells which one was running. The
first and the last line tell which collector was in charge, and how many collections hearth did.
"""
import faulthandler
import json
import sys
import unittest


class Recorder(unittest.TestResult):
    """Writes each outcome at once. A test whose subtests fail, failed."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream
        self.buffer = False

    def write(self, **record):
        self.stream.write(json.dumps(record) + "\n")
        self.stream.flush()

    def startTest(self, test):
        super().startTest(test)
        self.subtests_failed = ""
        self.write(begin=test.id())

    def end(self, test, outcome, detail=""):
        self.write(test=test.id(), outcome=outcome, detail=detail)

    def addSuccess(self, test):
        if self.subtests_failed:
            self.end(test, "failed", self.subtests_failed)
        else:
            self.end(test, "ok")

    def addSkip(self, test, reason):
        self.end(test, "skipped", reason)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.end(test, "failed", self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self.end(test, "error", self.errors[-1][1])

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.subtests_failed += self._exc_info_to_string(error, test)

    def addExpectedFailure(self, test, error):
        self.end(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.end(test, "unexpected success")

    def stopTest(self, test):
        if self.subtests_failed:
            self.write(test=test.id(), outcome="failed", detail=self.subtests_failed)


def collector():
    package = sys.modules.get("hearth")
    if package is None or not package.installed():
        return {"collector": "builtin"}
    collections = sum(generation["collections"] for generation in package.stats()["generations"])
    return {"collector": "hearth", "collections": collections}


def main():
    name, path = sys.argv[1:3]
    faulthandler.enable()
    if len(sys.argv) > 3:
        faulthandler.dump_traceback_later(float(sys.argv[3]), exit=True)
    with open(path, "w") as stream:
        recorder = Recorder(stream)
        recorder.write(**collector())
        from test import support

        support.verbose = 0
        support.use_resources = ["cpu", "subprocess"]
        sys.argv[1:] = []
        suite = unittest.defaultTestLoader.loadTestsFromName("test." + name)
        suite.run(recorder)
        recorder.write(**collector())


if __name__ == "__main__":
    main()
