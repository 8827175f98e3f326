"""Programs of the years from 3.4 to 3.12: what plain Python does with them, and `governess python`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncio_version import ASYNCIO_VERSION

ROOT = Path(__file__).parents[2]
LEGACY = ROOT / "examples" / "legacy"

#: What each program prints, wherever it runs.
PRINTS = {
    "custom_policy.py": "loop-1 says main\nloop-2 says thread\n",
    "fast_watcher.py": "by hand: 5\nby asyncio: 6\n",
    "loop_at_top_level.py": "pid known: True\n/bin/sh said /bin/sh and returned 0\n",
    "loop_in_thread.py": "3\n2\n",
    "own_watcher.py": "0 1 2 of 3\n",
    "pidfd_watcher.py": "ended by signal 15\n",
    "safe_watcher.py": "[0, 1, 3]\n",
    "threaded_watcher.py": "1220704766 975775277 3895519217\n",
    "uvloop_policy.py": "['a', 'b', 'c'] True\n",
}

#: The one warning that a program gets under the bridge, too.
CREATION = re.compile(r".*DeprecationWarning: There is no current event loop\n.*asyncio\.get_event_loop\(\)\n")


@pytest.fixture(params=PRINTS)
def program(request: pytest.FixtureRequest) -> str:
    """Each program in turn."""
    if request.param.startswith("uvloop"):
        pytest.importorskip("uvloop")
    return request.param


def run(program: str, *way: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *way, str(LEGACY / program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_plain(program: str) -> None:
    """Plain Python runs a program up to a version, and fails from there on with the error that its comment tells."""
    told = re.search(r"^# Fails from 3\.(\d+) on: (.*)$", (LEGACY / program).read_text(), re.MULTILINE)
    assert told is not None
    done = run(program)
    if (3, int(told[1])) > ASYNCIO_VERSION:
        assert (done.returncode, done.stdout) == (0, PRINTS[program]), done.stderr
    else:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1].startswith(told[2])


def test_under_the_bridge(program: str) -> None:
    """`governess python` runs it on every version, with the same output and no warning that is not the program's."""
    done = run(program, "-m", "governess", "python")
    assert (done.returncode, done.stdout) == (0, PRINTS[program]), done.stderr
    if program == "loop_at_top_level.py":
        assert CREATION.fullmatch(done.stderr)
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("watcher", ["pidfd", "threaded", "multiloop", "safe", "fast"])
def test_with_every_watcher(watcher: str) -> None:
    """A program that sets no watcher runs with each of them."""
    done = run(
        "loop_in_thread.py" if watcher not in ("safe", "fast") else "loop_at_top_level.py",
        "-m",
        "governess",
        "python",
        "--watcher",
        watcher,
    )
    assert done.returncode == 0, done.stderr


def test_all_are_told() -> None:
    """Every program is run here and is in the documentation, with the version and the error at which it stops."""
    page = (ROOT / "docs" / "python.md").read_text()
    assert {path.name for path in LEGACY.glob("*.py")} == set(PRINTS)
    for name in PRINTS:
        assert f"`{name}`" in page
