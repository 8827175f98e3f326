"""What processes use, with all that they have started."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from governess._programs import usage

if sys.platform == "win32":
    pytest.skip("needs sessions", allow_module_level=True)
if find_spec("psutil") is None and not Path("/proc/self/stat").exists():
    pytest.skip("needs /proc or psutil", allow_module_level=True)

MEMORY = 50_000_000
# A shell whose child has a session of its own, uses memory and half a second of CPU time, and tells so.
CHILD = f"""
import os, time
os.setsid()
block = b"x" * {MEMORY}
while time.process_time() < 0.5:
    pass
os.write(1, b"%d\\n" % os.getpid())
time.sleep(60)
"""


@pytest.fixture(params=["proc", "psutil"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have /proc tell, or psutil as if there were no /proc."""
    if request.param == "proc" and not Path("/proc/self/stat").exists():
        pytest.skip("there is no /proc")
    if request.param == "psutil":
        pytest.importorskip("psutil")

        def no_proc() -> None:
            raise FileNotFoundError("/proc")

        monkeypatch.setattr(usage, "process_numbers", no_proc)


@pytest.mark.usefixtures("source")
def test_descendants_count() -> None:
    """What a process has started counts, also in a session of its own; other processes do not."""
    command = ["sh", "-c", '"$@"; exit', "sh", sys.executable, "-c", CHILD]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        child = int(process.stdout.readline())
        found = usage.usages_of_trees([process.pid, 2**22 + 1])
    finally:
        os.kill(child, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert found.keys() == {process.pid}
    assert MEMORY < found[process.pid].memory < 3 * MEMORY
    assert 0.4 <= found[process.pid].cpu < 5


def test_nothing_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc and psutil nothing is known."""
    monkeypatch.setattr(usage, "_stats_by_psutil", dict)
    monkeypatch.setattr(usage, "process_numbers", lambda: os.listdir("/nowhere"))

    assert usage.usages_of_trees([os.getpid()]) == {}
