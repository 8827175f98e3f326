"""asyncio's names of policies that belong to one system."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from governess.abc import AbstractChildWatcher
from governess.loops._choose import LoopFactory
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import Scope

if sys.platform == "win32":
    __all__ = ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]

    class WindowsSelectorEventLoopPolicy(DefaultEventLoopPolicy):
        """Makes selector loops, which have `add_reader`; governess starts their children, threads serve the pipes."""

        _loop_factory = asyncio.SelectorEventLoop

    class WindowsProactorEventLoopPolicy(DefaultEventLoopPolicy):
        """Makes proactor loops, which have child processes and no `add_reader`."""

        _loop_factory = asyncio.ProactorEventLoop

else:
    from governess.watchers._kqueue import KqueueChildWatcher

    __all__ = ["MacOSEventLoopPolicy"]

    class MacOSEventLoopPolicy(DefaultEventLoopPolicy):
        """The default policy with a kqueue watcher.

        Its authors have no Mac: it is tested against a fake kqueue.
        """

        def __init__(
            self,
            loop_factory: LoopFactory | str | None = None,
            *,
            scope: Scope | None = None,
            watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = KqueueChildWatcher,
        ) -> None:
            """Combine the three choices, as `DefaultEventLoopPolicy` does."""
            super().__init__(loop_factory, scope=scope, watcher=watcher)
