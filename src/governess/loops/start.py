"""Starting a child in a loop: `loop.subprocess_exec` and `loop.subprocess_shell`, for any loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

from governess._registry import get_event_loop_policy
from governess.abc import AbstractChildWatcher, AbstractEventLoopPolicy
from governess.children.child import Child
from governess.children.closing import when_closed
from governess.children.command import Command
from governess.children.fork import in_forked_child
from governess.children.reaper import entrust
from governess.children.spawn import spawn
from governess.loops.transport import ChildTransport
from governess.watchers.base import ChildWatcher, running_loop
from governess.watchers.choice import choose

__all__ = ["close_descriptors", "policy_of", "start_child", "watcher_of"]

logger = logging.getLogger("governess")

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


async def start_child(
    loop: asyncio.AbstractEventLoop,
    protocol_factory: Callable[[], ProtocolT],
    command: Command,
    ends: dict[int, int] | None = None,
) -> tuple[ChildTransport, ProtocolT]:
    """Start a child, have the watcher of the loop's policy watch it, and connect it with a new protocol.

    Cancelled at whichever point, it leaves nothing behind.

    Args:
        loop: the loop, which runs.
        protocol_factory: makes the protocol.
        command: what is started.
        ends: our descriptors of what the child has as 0, 1 or 2, if that is no pipe but a terminal; those of a child
            that was born are taken out, and are not the caller's any more.

    Raises:
        RuntimeError: the watcher is not active; then there is no child.
        OSError: as `subprocess.Popen` raises it; so its other errors.
    """
    protocol: Any = protocol_factory()
    if loop.get_debug():
        logger.debug("run %r", command)
    watcher = watcher_of(policy_of(loop))
    with watcher:
        if not watcher.is_active():
            raise RuntimeError(
                f"the child watcher {watcher!r} is not active: attach a loop that runs, "
                "or use one that needs none (subprocess support is not installed)"
            )
        birth = await spawn(command)
        if ends:
            birth.pipes.update(ends)
            ends.clear()
        try:
            transport = ChildTransport(loop, protocol, command.args, birth)
        except BaseException:
            birth.discard()
            raise
        birth.claim()
        _let_watch(watcher, birth.child, transport, loop)
    try:
        await transport.connect()
    except BaseException:
        transport.close()
        entrust(birth.child)  # the loop may end before it
        raise
    return transport, protocol


def policy_of(loop: asyncio.AbstractEventLoop) -> AbstractEventLoopPolicy:
    """Return the policy that made the loop, else the current one."""
    policy: AbstractEventLoopPolicy | None = getattr(loop, "governess_policy", None)
    return get_event_loop_policy() if policy is None else policy


def watcher_of(policy: AbstractEventLoopPolicy) -> AbstractChildWatcher:
    """Return the watcher of the policy; the default one if the policy knows nothing of watchers."""
    global _default_watcher
    with contextlib.suppress(NotImplementedError):
        if hasattr(policy, "get_child_watcher"):
            return policy.get_child_watcher()
    if _default_watcher is None:
        _default_watcher = choose().factory()
    return _default_watcher


_default_watcher: AbstractChildWatcher | None = None


def close_descriptors(loop: asyncio.AbstractEventLoop) -> None:
    """Close our ends of the pipes of the loop's children, as far as the loop, closed by now, has not done so."""
    if (residents := _residents_of.pop(loop, None)) is not None:
        residents.close_descriptors()


def _let_watch(
    watcher: AbstractChildWatcher, child: Child, transport: ChildTransport, loop: asyncio.AbstractEventLoop
) -> None:
    residents = _residents(loop)
    note = residents.add(transport, watcher)
    try:
        if child.exit is None:
            watcher.add_child_handler(child.pid, _exited, note, residents)
    except BaseException:
        transport.close()
        entrust(child)
        raise
    if child.exit is not None:
        residents.note_exit(transport, child.exit)


def _exited(pid: int, returncode: int, note: _Note, residents: _Residents) -> None:
    if (transport := note()) is not None:
        residents.note_exit(transport, returncode)


def _residents(loop: asyncio.AbstractEventLoop) -> _Residents:
    in_forked_child(_residents_of.clear)
    residents = _residents_of.get(loop)
    if residents is None:
        residents = _residents_of[loop] = _Residents(loop)
        when_closed(loop, residents.evict)
    return residents


class _Note(weakref.ref[ChildTransport]):
    """What stands for a transport, and still knows the child and its watcher when that is garbage."""

    __slots__ = ("child", "watcher")

    child: Child
    watcher: AbstractChildWatcher


class _Residents:
    """The children of one loop, for the day when it closes.

    The loop alone keeps their transports, which lead back to it: one that nobody uses any more is garbage with them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._process = os.getpid()
        self._notes: set[_Note] = set()
        self._forget_dropped = self._forget  # one for all of them
        self._exits: deque[tuple[ChildTransport, int]] = deque()

    def add(self, transport: ChildTransport, watcher: AbstractChildWatcher) -> _Note:
        """Take a child in; return what stands for its transport."""
        note = _Note(transport, self._forget_dropped)
        note.child, note.watcher = transport.get_extra_info("child"), watcher
        self._notes.add(note)
        if (loop := self._loop()) is not None:
            _kept_by(loop).add(transport)
        return note

    def _forget(self, note: _Note) -> None:
        if note.child.exit is not None:  # else the loop is garbage too, and the child has nobody else
            self._notes.discard(note)

    def note_exit(self, transport: ChildTransport, returncode: int) -> None:
        """Have the transport told soon, with all others whose children exit at about the same time.

        Never at once: somebody may be just asking the Popen-like object, and asyncio tells its protocol later, too.
        """
        if (loop := self._loop()) is None:
            return
        _kept_by(loop).discard(transport)
        if loop is running_loop():
            if not self._exits:
                self._tell_soon(loop)
            self._exits.append((transport, returncode))
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(transport.process_exited, returncode)

    def _tell_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        # In a context of its own: it serves others too, whatever priority this one has.
        loop.call_soon(self._tell_exits, context=Context())

    def _tell_exits(self) -> None:
        try:
            while self._exits:
                transport, returncode = self._exits.popleft()
                transport.process_exited(returncode)
        finally:
            if self._exits and (loop := self._loop()) is not None:  # KeyboardInterrupt or its like
                self._tell_soon(loop)

    def evict(self) -> None:
        """Have the loop close its ends of their pipes, and let the reaper wait for those that still live."""
        loop = self._loop()
        if self._process != os.getpid():
            return  # the parent's children, pipes and epoll are not a forked child's
        if loop is not None and not loop.is_closed():
            connected = [transport.abort_pipes() for transport in self._connected()]
            if any(connected):
                _finish_with_pipes(loop)
        for note in list(self._notes):
            if note.child.exit is None:
                if isinstance(note.watcher, ChildWatcher):
                    note.watcher.discard_child_handler(note.child.pid, _exited, note, self)
                entrust(note.child)
        if loop is not None:
            _kept_by(loop).clear()

    def close_descriptors(self) -> None:
        """Close what the closed loop has left open."""
        for transport in self._connected():
            transport.close_descriptors()

    def _connected(self) -> list[ChildTransport]:
        return [transport for note in list(self._notes) if (transport := note()) is not None]


def _kept_by(loop: asyncio.AbstractEventLoop) -> set[ChildTransport]:
    """Return what the loop keeps, in an attribute of its own; a loop that takes none is kept with them instead."""
    try:
        found: set[ChildTransport] = vars(loop).setdefault("_governess_transports", set())
    except TypeError:
        return _kept_with.setdefault(loop, set())
    return found


_kept_with: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[ChildTransport]] = weakref.WeakKeyDictionary()


def _finish_with_pipes(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop close its pipes, which it does in its next round; not where that would run somebody's task."""
    if running_loop() is None and not asyncio.all_tasks(loop):
        loop.call_soon(loop.stop)
        type(loop).run_forever(loop)  # a policy that closes the loop has taken its own `run_forever` away


_residents_of: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Residents] = weakref.WeakKeyDictionary()
