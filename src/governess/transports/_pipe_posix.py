"""Our end of a pipe, used by a thread that blocks in it until another thread wakes it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import Any

from governess.transports._child_pipe import PipeEnd

assert sys.platform != "win32"

__all__ = ["BlockingPipe"]


class BlockingPipe:
    """A pipe that one thread reads or writes, and that others may `wake`. `close` leaves the end to its owner."""

    def __init__(self, end: PipeEnd) -> None:
        """Use the end; OSError if there are no descriptors for the waking."""
        self._descriptor = end.fileno()
        os.set_blocking(self._descriptor, False)
        self._wakeup_r, self._wakeup_w = os.pipe()
        os.set_blocking(self._wakeup_w, False)

    def read(self, size: int) -> bytes | None:
        """Wait for data and return it: nothing at the end, None if woken before there was any."""
        while True:
            with contextlib.suppress(BlockingIOError):
                return os.read(self._descriptor, size)
            if not self._wait_for(select.POLLIN):
                return None

    def write(self, data: bytes | memoryview[Any]) -> int:
        """Wait for room; return how much was written, 0 if woken before there was any.

        Raises:
            BrokenPipeError: the pipe has no reader any more.
        """
        while True:
            with contextlib.suppress(BlockingIOError):
                return os.write(self._descriptor, data)
            if not self._wait_for(select.POLLOUT):
                return 0

    def wait_for_hangup(self) -> bool:
        """Wait until the pipe has no reader; return False if woken before that."""
        return self._wait_for(0)

    def wake(self) -> None:
        """Wake the thread that waits; if none waits, the next wait returns at once."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wakeup_w, b"!")

    def close(self) -> None:
        """Close the wake-up pipe; no thread may wait meanwhile."""
        os.close(self._wakeup_r)
        os.close(self._wakeup_w)

    def _wait_for(self, events: int) -> bool:
        poller = select.poll()
        poller.register(self._descriptor, events)
        poller.register(self._wakeup_r, select.POLLIN)
        if self._wakeup_r not in dict(poller.poll()):
            return True
        os.read(self._wakeup_r, 4096)
        return False
