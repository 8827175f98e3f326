"""Loops that run callbacks by priority; their ready queue is written in C where that is built, else in Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__all__ = ["ReadyHandle", "ReadyQueue", "TimerHandle", "call_at", "call_later", "call_soon", "call_soon_threadsafe"]

if TYPE_CHECKING:
    from governess.loops._priority.ready import (
        ReadyHandle,
        ReadyQueue,
        TimerHandle,
        call_at,
        call_later,
        call_soon,
        call_soon_threadsafe,
    )
else:
    try:
        if os.environ.get("GOVERNESS_PURE"):
            raise ImportError
        from governess.loops._priority import _ready as implementation
    except ImportError:
        from governess.loops._priority import ready as implementation
    globals().update((name, getattr(implementation, name)) for name in __all__)
