"""The policy whose loops run callbacks by priority."""

from __future__ import annotations

import asyncio

from governess.loops.prioritized import prioritize
from governess.policies.default import DefaultEventLoopPolicy

__all__ = ["PriorityEventLoopPolicy"]


class PriorityEventLoopPolicy(DefaultEventLoopPolicy):
    """Its loops run callbacks by the priority of their context, as `governess.priority` sets it."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop that heeds priorities.

        Raises:
            TypeError: the loop factory has made something else, or a loop of a class that nothing can be added to.
        """
        return prioritize(super().new_event_loop())
