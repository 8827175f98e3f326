"""Threads in which `subprocess.Popen` starts children: the spawner where the extension is not built."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from governess.children import popen
from governess.children.command import Birth, Command
from governess.children.fork import in_forked_child

__all__ = ["Helpers", "spawn"]

# Threads that start children are few, and live as long as the process.
_THREADS = 4


class Helpers:
    """The spawner that has `subprocess.Popen` start children in a few threads."""

    name = "popen"

    def __init__(self, reason: str) -> None:
        """Be the spawner for this reason."""
        self.reason = f"subprocess.Popen in helper threads: {reason}"

    async def spawn(self, command: Command) -> Birth:
        """Start the child, as `Spawner.spawn` says; other threads of Python stand still until it has exec'ed."""
        return await spawn(command)


async def spawn(command: Command) -> Birth:
    """Have `subprocess.Popen` start the child, in a helper thread."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Birth] = loop.create_future()
    in_forked_child(_start_anew)
    _threads.submit(_Task(command, loop, outcome))
    try:
        return await outcome
    except asyncio.CancelledError:
        if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
            outcome.result().discard()
        raise


class _Task:
    """One child to be started, and the future that waits for it."""

    def __init__(self, command: Command, loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[Birth]) -> None:
        self._command = command
        self._loop = loop
        self._outcome = outcome

    def perform(self) -> None:
        """Start the child, in a helper thread."""
        if self._outcome.cancelled():
            return
        try:
            birth = popen.start(self._command)
        except BaseException as error:
            self._tell(self._failed, error)
        else:
            if not self._tell(self._born, birth):
                birth.discard()

    def _tell(self, outcome: Callable[[Any], None], value: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(outcome, value)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _born(self, birth: Birth) -> None:
        if self._outcome.done():
            birth.discard()
        else:
            self._outcome.set_result(birth)

    def _failed(self, error: BaseException) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)


class _Threads:
    """The threads that start children, each started when the ones before it are busy."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def submit(self, task: _Task) -> None:
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < _THREADS:
                self._start_thread()
        self._tasks.put(task)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"governess-spawn-{self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # can't start new thread
            if self._threads == 0:
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            with _without_sigchld():
                task = self._tasks.get()
            task.perform()
            del task  # an idle thread would keep its loop alive
            with self._lock:
                self._idle += 1


@contextlib.contextmanager
def _without_sigchld() -> Iterator[None]:
    """Leave SIGCHLD to the main thread, where alone Python handles it, and which must wake up for that.

    Linux gives it to the thread that started the child, unless that one blocks it. While it starts another, it must
    not: the child inherits the mask.
    """
    if sys.platform == "win32":  # which has neither
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_threads = _Threads()


def _start_anew() -> None:
    global _threads
    _threads = _Threads()
