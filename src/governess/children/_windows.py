"""A child process on Windows, and the end of all that it has started.

A handle stands for the child: its number cannot become another's while this process holds that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
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
    """A child and all that it has started: Windows ends them together, and has no signal for all of them.

    Attributes:
        leader: the child.
        is_closed: whether `close` was called.
    """

    def __init__(self, leader: Child) -> None:
        """Take the child and what it starts."""
        self.leader = leader
        self.is_closed = False

    def close(self) -> None:
        """Release the group."""
        self.is_closed = True

    def signal(self, number: int) -> None:
        """Send the signal to the child alone, as `Child.signal`; 0 only looks whether it lives."""
        if self.leader.reap() is not None:
            raise ProcessLookupError(f"process {self.leader.pid} has exited")
        if number:
            self.leader.signal(number)

    def kill(self) -> None:
        """End the child and all that it has started. A thread does that, since it takes the start of a program."""
        if self.leader.reap() is None:
            threading.Thread(target=_end_tree, args=(self.leader,), name="governess-taskkill", daemon=True).start()

    async def end(self, *, grace: float) -> None:
        """End the child and all that it has started, at once: Windows has no signal that asks them to end."""
        if self.leader.reap() is None:
            await asyncio.to_thread(_end_tree, self.leader)

    async def emptied(self, timeout: float) -> bool:
        """Return True: what the child has started was ended before it."""
        return True


def _end_tree(child: Child) -> None:
    taskkill = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run([taskkill, "/T", "/F", "/PID", str(child.pid)], capture_output=True, timeout=10)
    with contextlib.suppress(OSError):  # it has exited
        child.kill()
