"""A signal by number reaches the process that it is meant for, or nobody."""

import signal
import subprocess
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("this system has no pidfd", allow_module_level=True)

from governess.children import _pidfd


def test_is_the_one() -> None:
    """The one gets it, and the answer is True."""
    with subprocess.Popen(["sleep", "600"]) as process:
        assert _pidfd.send_signal_if(lambda pid: pid == process.pid, process.pid, signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_is_another() -> None:
    """What has the number, and is not the one any more, gets no signal; what is asked is asked of that number."""
    asked: list[int] = []
    with subprocess.Popen(["sleep", "600"]) as process:
        assert not _pidfd.send_signal_if(lambda pid: bool(asked.append(pid)), process.pid, signal.SIGKILL)
        assert asked == [process.pid]
        assert process.poll() is None
        process.kill()


def test_is_gone() -> None:
    """For a number that nobody has, nothing is asked, and nobody gets a signal."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
        assert not _pidfd.send_signal_if(lambda pid: pytest.fail("asked"), process.pid, signal.SIGKILL)


def test_without_a_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no pidfd, nobody gets a signal: the number alone does not tell who has it."""
    monkeypatch.setattr(_pidfd, "open_pidfd", lambda pid: None)
    with subprocess.Popen(["sleep", "600"]) as process:
        assert not _pidfd.send_signal_if(lambda pid: True, process.pid, signal.SIGKILL)
        assert process.poll() is None
        process.kill()
