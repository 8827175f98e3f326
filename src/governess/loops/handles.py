"""What `call_soon` and `call_later` of a prioritized loop return."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["DebugHandle", "ReadyHandle", "TimerHandle"]

# As many frames as asyncio keeps of where a handle was made.
DEPTH = 10


class ReadyHandle(asyncio.Handle):
    """One callback that waits for its turn.

    One is made for each `call_soon`, so it leaves out asyncio's `__init__`, and has fields and methods of its own.

    Attributes:
        due: what the line orders it by; None when it is not in line any more.
    """

    __slots__ = ("args", "callback", "context", "due")

    due: int | None

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        """Do not call it; what it was to be called with is let go at once."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.callback is None

    def get_context(self) -> Context:
        """Return the context in which it is called."""
        return self.context

    @property
    def source_traceback(self) -> traceback.StackSummary | None:
        """Where it was made, if that was in debug mode."""
        return None

    def __repr__(self) -> str:
        if self.callback is None:
            return "<Handle cancelled>"
        return repr(asyncio.Handle(self.callback, self.args, _NOT_DEBUGGING, self.context))


class DebugHandle(ReadyHandle):
    """A handle that knows where it was made."""

    __slots__ = ("_source",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_HOUSE):
            frame = frame.f_back
        self._source = traceback.extract_stack(frame, DEPTH)

    @property
    def source_traceback(self) -> traceback.StackSummary:
        """Where it was made."""
        return self._source

    def __repr__(self) -> str:
        place = self._source[-1]
        return f"{super().__repr__()[:-1]} created at {place.filename}:{place.lineno}>"


class TimerHandle(asyncio.TimerHandle):
    """A callback that first waits for its time, then for its turn.

    Attributes:
        stage: the handle of what it waits for now.
    """

    __slots__ = ("stage",)

    stage: asyncio.Handle | None

    def cancel(self) -> None:
        """Do not call it."""
        # Not TimerHandle.cancel: that counts the cancelled ones among the loop's timers, where this one is not.
        asyncio.Handle.cancel(self)
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.cancel()


class _NotDebugging:
    """The loop of a handle that lives for one `repr`, whose place of birth is of no interest."""

    def get_debug(self) -> bool:
        return False


_NOT_DEBUGGING: Any = _NotDebugging()
_HOUSE = __name__.rpartition(".")[0]
