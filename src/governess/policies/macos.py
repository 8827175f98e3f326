"""The policy for macOS."""

from __future__ import annotations

from collections.abc import Callable

from governess.abc import AbstractChildWatcher
from governess.policies.default import DefaultEventLoopPolicy, LoopFactory
from governess.policies.scopes import Scope
from governess.watchers.kqueue import KqueueChildWatcher

__all__ = ["MacOSEventLoopPolicy"]


class MacOSEventLoopPolicy(DefaultEventLoopPolicy):
    """The default policy with a kqueue watcher.

    Its authors have no Mac: it is tested against a fake kqueue.
    """

    def __init__(
        self,
        loop_factory: LoopFactory | None = None,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = KqueueChildWatcher,
        *,
        loop: str | None = None,
    ) -> None:
        """Combine the three choices, as `DefaultEventLoopPolicy` does."""
        super().__init__(loop_factory, scope, watcher, loop=loop)
