"""The status of a dead child is taken once, with or without the extension."""

import os
import signal
from collections.abc import Iterator

import pytest

from governess.children import _exit as status
from governess.children import _pidfd as pidfd
from spawning import _native

needs_reap = pytest.mark.skipif(not hasattr(_native, "reap"), reason="the extension has no such call here")


@pytest.fixture(params=[pytest.param("extension", marks=needs_reap), "wait4", "no pidfd"])
def pidfd_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A function that opens the pidfd of a child, where there is one."""
    descriptors = []

    def open_pidfd(pid: int) -> int | None:
        descriptors.append(descriptor := pidfd.open_pidfd(pid))
        return descriptor

    reap = _native.reap if request.param == "extension" else None
    monkeypatch.setattr(status, "_reap_of_extension", lambda: reap)
    yield (lambda pid: None) if request.param == "no pidfd" else open_pidfd
    for descriptor in descriptors:
        os.close(descriptor)


def start(script: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ)


def wait_for_end(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_exit(pidfd_of) -> None:
    """The exit status is taken together with the resources used, and the process is reaped."""
    pid = start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7")
    descriptor = pidfd_of(pid)
    wait_for_end(pid)
    exit = status.take_exit(pid, descriptor)
    assert (exit, exit.signal, exit.core_dumped, exit.lost) == (7, None, False, False)
    assert exit.rusage.ru_utime + exit.rusage.ru_stime > 0
    assert exit.rusage.ru_maxrss > 100
    assert exit.rusage.ru_minflt > 0
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT], ids=lambda number: number.name)
def test_signal(pidfd_of, number: signal.Signals) -> None:
    """A signal that ended it is told, and whether that left a core dump as the kernel says."""
    pid = start("exec sleep 60")
    descriptor = pidfd_of(pid)
    os.kill(pid, number)
    wait_for_end(pid)
    core_dumped = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED
    exit = status.take_exit(pid, descriptor)
    assert exit.signal is number
    assert exit.core_dumped == core_dumped


def test_living(pidfd_of) -> None:
    """The living are left alone."""
    pid = start("exec sleep 60")
    descriptor = pidfd_of(pid)
    assert status.take_exit(pid, descriptor) is None
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert status.take_exit(pid, descriptor) == -signal.SIGKILL


def test_stolen(pidfd_of) -> None:
    """Of a process that somebody else has reaped comes what the kernel still knows, without the resources."""
    pid = start("exit 7")
    descriptor = pidfd_of(pid)
    os.waitpid(pid, 0)
    exit = status.take_exit(pid, descriptor)
    assert exit == (255 if exit.lost else 7)
    assert exit.lost or descriptor is not None
    assert exit.rusage is None


@needs_reap
class TestReap:
    def test_the_resources_are_the_childs(self) -> None:
        """Each number stands where `resource.struct_rusage` has it, and is what the kernel adds up for this process."""
        import resource

        pid = start("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 0.001")
        wait_for_end(pid)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        descriptor = os.pidfd_open(pid)
        _, _, numbers = _native.reap(descriptor)
        os.close(descriptor)
        ours, after = resource.struct_rusage(numbers), resource.getrusage(resource.RUSAGE_CHILDREN)
        assert len(ours) == len(after)
        for name in ("ru_utime", "ru_stime", "ru_minflt", "ru_majflt", "ru_oublock", "ru_nvcsw", "ru_nivcsw"):
            # Times to the microsecond.
            assert getattr(ours, name) == pytest.approx(getattr(after, name) - getattr(before, name), abs=2e-6)
        assert min(ours.ru_utime, ours.ru_minflt, ours.ru_nvcsw) > 0
        assert 0 < ours.ru_maxrss <= after.ru_maxrss
        assert ours.ru_nsignals == 0

    def test_errors(self) -> None:
        """What is no pidfd is an error."""
        with open(os.devnull) as file, pytest.raises(OSError, match="descriptor"):
            _native.reap(file.fileno())
        with pytest.raises(OSError, match=r"argument|descriptor"):
            _native.reap(-1)
        with pytest.raises(TypeError):
            _native.reap("3")
        with pytest.raises(OverflowError):
            _native.reap(1 << 40)
