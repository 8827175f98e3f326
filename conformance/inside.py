"""Runs one suite in the interpreter that it is started with; `conformance.combination` starts it.

The package `test` is this interpreter's own, but for `test.test_asyncio`, which may be another version's.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import os
import sys
import unittest
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import governess
from conformance import adaptations
from conformance.suites import SUITES
from conformance.table import excluded, reversed_assertions

PACKAGE = "test.test_asyncio"

# A test that takes longer hangs; the slowest takes 10 seconds.
TEST_TIMEOUT = 60.0


def take_tests_from(directory: str) -> None:
    """Let `test.test_asyncio` be the package in that directory."""
    test = importlib.import_module("test")
    spec = importlib.util.spec_from_file_location(
        PACKAGE, Path(directory, "__init__.py"), submodule_search_locations=[directory]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = test.test_asyncio = package  # type: ignore[attr-defined]
    spec.loader.exec_module(package)


def main(version: str, python: str, report: str, patterns: list[str]) -> None:
    """Run the suite, then what is left out of it, in case that has become needless."""
    suite = next(suite for suite in SUITES if suite.version == version)
    met = adaptations.turn_around(reversed_assertions(version))
    tests = {}
    for name in suite.modules:
        module = importlib.import_module(f"{PACKAGE}.{name}")
        adaptations.adapt(module)
        for test in _flat(unittest.defaultTestLoader.loadTestsFromModule(module)):
            if suite.has(_name(test)):
                tests[_name(test)] = test
    left_out = excluded(version, python)
    chosen = [name for name in tests if _is_wanted(name, patterns)]
    with Path(report).open("w", buffering=1) as file:
        result = _Reporter(file)
        result.write(existing=list(tests))
        result.run([tests[name] for name in chosen if name not in left_out])
        result.run([tests[name] for name in chosen if name in left_out and not left_out[name].racy])
        result.write(reversed=sorted(met), done=True)


class _Reporter(unittest.TestResult):
    """Writes a line of JSON for each test."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._outcome: tuple[str, str] = ("passed", "")

    def run(self, tests: list[unittest.TestCase]) -> None:
        unittest.TestSuite(tests).run(self)

    def write(self, **line: Any) -> None:
        print(json.dumps(line), file=self._file)

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        faulthandler.dump_traceback_later(TEST_TIMEOUT, exit=True)
        self._outcome = ("passed", "")
        self.write(started=_name(test))

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        outcome, detail = self._outcome
        self.write(test=_name(test), outcome=outcome, detail=detail)
        super().stopTest(test)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._outcome = ("skipped", reason)

    def addFailure(self, test: Any, err: Any) -> None:
        self._failed(test, err)

    def addError(self, test: Any, err: Any) -> None:
        self._failed(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._failed(test, err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._outcome = ("failed", "it passes, where CPython's own tests expect a failure")

    def _failed(self, test: Any, err: Any) -> None:
        detail = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]
        if isinstance(test, unittest.TestCase):
            self._outcome = ("failed", detail)
        else:  # setUpClass, tearDownModule and the like
            self.write(test=str(test), outcome="failed", detail=detail)


def _flat(tests: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


def _name(test: unittest.TestCase) -> str:
    return test.id().removeprefix(f"{PACKAGE}.")


def _is_wanted(name: str, patterns: list[str]) -> bool:
    return not patterns or any(fnmatchcase(name, f"*{pattern}*") for pattern in patterns)


# Here, and not in main(): the processes that multiprocessing starts import this module too.
take_tests_from(os.environ["CONFORMANCE_TESTS"])
governess.install()

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
