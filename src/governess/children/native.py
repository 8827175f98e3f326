"""Children started by `_spawn`, an extension whose threads need neither the GIL nor Python."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import itertools
import os
import weakref
from contextvars import Context

from governess.children import _spawn
from governess.children.arguments import arguments_of, program_of
from governess.children.child import Child
from governess.children.closing import when_closed
from governess.children.command import Birth, Command
from governess.children.fork import in_forked_child
from governess.children.observers import tell_of_spawn
from governess.children.pidfd import open_pidfd

__all__ = ["Native"]

# How long children in the making can hold up the end of the process, in seconds; they are killed, so it is soon.
_PATIENCE = 1.0


class Native:
    """The spawner whose threads are outside of Python."""

    name = "native"

    @property
    def reason(self) -> str:
        """How children are started."""
        return f"threads outside of Python start children, by {_spawn.get_way()}"

    async def spawn(self, command: Command) -> Birth:
        """Start the child, as `Spawner.spawn` says."""
        try:
            desk = _desk_of(asyncio.get_running_loop())
        except NotImplementedError:  # the loop has no add_reader
            from governess.children import helpers

            return await helpers.spawn(command)
        return await desk.spawn(command)


class _Desk:
    """The children that are being started for one loop; it is there as long as there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: dict[int, tuple[asyncio.Future[Birth], Command]] = {}
        self._channel = _spawn.Channel()
        try:
            # In a context of its own: it serves others too, whatever priority this one has.
            Context().run(loop.add_reader, self._channel.fileno(), self._take_all)
        except BaseException:
            self._channel.close()
            raise
        # The loop can be garbage before it is closed only if nothing else holds it: neither this promise nor `_desks`.
        self._end = when_closed(loop, functools.partial(_close_desk, weakref.ref(self)))

    async def spawn(self, command: Command) -> Birth:
        outcome: asyncio.Future[Birth] = self.loop.create_future()
        key = next(_keys)
        try:
            arguments = arguments_of(command)
            self._waiting[key] = outcome, command
            self._channel.submit(key, *arguments)
            return await outcome
        except asyncio.CancelledError:
            if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
                outcome.result().discard()
            raise
        finally:
            if self._waiting.pop(key, None) is not None:
                self._channel.cancel(key)
            self._leave()

    def _take_all(self) -> None:
        while (taken := self._channel.take()) is not None:
            key, *born, error, step = taken
            outcome, command = self._waiting.pop(key)
            if step is None:
                birth = _birth(command, *born)
                try:
                    tell_of_spawn(birth.child)
                finally:
                    _hand_over(birth, outcome)
            elif not outcome.done():
                outcome.set_exception(_failure(command, error, step))

    def _leave(self) -> None:
        """Close if nobody waits; in the loop's own thread, unless it does not run."""
        if self._waiting:
            return
        if self.loop.is_running() and _running_loop() is not self.loop:  # a coroutine that was dropped elsewhere
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._leave)
            return
        self.close()

    def close(self) -> None:
        """Give up whatever is being started."""
        if _known_desk(self.loop) is self:
            _desks.pop(self.loop, None)
        if self._channel.fileno() >= 0 and not self.loop.is_closed():
            self.loop.remove_reader(self._channel.fileno())
        self._end.cancel()
        self._channel.close()

    def forget(self) -> None:
        """Close our copy of the descriptor, in a forked child."""
        self._channel.close()


# Weak on both sides: a loop keeps its desk by the reader, and a desk its loop.
_desks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Desk]] = weakref.WeakKeyDictionary()
_keys = itertools.count()


def _desk_of(loop: asyncio.AbstractEventLoop) -> _Desk:
    if (desk := _known_desk(loop)) is not None:
        return desk
    _prepare()
    # Of loops that were closed while children were being started, and told nobody.
    for closed in [desk for desk in _all_desks() if desk.loop.is_closed()]:
        closed.close()
    desk = _Desk(loop)
    _desks[loop] = weakref.ref(desk)
    return desk


def _known_desk(loop: asyncio.AbstractEventLoop) -> _Desk | None:
    found = _desks.get(loop)
    return None if found is None else found()


def _all_desks() -> list[_Desk]:
    return [desk for found in list(_desks.values()) if (desk := found()) is not None]


def _close_desk(reference: weakref.ref[_Desk]) -> None:
    if (desk := reference()) is not None:
        desk.close()


@functools.cache
def _prepare() -> None:
    in_forked_child(_forget_parents_desks)
    atexit.register(_spawn.finish, _PATIENCE)


def _forget_parents_desks() -> None:
    for desk in _all_desks():
        desk.forget()
    _desks.clear()


def _birth(command: Command, pid: int, pidfd: int, *pipes: int) -> Birth:
    child = Child(pid, command.argv, pidfd=open_pidfd(pid) if pidfd < 0 else pidfd)
    return Birth(command, child, {number: end for number, end in enumerate(pipes) if end >= 0})


def _hand_over(birth: Birth, outcome: asyncio.Future[Birth]) -> None:
    if outcome.done():
        birth.discard()
    else:
        outcome.set_result(birth)


def _failure(command: Command, error: int, step: str) -> OSError:
    """Return what Popen would raise; it names the file for two of the steps alone."""
    files = {"cwd": command.options.get("cwd"), "exec": program_of(command)}
    files |= {"stdin": command.stdin, "stdout": command.stdout, "stderr": command.stderr}
    if isinstance(file := files.get(step), (str, bytes, os.PathLike)):
        return OSError(error, os.strerror(error), file)
    failure = OSError(error, os.strerror(error))
    failure.add_note(f"what failed in the start of the child: {step}")
    return failure


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
