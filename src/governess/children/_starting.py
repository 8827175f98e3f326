"""Which loops have starts of children in progress; what serves the children of such a loop stays open for the next one.

To add a reader to a loop and to remove it takes some forty Python calls. Of many short-lived children none lives, again
and again, before the next one does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from governess.children._per_loop import PerLoop

__all__ = ["Starts", "starts_of"]


class Starts:
    """The starts of one loop that are in progress.

    Attributes:
        queue: returns their queue; None where there are none.
        kept: what is called when there are none any more.
    """

    def __init__(self) -> None:
        """Begin with no start."""
        self.queue: Callable[[], Any] | None = None
        self.kept: set[Callable[[], object]] = set()

    def close_kept(self) -> None:
        """Call what is kept; nothing is, from then on."""
        while self.kept:
            self.kept.pop()()


#: The starts of each loop that has started any child by the native spawner.
starts_of: PerLoop[Starts] = PerLoop()
