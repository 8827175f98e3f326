"""The end of an output for those who read its lines, though another process still holds the pipe after the exit."""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import sys
from collections.abc import Callable

from governess.children._child import Child
from governess.children._exit import Exit

__all__ = ["Drain"]

_LARGEST_PIPE = 1 << 20  # bytes: pipe(7), /proc/sys/fs/pipe-max-size
_RETRY = 0.05  # seconds


class Drain:
    """Ends an output a number of seconds after the exit, but not before all that the child has written was read.

    Attributes:
        is_over: whether the output was ended: what still comes is another process's.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        child: Child,
        pipe: asyncio.ReadTransport,
        has_ended: Callable[[], bool],
        end: Callable[[], object],
    ) -> None:
        """Call `end` in the loop when the time has come, unless the output `has_ended` by then."""
        self.is_over = False
        self._loop = loop
        self._pipe = pipe
        self._has_ended = has_ended
        self._end = end
        self._seconds = math.inf
        self._exited_at: float | None = None
        self._came_since_exit = 0
        self._timer: asyncio.TimerHandle | None = None
        child.subscribe(self._note_exit)

    def limit(self, seconds: float) -> None:
        """Set how many seconds after the exit the output ends; `math.inf` leaves it open."""
        self._seconds = seconds
        if self._exited_at is not None:
            self._plan(self._exited_at)

    def takes(self, size: int) -> bool:
        """Return whether data of that size, which has come now, is for those who read."""
        if self._exited_at is not None:
            self._came_since_exit += size
        return not self.is_over

    def _note_exit(self, child: Child, exit: Exit) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._exited_at = self._loop.time()
        self._plan(self._exited_at)

    def _plan(self, exited_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._seconds != math.inf:
            self._timer = self._loop.call_at(exited_at + self._seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self.is_over or self._has_ended():
            return
        if self._is_behind():
            self._timer = self._loop.call_later(_RETRY, self._look)
            return
        self.is_over = True
        self._end()

    def _is_behind(self) -> bool:
        """Return whether the pipe may still hold what the child wrote before its exit: a pipe keeps the order."""
        if self._came_since_exit >= _LARGEST_PIPE:
            return False
        return not self._pipe.is_reading() or _is_readable(self._pipe)


def _is_readable(pipe: asyncio.ReadTransport) -> bool:
    if sys.platform == "win32":  # where the loop has begun to read already
        return False
    poller = select.poll()
    poller.register(pipe.get_extra_info("pipe").fileno(), select.POLLIN)
    return bool(poller.poll(0))
