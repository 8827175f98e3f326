"""Policies whose loops schedule in another way: they limit the tasks in progress, or run callbacks by priority."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import SupportsIndex

from governess.abc import AbstractChildWatcher
from governess.loops._change import LoopChange
from governess.loops._choose import LoopFactory
from governess.loops._limited.loop import DEFAULT, checked_limit, limit_of
from governess.loops._priority.loop import PRIORITIZED
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import Scope

__all__ = ["LimitedEventLoopPolicy", "PriorityEventLoopPolicy"]


class LimitedEventLoopPolicy(DefaultEventLoopPolicy):
    """Limits the number of tasks in progress in each loop; the other tasks start when slots become free."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
        max_tasks: SupportsIndex = DEFAULT,
    ) -> None:
        """Combine loop factory, scope and watcher, as `DefaultEventLoopPolicy` does, with a limit.

        Args:
            loop_factory: see `DefaultEventLoopPolicy`.
            scope: see `DefaultEventLoopPolicy`.
            watcher: see `DefaultEventLoopPolicy`.
            max_tasks: how many tasks of one loop may be in progress at a time.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `max_tasks` is less than 1, or no loop has this name.
        """
        self._max_tasks = checked_limit(max_tasks)
        super().__init__(loop_factory, scope=scope, watcher=watcher)

    @property
    def _changes(self) -> Sequence[LoopChange]:
        return (*super()._changes, limit_of(self._max_tasks))


class PriorityEventLoopPolicy(DefaultEventLoopPolicy):
    """Makes loops that run callbacks in the order of their priority, which `governess.priority` sets in a context."""

    @property
    def _changes(self) -> Sequence[LoopChange]:
        return (*super()._changes, PRIORITIZED)
