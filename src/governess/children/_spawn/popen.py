"""Starting children by `subprocess.Popen`: each in a thread of its own, or in the calling one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from governess.children._per_loop import PerLoop
from governess.children._spawn.blocking import start
from governess.children._spawn.command import Command, Outcome, Spawned, discard_outcome
from governess.children._spawn.with_parent import promise_of

__all__ = ["PopenSpawner", "spawn"]

# A program that is "Text file busy" is tried again after these pauses, in seconds: a quarter of a second in all.
_PAUSES = [0.001 * 2**number for number in range(8)]

_JOIN_TIMEOUT = 1.0  # seconds

# Seconds without another attempt after a thread could not be started: from 2.42 on, glibc leaks the mapping of the
# stack with each failed attempt.
_BACKOFF = 0.1

# How many starts of a loop are in progress at a time. A start that takes longer than `_SLOW` seconds does not count.
_AT_A_TIME, _SLOW = 4, 0.02
_gates: PerLoop[asyncio.Semaphore] = PerLoop()
_last_refusal = -math.inf


class PopenSpawner:
    """The spawner that has `subprocess.Popen` start each child in a thread."""

    name = "popen"

    def __init__(self, reason: str) -> None:
        """Be the spawner for this reason."""
        self.reason = f"subprocess.Popen in helper threads: {reason}"

    def spawn(self, command: Command) -> Coroutine[Any, Any, Spawned]:
        """Start the child, as `Spawner.spawn` says; other threads of Python stand still until it has exec'ed."""
        return spawn(command)


async def spawn(command: Command) -> Spawned:
    """Have `subprocess.Popen` start the child, in a thread of its own that this one makes.

    The kernel gives a child what the thread has that forks it (affinity, niceness, capabilities and the like), and a
    thread what its maker has. Few starts are on their way at a time, since each holds the GIL until the exec; one that
    takes long does not count. A `preexec_fn` is called in this very thread, as its author expects.
    """
    if command.options.get("preexec_fn") is not None:
        return start(command)
    await promise_of(command.options)  # which waits until there is a guardian
    loop = asyncio.get_running_loop()
    if (gate := _gates.get(loop)) is None:
        gate = asyncio.Semaphore(_AT_A_TIME)
        _gates.set(loop, gate)
    await gate.acquire()
    leave = _Once(gate.release)
    slow = loop.call_later(_SLOW, leave)
    try:
        return await _start_in_thread(loop, command)
    finally:
        slow.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its coroutines are thrown away
            leave()


async def _start_in_thread(loop: asyncio.AbstractEventLoop, command: Command) -> Spawned:
    global _last_refusal
    if time.monotonic() < _last_refusal + _BACKOFF:
        return _start_here(command)
    outcome: Outcome = loop.create_future()
    task = _Task(command, loop, outcome)
    try:
        task.copy_descriptors()
    except BaseException:
        task.close_copies()
        raise
    thread = threading.Thread(target=task.perform, name="governess-spawn", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # can't start new thread; or this interpreter has no daemon threads
        _last_refusal = time.monotonic()
        task.close_copies()
        return _start_here(command)
    try:
        spawned = (await outcome).pop()
        # It has told, and so it is at its end: neither a fork nor the end of an interpreter shall meet it.
        thread.join(_JOIN_TIMEOUT)
        return spawned
    except asyncio.CancelledError:
        discard_outcome(outcome)
        raise


class _Once:
    """Calls a function at the first call, and does nothing at the next."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


def _start_here(command: Command) -> Spawned:
    """Start the child in the calling thread, which waits for the exec: not where that could be for ever."""
    for file in (command.stdin, command.stdout, command.stderr):
        if isinstance(file, os.PathLike) and _is_fifo(file):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return start(command)


def _is_fifo(path: os.PathLike[Any]) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


class _Task:
    """One child to be started, and the future that waits for it."""

    def __init__(self, command: Command, loop: asyncio.AbstractEventLoop, outcome: Outcome) -> None:
        self._command = command
        self._loop = loop
        self._outcome = outcome
        self._copies: list[int] = []

    def copy_descriptors(self) -> None:
        """Copy the descriptors that the child is to have: a caller that is cancelled may close those at once.

        Their numbers could be those of other files before the thread has started the child, which would write there.

        Raises:
            OSError: one of them is closed; or there is no descriptor for a copy.
        """
        command = self._command
        stdin, stdout, stderr = map(self._copied, (command.stdin, command.stdout, command.stderr))
        if self._copies:
            self._command = Command(
                command.args,
                command.shell,
                stdin,
                stdout,
                stderr,
                command.options,
                keep_group=command.keep_group,
            )

    def _copied(self, wish: Any) -> Any:
        if wish is None or isinstance(wish, os.PathLike):
            return wish
        if not isinstance(wish, int) and callable(fileno := getattr(wish, "fileno", None)):
            wish = fileno()
        if type(wish) is not int or wish < 0:  # PIPE and its like; or what Popen refuses
            return wish
        self._copies.append(os.dup(wish))
        return self._copies[-1]

    def close_copies(self) -> None:
        """Close the copies."""
        while self._copies:
            os.close(self._copies.pop())

    def perform(self) -> None:
        """Start the child, in its thread."""
        try:
            try:
                spawned = self._start_patiently()
            finally:
                self.close_copies()
        except BaseException as error:
            self._tell(self._failed, error)
        else:
            if spawned is not None and not self._tell(self._born, spawned):
                spawned.discard()

    def _start_patiently(self) -> Spawned | None:
        """Start the child; None if nobody waits for it any more.

        Somebody who has a program open for writing makes it busy: often a child of another thread between fork and
        exec, which has a copy of that descriptor (golang.org/issue/22315).
        """
        for pause in (*_PAUSES, None):
            if self._outcome.cancelled():
                break
            try:
                return start(self._command)
            except OSError as error:
                if error.errno != errno.ETXTBSY or pause is None:
                    raise
            time.sleep(pause)
        return None

    def _tell(self, outcome: Callable[[Any], None], value: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(outcome, value)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _born(self, spawned: Spawned) -> None:
        if self._outcome.done():
            spawned.discard()
        else:
            self._outcome.set_result([spawned])

    def _failed(self, error: BaseException) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)
            self._outcome.exception()  # retrieved by that: its receiver may be thrown away with a closed loop
