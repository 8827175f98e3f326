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
            loop_factory: see `DefaultEventLoopPolicy`; it must be possible to subclass the class of its loops, as with
                those of asyncio and uvloop. A number means `threads`, as in `ThreadPoolExecutor(4)`.
            threads: the number of loops, each in its thread, that `map` uses; None is one for each CPU that this
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

        Each loop takes the next item as soon as it is free; no item is taken from an iterator before it is needed. The
        loops' threads advance the iterator, one at a time. The first error cancels the other calls and is raised; an
        interrupt of the caller cancels them too. Each call runs in a copy of its own of the caller's context.

        Args:
            function: an async function of one argument, or any function that returns an awaitable.
            items: the arguments.
            at_once: how many items one loop has in progress at most.

        Raises:
            RuntimeError: this is the thread of one of these loops, which would wait for itself.
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
