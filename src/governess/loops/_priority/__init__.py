"""Loops that run callbacks by priority; their ready queue is written in C where that is built, else in Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__all__ = ["ReadyHandle", "ReadyQueue", "call_soon"]

if TYPE_CHECKING or os.environ.get("GOVERNESS_PURE"):
    from governess.loops._priority.ready import ReadyHandle, ReadyQueue, call_soon
else:
    try:
        from governess.loops._priority import _ready as implementation
    except ImportError:
        from governess.loops._priority import ready as implementation
    ReadyQueue, ReadyHandle, call_soon = implementation.ReadyQueue, implementation.ReadyHandle, implementation.call_soon
