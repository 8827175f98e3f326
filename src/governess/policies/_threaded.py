"""The policy whose loops live each in a thread of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from governess.abc import AbstractChildWatcher
from governess.loops._choose import LoopFactory
from governess.loops._threaded.loop import ThreadedLoop, make_threaded
from governess.policies._closing import close_at_exit
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import Scope

__all__ = ["ThreadedEventLoopPolicy"]

T = TypeVar("T")
Item = TypeVar("Item")


class ThreadedEventLoopPolicy(DefaultEventLoopPolicy):
    """Each new loop lives and runs in a thread of its own, and can be used from any other as an ordinary loop."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        threads: int | None = None,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine the three choices, as `DefaultEventLoopPolicy` does.

        Args:
            loop_factory: a callable or a name, as there; its loops are of a class that can be subclassed: asyncio's,
                uvloop's.
            threads: over how many loops, each in its thread, `map` spreads work; None is one for each CPU that this
                process may use.
            scope: who shares a loop.
            watcher: a watcher, or what makes one on the first need.

        Raises:
            ValueError: `threads` is less than 1; or there is no loop of that name.
            TypeError: an argument is not of its kind.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        super().__init__(loop_factory, scope=scope, watcher=watcher)
        self._threads = _cpus() if threads is None else threads
        self._crew: list[ThreadedLoop] = []

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop, which lives in a thread of its own and asks this policy for its watcher.

        Raises:
            TypeError: the loop factory has made something else, or a loop whose class is closed to change.
        """
        loop = super().new_event_loop()
        try:
            return make_threaded(loop)
        except BaseException:
            loop.close()
            raise

    def map(self, function: Callable[[Item], Awaitable[T]], items: Iterable[Item], *, at_once: int = 100) -> list[T]:
        """Await ``function(item)`` for each item, spread over the policy's loops; return the results in order.

        A loop takes the next item when it has time for it. The first error cancels the rest and is raised; so does an
        interrupt of the caller. Everything runs in copies of the caller's context.

        Args:
            function: an async function of one argument; or any function whose result can be awaited.
            items: what it is called with, one after the other.
            at_once: how many items one loop has in progress at the most.

        Raises:
            RuntimeError: this is the thread of one of these loops, which would wait for itself.
            ValueError: `at_once` is less than 1.
        """
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, not {at_once}")
        from governess.policies._map import spread

        return spread(function, items, self._loops_for_map(), at_once)

    def _loops_for_map(self) -> list[ThreadedLoop]:
        with self._lock:
            self._crew = [loop for loop in self._crew if loop in self._loops and not loop.is_closed()]
            while len(self._crew) < self._threads:
                loop = make_threaded(self.new_event_loop())
                loop.start()
                close_at_exit(self)
                self._crew.append(loop)
            return list(self._crew)


def _cpus() -> int:
    count = getattr(os, "process_cpu_count", None)  # 3.13 and later
    if count is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (count or os.cpu_count)() or 1
