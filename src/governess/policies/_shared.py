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
from governess.loops._threaded.loop import ThreadedLoop, make_threaded
from governess.policies._closing import close_at_exit
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import ContextScope, ProcessScope

if sys.platform != "win32":
    from governess.loops._watched import WatchedLoop, attach_watcher

__all__ = ["ContextEventLoopPolicy", "SharedEventLoopPolicy"]

T = TypeVar("T")


class SharedEventLoopPolicy(DefaultEventLoopPolicy):
    """One loop for every thread of the process, which runs in a thread of its own; any thread calls in.

    `new_event_loop` makes ordinary loops beside it, for `asyncio.run` and others that close their own.
    """

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine the other two choices, as `DefaultEventLoopPolicy` does; the shared loop begins on the first need."""
        self._process_scope = ProcessScope()
        super().__init__(loop_factory, scope=self._process_scope, watcher=watcher)

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that runs here, else the one that was set in this thread, else the shared one; it runs."""
        if (running := running_loop()) is not None:
            return running
        own = self._process_scope.own
        return self._shared_loop() if own is None else own

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the shared loop, wait for it, and return or raise what it does.

        It runs in a copy of the caller's context. If the caller is interrupted (KeyboardInterrupt), the coroutine is
        cancelled and has a few seconds to end.

        Raises:
            RuntimeError: this is the thread of the shared loop, which would wait for itself.
            TypeError: this is no coroutine.
        """
        return self._shared_loop().call(coroutine)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the shared loop; return its future, by which it can be cancelled too.

        Raises:
            TypeError: this is no coroutine.
        """
        return self._shared_loop().submit(coroutine)

    def _shared_loop(self) -> ThreadedLoop:
        with self._lock:
            loop = self._process_scope.shared
            if not isinstance(loop, ThreadedLoop) or loop.is_closed():
                loop = make_threaded(self.new_event_loop())
                loop.start()
                close_at_exit(self)
                self._process_scope.share(loop)
        if sys.platform != "win32" and isinstance(loop, WatchedLoop):
            attach_watcher(loop)
        return loop


class ContextEventLoopPolicy(DefaultEventLoopPolicy):
    """The current loop belongs to the `contextvars` context, not to the thread."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine the other two choices, as `DefaultEventLoopPolicy` does."""
        super().__init__(loop_factory, scope=ContextScope(), watcher=watcher)
