"""`make conformance`: CPython's own tests, run on governess."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conformance import interpreters, page, suites, table
from conformance.outcome import judge

ROOT = Path(__file__).parents[1]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"

pytestmark = pytest.mark.skipif(HERE not in interpreters.PYTHONS, reason="this version has no suite")


def conformance(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command; `python3.x` on PATH is first of all the one that runs this test."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    return subprocess.run(
        [sys.executable, "-m", "conformance", *words],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_page_tells_the_exceptions() -> None:
    """docs/conformance.md has the table of what is left out, as `python -m conformance.page` writes it."""
    assert page.exceptions() == page.section("exceptions")


def test_page_tells_results_of_every_combination() -> None:
    """In the table of results, each suite has a number for each interpreter that it runs on."""
    _, _, *rows = page.section("results").splitlines()
    numbers = [sum("·" in cell for cell in row.split("|")) for row in rows]
    assert numbers == [sum(map(suite.runs_on, interpreters.PYTHONS)) for suite in suites.SUITES]


@pytest.mark.parametrize("entry", [*table.EXCLUSIONS, *table.REVERSALS], ids=lambda entry: entry.reason)
def test_exceptions_have_all_they_need(entry: table.Exclusion | table.Reversal) -> None:
    """Each has a reason, and names suites and interpreters that there are."""
    assert entry.reason
    assert set(entry.suites) <= {suite.version for suite in suites.SUITES}
    assert set(getattr(entry, "pythons", ())) <= set(interpreters.PYTHONS)


def test_no_test_is_left_out_twice() -> None:
    """A test that is left out has one reason on each interpreter."""
    named = [
        (suite, python, test)
        for one in table.EXCLUSIONS
        for suite in one.suites
        for python in one.pythons
        for test in one.tests
    ]
    assert len(named) == len(set(named))


def test_own_tests_pass_here() -> None:
    """Some of this interpreter's own tests pass, and the command says so."""
    done = conformance("--python", HERE, "--suite", HERE, "-k", "test_kill")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed\n" in done.stdout


def test_no_test_ran() -> None:
    """A name that no test has is a failure."""
    done = conformance("--python", HERE, "--suite", HERE, "-k", "no_such_test")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("no test ran\n")


def test_needless_and_stale_exclusions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out and passes, and what is left out and does not exist, are failures."""
    wrong = table.Exclusion("I do not like it", ("3.13",), ("3.15",), ("m.C.test_kill", "m.C.test_gone"))
    monkeypatch.setattr(table, "EXCLUSIONS", (wrong,))
    lines = [{"existing": ["m.C.test_kill"]}, passed("m.C.test_kill"), passed("m.C.test_wait"), {"done": True}]
    outcome = judge("3.13", "3.15", lines, "", partial=True)
    assert outcome.passed == ["m.C.test_wait"]
    assert outcome.problems == {
        "m.C.test_kill": "left out (I do not like it), but it passes",
        "m.C.test_gone": "left out, but there is no such test",
    }


def test_assertion_never_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """An assertion that is turned around and never met is a failure of the whole suite, not of a part of it."""
    monkeypatch.setattr(table, "EXCLUSIONS", ())
    monkeypatch.setattr(table, "REVERSALS", (table.Reversal("old", "assertWarns", ("3.14",), ("m.C.setUp",)),))
    lines = [{"existing": ["m.C.test_wait"]}, passed("m.C.test_wait"), {"reversed": [], "done": True}]
    assert not judge("3.14", "3.14", lines, "", partial=True).problems
    outcome = judge("3.14", "3.14", lines, "", partial=False)
    assert outcome.problems == {"m.C.setUp": "its assertWarns is turned around, but was never met"}


def test_interpreter_died() -> None:
    """A run without an end fails in the test that it was in, and shows what was printed."""
    lines = [{"existing": ["m.C.test_wait"]}, {"started": "m.C.test_wait"}]
    outcome = judge("3.14", "3.14", lines, "Fatal Python error", partial=True)
    assert outcome.problems == {"m.C.test_wait": "it never came to its end\nFatal Python error"}


def passed(name: str) -> dict[str, str]:
    return {"test": name, "outcome": "passed", "detail": ""}
