"""A child in the shape of `subprocess.Popen`, for ``transport.get_extra_info('subprocess')``."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any

from governess.children._child import Child
from governess.children._exit import Exit
from governess.transports._child_pipe import PipeEnd

__all__ = ["PopenView"]


class PopenView:
    """What can be asked of a child without a loop.

    Attributes:
        args: what was started.
        pid: the number of the process.
        stdin: our end of the child's standard input, if that is a pipe.
        stdout: likewise.
        stderr: likewise.
    """

    def __init__(self, child: Child, args: Any, pipes: dict[int, PipeEnd]) -> None:
        """Show the child and our ends of its pipes."""
        self._child = child
        self.args = args
        self.pid = child.pid
        self.stdin = pipes.get(0)
        self.stdout = pipes.get(1)
        self.stderr = pipes.get(2)

    def __repr__(self) -> str:
        return f"<PopenView: returncode: {self.returncode} args: {self.args!r}>"

    @property
    def returncode(self) -> Exit | None:
        """How the child ended; None until it is reaped."""
        return self._child.exit

    def poll(self) -> Exit | None:
        """Return how the child ended, reaping it if it has; None while it lives."""
        return self._child.reap()

    def wait(self, timeout: float | None = None) -> Exit:
        """Block until the child has exited; return how it ended.

        Raises:
            subprocess.TimeoutExpired: it still lives after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (exit := self._child.reap()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            if self._child.wait_for_exit(left):
                time.sleep(0 if self._child.exit else 0.001)  # it may be dead and held by somebody
        return exit

    def send_signal(self, signal: int) -> None:
        """Send the signal to the child; nothing happens if it has exited."""
        with contextlib.suppress(ProcessLookupError):
            self._child.signal(signal)

    def terminate(self) -> None:
        """Ask the child to end, as `Child.terminate`; nothing happens if it has exited."""
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()

    def kill(self) -> None:
        """End the child, as `Child.kill`; nothing happens if it has exited."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
