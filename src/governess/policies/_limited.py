"""Policies whose loops limit their tasks, or run callbacks by priority."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import SupportsIndex

from governess.abc import AbstractChildWatcher
from governess.loops._choose import LoopFactory
from governess.loops._limited.loop import DEFAULT, checked_limit, make_limited
from governess.loops._priority.loop import make_prioritized
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import Scope

__all__ = ["LimitedEventLoopPolicy", "PriorityEventLoopPolicy"]


class LimitedEventLoopPolicy(DefaultEventLoopPolicy):
    """Its loops have a limited number of tasks in progress at a time; the others start when slots become free."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
        max_tasks: SupportsIndex = DEFAULT,
    ) -> None:
        """Combine the three choices, as `DefaultEventLoopPolicy` does.

        Args:
            loop_factory: see there.
            scope: see there.
            watcher: see there.
            max_tasks: how many tasks of one loop may be in progress at a time.

        Raises:
            TypeError: an argument is not of its kind.
            ValueError: `max_tasks` is less than 1, or there is no loop of that name.
        """
        self._max_tasks = checked_limit(max_tasks)
        super().__init__(loop_factory, scope=scope, watcher=watcher)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop with this policy's limit.

        Raises:
            TypeError: the loop factory has made something else, or a loop of a class that nothing can be added to.
        """
        return make_limited(super().new_event_loop(), self._max_tasks)


class PriorityEventLoopPolicy(DefaultEventLoopPolicy):
    """Its loops run callbacks by the priority of their context, as `governess.priority` sets it."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop that heeds priorities.

        Raises:
            TypeError: the loop factory has made something else, or a loop of a class that nothing can be added to.
        """
        return make_prioritized(super().new_event_loop())
