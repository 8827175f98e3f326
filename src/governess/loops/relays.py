"""What the loop below calls when a timer, a descriptor or a signal fires, so that its callback joins the line."""

from __future__ import annotations

from collections.abc import Callable

from governess.loops.handles import TimerHandle
from governess.loops.line import ReadyHandle

__all__ = ["Firing", "Relay"]


class Firing:
    """Takes a timer from its first stage, the loop's clock, to its second, the line."""

    __slots__ = ("_join", "_timer")

    def __init__(self, timer: TimerHandle, join: Callable[[], ReadyHandle]) -> None:
        self._timer = timer
        self._join = join

    def __call__(self) -> None:
        """Let it join, now that its time has come."""
        if not self._timer.cancelled():
            self._timer.stage = self._join()


class Relay:
    """Has a callback join the line whenever a descriptor or a signal fires, but not while it is still there.

    A descriptor stays ready, and the loop below says so in every round, until the callback has had its turn.
    """

    __slots__ = ("_handle", "_join")

    def __init__(self, join: Callable[[], ReadyHandle]) -> None:
        self._join = join
        self._handle: ReadyHandle | None = None

    def __call__(self) -> None:
        """Let it join, if it is not there."""
        if self._handle is None or self._handle.due is None:
            self._handle = self._join()

    def cancel(self) -> None:
        """Do not call it for what has fired before."""
        if self._handle is not None:
            self._handle.cancel()
