"""The policy whose loops run each in a thread of its own; its `map` distributes work over several loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from governess.abc import AbstractChildWatcher
from governess.children._cpus import usable_cpus
from governess.loops._change import LoopChange
from governess.loops._choose import LoopFactory
from governess.loops._threaded.loop import THREADED, ThreadedLoop, make_threaded
from governess.policies._closing import close_at_exit
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._map import spread
from governess.policies._scopes import Scope

__all__ = ["ThreadedEventLoopPolicy"]

T = TypeVar("T")
Item = TypeVar("Item")


class ThreadedEventLoopPolicy(DefaultEventLoopPolicy):
    """Runs each new loop in a thread of its own; any other thread can use it like an ordinary loop."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | int | None = None,
        *,
        threads: int | None = None,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine loop factory, scope and watcher, as `DefaultEventLoopPolicy` does.

        Args:
            loop_factory: see `DefaultEventLoopPolicy`. The class of its loops must allow subclasses, as the classes of
                asyncio and uvloop do. A number here is the number of `threads`, as in `ThreadPoolExecutor(4)`.
            threads: the number of loops that `map` uses, each in its own thread; None for the number of CPUs that this
                process may use.
            scope: see `DefaultEventLoopPolicy`.
            watcher: see `DefaultEventLoopPolicy`.

        Raises:
            ValueError: `threads` is less than 1, or no loop has this name.
            TypeError: an argument has the wrong type.
        """
        if isinstance(loop_factory, int):
            if threads is not None:
                raise TypeError(f"loop_factory is a callable or a name such as 'auto', not {loop_factory!r}")
            threads, loop_factory = loop_factory, None
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        super().__init__(loop_factory, scope=scope, watcher=watcher)
        self._threads = usable_cpus() if threads is None else threads
        self._map_loops: list[ThreadedLoop] = []

    @property
    def _changes(self) -> Sequence[LoopChange]:
        return (*super()._changes, THREADED)

    def map(self, function: Callable[[Item], Awaitable[T]], items: Iterable[Item], *, at_once: int = 100) -> list[T]:
        """Await ``function(item)`` for each item, distributed over the policy's loops; return the results in order.

        Each loop takes the next item as soon as the loop is free, and not earlier. The threads of the loops advance the
        iterator, one thread at a time. The first error cancels the other calls and is raised; a KeyboardInterrupt of
        the caller cancels all calls. Each call runs in its own copy of the caller's context.

        Args:
            function: an async function of one argument, or any function that returns an awaitable.
            items: the arguments.
            at_once: the largest number of items in progress in one loop.

        Raises:
            RuntimeError: this is the thread of one of these loops; the call would wait for itself.
            ValueError: `at_once` is less than 1.
        """
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, not {at_once}")
        return spread(function, items, self._loops_for_map(), at_once)

    def _loops_for_map(self) -> list[ThreadedLoop]:
        with self._lock:
            made = self._made_loops()
            self._map_loops = [loop for loop in self._map_loops if loop in made and not loop.is_closed()]
            while len(self._map_loops) < self._threads:
                loop = make_threaded(self.new_event_loop())
                loop.start()
                close_at_exit(self)
                self._map_loops.append(loop)
            return list(self._map_loops)
