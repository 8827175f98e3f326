"""The policy whose loops have a limit for their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import SupportsIndex

from governess.abc import AbstractChildWatcher
from governess.loops.limited import DEFAULT, checked_limit, limit
from governess.policies.default import DefaultEventLoopPolicy, LoopFactory
from governess.policies.scopes import Scope

__all__ = ["LimitedEventLoopPolicy"]


class LimitedEventLoopPolicy(DefaultEventLoopPolicy):
    """Its loops have at most so many tasks in progress at a time; the others start as places come free."""

    def __init__(
        self,
        loop_factory: LoopFactory | None = None,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
        *,
        max_tasks: SupportsIndex = DEFAULT,
        loop: str | None = None,
    ) -> None:
        """Combine the three choices, as `DefaultEventLoopPolicy` does.

        Args:
            loop_factory: see there.
            scope: see there.
            watcher: see there.
            max_tasks: how many tasks of one loop may be in progress at a time.
            loop: see there.

        Raises:
            TypeError: an argument is not of its kind.
            ValueError: `max_tasks` is less than 1, or there is no loop of that name.
        """
        self._max_tasks = checked_limit(max_tasks)
        super().__init__(loop_factory, scope, watcher, loop=loop)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop with this policy's limit.

        Raises:
            TypeError: the loop factory has made something else, or a loop of a class that nothing can be added to.
        """
        return limit(super().new_event_loop(), self._max_tasks)
