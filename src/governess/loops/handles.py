"""What `call_soon` and `call_later` of a prioritized loop return."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any

from governess.loops.line import ReadyHandle

__all__ = ["DebugHandle", "TimerHandle"]

# As many frames as asyncio keeps of where a handle was made.
DEPTH = 10


class DebugHandle(ReadyHandle):
    """A handle that knows where it was made."""

    __slots__ = ("_place", "source_traceback")

    source_traceback: traceback.StackSummary | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_HOUSE):
            frame = frame.f_back
        self.source_traceback = stack = traceback.extract_stack(frame, DEPTH)
        self._place = f"{stack[-1].filename}:{stack[-1].lineno}"

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} created at {self._place}>"


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


_HOUSE = __name__.rpartition(".")[0]
