"""Where a child can be run: a watcher, a loop class, and the main thread or another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import governess
from governess.watchers import choose_watcher
from governess.watchers._base import ChildWatcher

T = TypeVar("T")

#: kqueue is tested against a fake, in test_kqueue.py.
WATCHERS = ("pidfd", "threaded", "multiloop", "safe", "fast")

#: These work through the main thread's loop, which must run for the loops of other threads.
ATTACHED = ("safe", "fast")


@dataclass
class Setting:
    """One combination; `run` runs a coroutine function in it."""

    watcher: ChildWatcher
    loop_class: Callable[[], asyncio.AbstractEventLoop]
    place: str
    needs_main_loop: bool

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with governess.DefaultEventLoopPolicy(self.loop_class, watcher=self.watcher) as policy:
            if self.place == "main thread":
                return _run(policy, main)
            if self.needs_main_loop:
                return _run(policy, lambda: asyncio.to_thread(_run, policy, main))
            return in_thread(lambda: _run(policy, main))


def make_setting(watcher: str, loop_class: Callable[[], asyncio.AbstractEventLoop], place: str) -> Setting:
    return Setting(choose_watcher(watcher).factory(), loop_class, place, watcher in ATTACHED)


def run_in(
    loop_class: Callable[[], asyncio.AbstractEventLoop],
    main: Callable[[], Coroutine[Any, Any, T]],
    watcher: Any = None,
) -> T:
    """Run a coroutine function in a loop of a policy of its own."""
    with governess.DefaultEventLoopPolicy(loop_class, watcher=watcher) as policy:
        return _run(policy, main)


def _run(policy: governess.DefaultEventLoopPolicy, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        return runner.run(main())


def in_thread(function: Callable[[], T]) -> T:
    """Call the function in a new thread; return or raise what it does."""
    outcome: asyncio.Future[T] | list[Any] = []

    def call() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    ((result, error),) = outcome
    if error is not None:
        raise error
    return result


async def told(watcher: ChildWatcher, pid: int) -> Awaitable[int]:
    """Add a handler to the watcher; the result is an awaitable of the returncode."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    watcher.add_child_handler(pid, lambda _, returncode: loop.call_soon_threadsafe(future.set_result, returncode))
    return future
