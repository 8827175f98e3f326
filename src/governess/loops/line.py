"""The line of a prioritized loop: written in C where that is built, else in Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__all__ = ["Ready", "ReadyHandle", "call_soon"]

if TYPE_CHECKING or os.environ.get("GOVERNESS_PURE"):
    from governess.loops.ready import Ready, ReadyHandle, call_soon
else:
    try:
        from governess.loops import _ready as line
    except ImportError:
        from governess.loops import ready as line
    Ready, ReadyHandle, call_soon = line.Ready, line.ReadyHandle, line.call_soon
