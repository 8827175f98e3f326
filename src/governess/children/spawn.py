"""Starting children from a loop, away from the loop's thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from governess.children import popen
from governess.children.command import Birth, Command
from governess.children.fork import in_forked_child

__all__ = ["describe", "spawn"]

# Threads that start children are few, and live as long as the process: a child that asked for PR_SET_PDEATHSIG dies
# with the thread that started it, prctl(2).
_THREADS = 4


def describe() -> tuple[str, str]:
    """Return the name of the spawner in use, and why it is that one."""
    return "popen", "subprocess.Popen in a helper thread"


async def spawn(command: Command) -> Birth:
    """Start a child; the running loop goes on meanwhile.

    A cancelled spawn leaves nothing behind: a child that was born in spite of it is killed and reaped.

    Raises:
        OSError: as `subprocess.Popen` raises it, with the same errno and filename; so its other errors.
    """
    if command.options.get("preexec_fn") is not None:
        return popen.start(command)  # Python code of the caller's, who expects it in this thread
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Birth] = loop.create_future()
    in_forked_child(_start_anew)
    _helpers.submit(_Task(command, loop, outcome))
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


class _Helpers:
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
                self._threads += 1
                threading.Thread(target=self._work, name=f"governess-spawn-{self._threads}", daemon=True).start()
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            self._tasks.get().perform()
            with self._lock:
                self._idle += 1


_helpers = _Helpers()


def _start_anew() -> None:
    global _helpers
    _helpers = _Helpers()
