"""Whether a loop has started children; for a loop without any, nothing else of this package is imported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from governess.children._per_loop import PerLoop

if TYPE_CHECKING:
    from governess.transports._start import LoopChildren

__all__ = ["children_of", "close_descriptors", "has_children"]

#: The children of each loop that has started any.
children_of: PerLoop[LoopChildren] = PerLoop()


def has_children(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether the loop has started any child."""
    return children_of.get(loop) is not None


def close_descriptors(loop: asyncio.AbstractEventLoop) -> None:
    """Close our ends of the pipes that the loop, which is closed by now, has not closed."""
    if (children := children_of.get(loop)) is not None:
        children_of.discard(loop)
        children.close_descriptors(loop)
