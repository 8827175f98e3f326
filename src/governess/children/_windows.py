"""A child process on Windows, and the end of all that it has started.

A handle stands for the child: its number cannot become another's while this process holds that.
"""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
from collections.abc import Sequence
from typing import Any

from governess.children._child import Child
from governess.children._exit import Exit, State
from governess.children._group import Group

__all__ = ["WindowsChild", "WindowsGroup"]


class WindowsChild(Child):
    """A child whose handle is that of a `subprocess.Popen`."""

    def __init__(self, process: subprocess.Popen[bytes], argv: Sequence[Any]) -> None:
        """Take over the process; nobody else may wait for it."""
        super().__init__(process.pid, argv)
        self._process = process

    def signal(self, number: int) -> None:
        """Send what Windows has: SIGTERM, which ends the child, CTRL_C_EVENT or CTRL_BREAK_EVENT.

        Raises:
            ProcessLookupError: the child has exited and this was noted.
            ValueError: Windows has no such signal.
        """
        with self._lock:
            self._check_unreaped()
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the child; errors as `signal`."""
        self.terminate()

    def signal_group(self, number: int) -> None:
        """Raise NotImplementedError: a child leads no group of processes on Windows."""
        raise NotImplementedError("Windows has no groups of processes to be signalled")

    def wait_for_exit(self, timeout: float | None = None) -> bool:
        """Block until the child has exited; return False if `timeout` seconds were not enough."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _state(self) -> State:
        return State.ALIVE if self._process.poll() is None else State.ZOMBIE

    def _take_exit(self, pid: int, pidfd: int | None) -> Exit | None:
        returncode = self._process.poll()
        return None if returncode is None else Exit(returncode)


class WindowsGroup(Group):
    """A child and all that it starts, in a job object: Windows ends them together, and has no signal for all of them.

    What the child has started before this object is made is not in it.

    Attributes:
        leader: the child.
        is_closed: whether `close` was called.
    """

    def __init__(self, leader: WindowsChild) -> None:
        """Take the child and what it starts from here on."""
        self.leader = leader
        self._job: int | None = _kernel32.CreateJobObjectW(None, None)
        self.is_closed = False
        if self._job:
            _kernel32.AssignProcessToJobObject(self._job, int(leader._process._handle))  # type: ignore[attr-defined]

    def close(self) -> None:
        """Release the group; those in it live on."""
        self.is_closed = True
        job, self._job = self._job, None
        if job:
            _kernel32.CloseHandle(job)

    def signal(self, number: int) -> None:
        """Send the signal to the child alone, as `Child.signal`; 0 only looks whether anybody of the group lives."""
        if not self._lives():
            raise ProcessLookupError(f"nobody of the group of process {self.leader.pid} lives")
        if number:
            self.leader.signal(number)

    def kill(self) -> None:
        """End all that are in the group."""
        if self._job:
            _kernel32.TerminateJobObject(self._job, 1)
        with contextlib.suppress(OSError):  # it has exited
            self.leader.kill()

    async def end(self, *, grace: float, request: int | None = None) -> None:
        """End all that are in the group, at once: Windows has no signal that asks them to end."""
        self.kill()

    def _lives(self, since: float = 0.0) -> bool:
        if self.leader.reap() is None:
            return True
        counts = _Counts()
        if not self._job or not _kernel32.QueryInformationJobObject(
            self._job, _BASIC_ACCOUNTING, ctypes.byref(counts), ctypes.sizeof(counts), None
        ):
            return False
        return bool(counts.active)


# JOBOBJECT_BASIC_ACCOUNTING_INFORMATION of winnt.h
_BASIC_ACCOUNTING = 1


class _Counts(ctypes.Structure):
    _fields_ = (
        ("times", ctypes.c_int64 * 4),
        ("page_faults", ctypes.c_uint32),
        ("total", ctypes.c_uint32),
        ("active", ctypes.c_uint32),
        ("terminated", ctypes.c_uint32),
    )


def _functions() -> Any:
    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    handle = ctypes.c_void_p
    kernel32.CreateJobObjectW.restype = handle
    kernel32.CreateJobObjectW.argtypes = handle, ctypes.c_wchar_p
    kernel32.AssignProcessToJobObject.argtypes = handle, handle
    kernel32.TerminateJobObject.argtypes = handle, ctypes.c_uint
    kernel32.QueryInformationJobObject.argtypes = handle, ctypes.c_int, handle, ctypes.c_uint32, handle
    kernel32.CloseHandle.argtypes = (handle,)
    return kernel32


_kernel32 = _functions()
