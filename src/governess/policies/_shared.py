"""Policies whose loop is shared: by the threads of a process, by the copies of a context."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from governess.abc import AbstractChildWatcher
from governess.children._per_loop import running_loop
from governess.loops._choose import LoopFactory
from governess.loops._threaded.loop import THREADED, ThreadedLoop, make_threaded
from governess.policies._closing import close_at_exit
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import ContextScope, ProcessScope

if sys.platform != "win32":
    from governess.loops._watched import WatchedLoop, attach_watcher

__all__ = ["ContextEventLoopPolicy", "SharedEventLoopPolicy"]

T = TypeVar("T")


class SharedEventLoopPolicy(DefaultEventLoopPolicy):
    """All threads of the process share one loop, which runs in a thread of its own; any thread may call into it.

    `new_event_loop` makes ordinary loops, for callers that close their loop, such as `asyncio.run`.
    """

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine loop factory and watcher, as `DefaultEventLoopPolicy` does; the first use starts the shared loop."""
        self._process_scope = ProcessScope()
        super().__init__(loop_factory, scope=self._process_scope, watcher=watcher)

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop of this thread, else the loop set in this thread, else the shared loop."""
        if (running := running_loop()) is not None:
            return running
        own = self._process_scope.own
        return self._shared_loop() if own is None else own

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the shared loop, wait for it, and return its result or raise its exception.

        The coroutine runs in a copy of the caller's context. If the caller is interrupted (KeyboardInterrupt), the
        coroutine is cancelled and has a few seconds to end.

        Raises:
            RuntimeError: this is the thread of the shared loop; the call would wait for itself.
            TypeError: the argument is not a coroutine.
        """
        return self._shared_loop().call(coroutine)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the shared loop; return a `concurrent.futures.Future`, which can also cancel it.

        Raises:
            TypeError: the argument is not a coroutine.
        """
        return self._shared_loop().submit(coroutine)

    def _shared_loop(self) -> ThreadedLoop:
        loop = self._process_scope.shared
        if not isinstance(loop, ThreadedLoop) or loop.is_closed():
            loop = self._start_shared_loop()
        if sys.platform != "win32" and isinstance(loop, WatchedLoop):
            attach_watcher(loop)
        return loop

    def _start_shared_loop(self) -> ThreadedLoop:
        with self._lock:
            loop = self._process_scope.shared
            if not isinstance(loop, ThreadedLoop) or loop.is_closed():  # no other thread has started one meanwhile
                loop = self._new_threaded_loop()
                loop.start()
                close_at_exit(self)
                self._process_scope.share(loop)
            return loop

    def _new_threaded_loop(self) -> ThreadedLoop:
        if type(self).new_event_loop is not SharedEventLoopPolicy.new_event_loop:  # a subclass makes the loops
            return make_threaded(self.new_event_loop())
        return make_threaded(self._new_loop((*self._changes, THREADED)))


class ContextEventLoopPolicy(DefaultEventLoopPolicy):
    """Gives each `contextvars` context its own current loop; copies of a context inherit it."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine loop factory and watcher, as `DefaultEventLoopPolicy` does."""
        self._context_scope = ContextScope()
        super().__init__(loop_factory, scope=self._context_scope, watcher=watcher)

    def close(self) -> None:
        """Close all loops that this policy has made, as `DefaultEventLoopPolicy.close` does; no context keeps them."""
        try:
            super().close()
        finally:
            self._context_scope.release()
