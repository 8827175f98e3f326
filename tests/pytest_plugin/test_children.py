"""A test that leaves a child running fails, and the message names the child."""

import sys
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="governess has no children there")

ON = "--governess-policies=default"

TESTS = """
import asyncio, os, subprocess, sys
import governess
import pytest

kept = []

async def leave(*command):
    kept.append(await asyncio.create_subprocess_exec(*command))

@pytest.fixture(scope="module")
def server():
    with subprocess.Popen(["sleep", "61"]) as process:
        yield process
        process.kill()

def test_of_governess(event_loop_policy_matrix):
    governess.run(leave("sleep", "62"))

def test_of_anyone():
    kept.append(subprocess.Popen([sys.executable, "-c", "input( )"], stdin=subprocess.PIPE))

def test_before():
    pass

def test_with_a_server(server):
    pass

def test_with_a_server_too(server):
    pass

@pytest.mark.governess(may_leave_children=True)
def test_with_permission():
    kept.append(subprocess.Popen(["sleep", "64"]))

def test_child_just_told_to_end():
    kept.append(subprocess.Popen(["sleep", "65"]))
    kept[-1].terminate()

def test_zombie():
    kept.append(subprocess.Popen(["true"]))
    os.waitid(os.P_PID, kept[-1].pid, os.WEXITED | os.WNOWAIT)

def test_end():
    for process in kept:
        if isinstance(process, subprocess.Popen):
            process.kill()
            process.communicate()
"""


def test_named(run: Run) -> None:
    """It is an error of the test that has left it; fixtures in use, children told to end, and zombies are none."""
    result = run(TESTS, ON, apart=True)
    result.assert_outcomes(passed=9, errors=2)
    result.stdout.re_match_lines(
        [
            r"_* ERROR at teardown of test_of_governess",
            r"the test left running: child \d+ \(sleep 62\)$",
            r"_* ERROR at teardown of test_of_anyone",
            r"the test left running: child \d+ \(.* -c 'input\( \)'\)$",
        ]
    )


def test_killed(run: Run) -> None:
    """A child that governess has started is killed, so that the next test does not meet it."""
    tests = """
        import asyncio, governess

        kept = []

        async def leave():
            kept.append(await asyncio.create_subprocess_exec("sleep", "66"))

        def test(event_loop_policy_matrix):
            governess.run(leave())

        def test_next():
            for child in governess.children.children():
                assert child.wait_for_exit(5)
        """
    result = run(tests, ON, apart=True)
    result.assert_outcomes(passed=2, errors=1)


def test_fixture_that_forgets(run: Run) -> None:
    """A child that its fixture does not end is left by the last test that used the fixture."""
    tests = """
        import atexit, subprocess, pytest

        @pytest.fixture(scope="module")
        def server():
            process = subprocess.Popen(["sleep", "67"])
            atexit.register(process.wait)
            atexit.register(process.kill)

        def test_one(server): pass
        def test_two(server): pass
        """
    result = run(tests, ON, apart=True)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.re_match_lines([r".*ERROR at teardown of test_two", "the test left running: .*sleep 67"])


def test_unasked(run: Run) -> None:
    """Unasked, nobody looks."""
    tests = """
        import subprocess

        def test():
            subprocess.Popen(["sleep", "0.1"])
        """
    run(tests, "-W", "ignore", apart=True).assert_outcomes(passed=1)
