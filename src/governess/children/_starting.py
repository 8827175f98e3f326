"""The starts of children that are in progress in each loop. Meanwhile, the readers of the loop's children stay open.

To add a reader to a loop and to remove it takes about forty Python calls. A loop that starts many short-lived children
often has no child for a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from governess.children._per_loop import PerLoop

__all__ = ["Starts", "starts_of"]


class Starts:
    """The starts of one loop that are in progress.

    Attributes:
        queue: returns the queue of the starts; None if there are none.
        kept: functions that are called when the last start has ended.
    """

    def __init__(self) -> None:
        """Begin without a start."""
        self.queue: Callable[[], Any] | None = None
        self.kept: set[Callable[[], object]] = set()

    def close_kept(self) -> None:
        """Call the kept functions, and forget them."""
        while self.kept:
            self.kept.pop()()


#: The starts of each loop that has started any child by the native spawner.
starts_of: PerLoop[Starts] = PerLoop()
