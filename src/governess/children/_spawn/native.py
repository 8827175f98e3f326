"""Children started by `_native`, an extension whose threads need neither the GIL nor Python."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import itertools
import subprocess
import weakref
from collections.abc import Iterable
from contextvars import Context
from typing import TYPE_CHECKING

from governess.children import _registry
from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._per_loop import running_loop, when_closed
from governess.children._pidfd import open_pidfd
from governess.children._spawn import _native, popen
from governess.children._spawn.blocking import POPEN
from governess.children._spawn.command import Command, Outcome, Spawned, arguments_of, discard_outcome
from governess.children._spawn.errors import error_of_start
from governess.children._spawn.with_parent import end_with_parent, leads_group, promise_of
from governess.children._starting import Starts, starts_of

if TYPE_CHECKING:
    from governess.children._guardian import Guard

__all__ = ["NativeSpawner"]

# How long starts in progress can delay the exit of the process, in seconds. Their children are killed, so it is brief.
_JOIN_TIMEOUT = 1.0


class NativeSpawner:
    """The spawner whose threads are outside of Python."""

    name = "native"

    @property
    def reason(self) -> str:
        """How children are started."""
        return f"threads outside of Python start children, by {_native.get_way()}"

    async def spawn(self, command: Command) -> Spawned:
        """Start the child, as `Spawner.spawn` says."""
        # Code of the caller's that runs in the child needs Python there; and a mock in somebody's test is to be called.
        if command.options.get("preexec_fn") is not None or subprocess.Popen is not POPEN:
            return await popen.spawn(command)
        # The kernel ends a child that leads no group.
        options = command.options
        guard = await promise_of(options) if "die_with_parent" in options and leads_group(options) else None
        loop = asyncio.get_running_loop()
        # Not _get_starts() at once: this is done for each child.
        starts = getattr(loop, "__dict__", _NO_ATTRIBUTES).get(starts_of.name) or _get_starts(loop)
        queue = None if starts.queue is None else starts.queue()
        if queue is None:
            try:
                queue = _SpawnQueue(loop, starts)
            except NotImplementedError:  # the loop has no add_reader
                return await popen.spawn(command)
            starts.queue = weakref.ref(queue)
        outcome: Outcome = loop.create_future()
        key = next(_keys)
        try:
            queue.submit(key, command, outcome, guard)
            return (await outcome).pop()
        except asyncio.CancelledError:
            discard_outcome(outcome)
            raise
        finally:
            queue.leave(key)


class _SpawnQueue:
    """The children that are being started for one loop; it exists while there are any.

    Only the loop references it, as a reader. When the loop is closed or collected, the queue is collected, too, which
    ends the children that are being started.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, starts: Starts) -> None:
        self.loop = loop
        self._starts = starts
        self._waiting: dict[int, tuple[Outcome, Command, Guard | None]] = {}
        self._channel = _native.Channel()
        try:
            # In a context of its own: it serves others too, whatever priority this one has.
            Context().run(loop.add_reader, self._channel.fileno(), self._take_all)
        except NotImplementedError:
            self._channel.close()
            raise
        except BaseException:  # KeyboardInterrupt
            self.close()
            raise

    def submit(self, key: int, command: Command, outcome: Outcome, guard: Guard | None) -> None:
        """Start the child; the outcome becomes the result of the future."""
        self._waiting[key] = outcome, command, guard
        guarding = () if guard is None else (guard.connection, guard.generation, guard.key, guard.scope)
        self._channel.submit(key, *arguments_of(command, guard is not None, **command.options), *guarding)

    def leave(self, key: int) -> None:
        """Cancel the start if it is still in progress. Close the queue if it is empty, in the loop's own thread."""
        if self._waiting.pop(key, None) is not None:
            self._channel.cancel(key)
        if self._waiting:
            return
        if self.loop.is_running() and running_loop() is not self.loop:  # a coroutine that was dropped elsewhere
            with contextlib.suppress(RuntimeError):  # the loop is closed by now
                self.loop.call_soon_threadsafe(self.leave, key)
        else:
            self.close()

    def _take_all(self) -> None:
        while (started := self._channel.take()) is not None:
            self._deliver(started)

    def _deliver(self, started: _native.Started) -> None:
        """Set the outcome of a start. If its caller has gone, dropping `started` ends the child."""
        outcome = None
        try:
            key, pid, pidfd, *ends, is_registered, error, step = started.outcome()
            outcome, command, guard = self._waiting.pop(key, _NOBODY)
            if outcome is None or command is None or outcome.done():
                return
            if step is not None:
                outcome.set_exception(error_of_start(command, error, step))
                outcome.exception()  # retrieved by that: its receiver may be thrown away with a closed loop
                return
            try:
                spawned = _spawned(command, started, pid, pidfd, ends)
                if guard is not None:
                    _keep(guard, spawned, is_registered=bool(is_registered))
            except BaseException:  # KeyboardInterrupt
                if guard is not None:
                    guard.release()
                raise
            outcome.set_result([spawned])
            if _registry.observers:
                _registry.tell_of_spawn(spawned.child)
        finally:
            if outcome is not None:  # KeyboardInterrupt or its like
                outcome.cancel()

    def close(self) -> None:
        """Cancel all starts that are in progress."""
        if self._channel.fileno() >= 0 and not self.loop.is_closed():
            self.loop.remove_reader(self._channel.fileno())
        self._channel.close()
        if self._starts.queue is not None and self._starts.queue() is self:
            self._starts.queue = None
            if self._starts.kept:
                self._starts.close_kept()

    def forget(self) -> None:
        """Close our copy of the descriptor, in a forked child."""
        self._channel.close()


_NO_ATTRIBUTES: dict[str, Starts] = {}
_keys = itertools.count()
_NOBODY = None, None, None


def _get_starts(loop: asyncio.AbstractEventLoop) -> Starts:
    """Return the starts of the loop, made anew for its first child."""
    if (starts := starts_of.get(loop)) is not None:
        return starts
    _prepare()
    # Of loops that were closed while children were being started, and told nobody.
    for queue in _queues():
        if queue.loop.is_closed():
            queue.close()
    starts = Starts()
    starts_of.set(loop, starts)
    when_closed(loop, functools.partial(_close_queue, starts))
    return starts


def _close_queue(starts: Starts) -> None:
    if starts.queue is not None and (queue := starts.queue()) is not None:
        queue.close()


def _queues() -> list[_SpawnQueue]:
    """Return the queues of all loops."""
    references = [starts.queue for starts in starts_of.values() if starts.queue is not None]
    return [queue for reference in references if (queue := reference()) is not None]


@functools.cache
def _prepare() -> None:
    run_after_fork(_forget_parents_queues)
    atexit.register(_native.finish, _JOIN_TIMEOUT)


def _forget_parents_queues() -> None:
    for queue in _queues():
        queue.forget()
    starts_of.clear()


def _spawned(command: Command, started: _native.Started, pid: int, pidfd: int, ends: Iterable[int]) -> Spawned:
    """Take over the child that was started; interrupted at whichever point (KeyboardInterrupt), end it."""
    pipes: dict[int, int] = {}
    for number, end in enumerate(ends):
        if end >= 0:
            pipes[number] = end
    spawned = None
    try:
        argv = command.args if type(command.args) is tuple else command.argv
        child = Child(pid, argv, pidfd=open_pidfd(pid) if pidfd < 0 else pidfd)
        spawned = Spawned(child, pipes)
        started.release()
        if command.keep_group:
            spawned.keep_group(command)
    except BaseException:
        if spawned is None and (found := _registry.get(pid)) is not None:
            spawned = Spawned(found, pipes)
        if spawned is not None:
            started.release()
            spawned.discard()
        raise
    return spawned


def _keep(guard: Guard, spawned: Spawned, *, is_registered: bool) -> None:
    """Keep the promise that the child ends with this process; interrupted (KeyboardInterrupt), end the child."""
    try:
        end_with_parent(spawned, guard, is_registered=is_registered, has_death_signal=True)
    except BaseException:
        spawned.discard()
        raise
