"""Starting a child in any loop, as `loop.subprocess_exec` does; and what becomes of a loop's children at its end."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from governess._current_policy import watcher_of
from governess.abc import AbstractChildWatcher
from governess.children import _reaper
from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._per_loop import running_loop, when_closed
from governess.children._reaper import reap_later
from governess.children._spawn import spawner
from governess.children._spawn.command import Command
from governess.transports._loop_children import children_of
from governess.transports._pipe_reader import forget_pipes
from governess.transports._stops import StopWatch
from governess.transports._transport import ChildTransport, tell_exit
from governess.watchers._base import ChildWatcher

__all__ = ["LoopChildren", "start_child"]

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
    watcher = watcher_of(loop)
    protocol: Any = protocol_factory()
    if loop.get_debug():
        logger.debug("run %r", command)
    spawned = transport = None
    if _reaper.is_late:
        _reaper.reap_pending()
    try:
        with watcher:
            if not watcher.is_active():
                raise _inactive(watcher)
            spawned = await spawner().spawn(command)
            if ends:
                spawned.pipes.update(ends)
                ends.clear()
            transport = ChildTransport(loop, protocol, command.args, spawned)
            spawned.claimed = True
            # Not _get_children() at once: this is done for each child.
            children = getattr(loop, "__dict__", _NO_ATTRIBUTES).get(children_of.name) or _get_children(loop)
            children.watch(watcher, spawned.child, transport)
        await transport.connect()
    except BaseException:  # KeyboardInterrupt, too, at whichever line
        if transport is not None:
            transport.close()
            transport.kill_group()
        if spawned is not None:
            spawned.discard()
            reap_later(spawned.child)  # the loop may end before it
        raise
    return transport, protocol


def _inactive(watcher: AbstractChildWatcher) -> RuntimeError:
    return RuntimeError(
        f"the child watcher {watcher!r} is not active: attach a loop that runs, "
        "or use one that needs none (subprocess support is not installed)"
    )


Watchers = dict[Child, tuple[AbstractChildWatcher, weakref.ref[ChildTransport]]]


class LoopChildren:
    """The transports of a loop, and the watchers of their children.

    Only the loop references the transports of living children strongly, so an unused loop is collected together with
    them. The close hook must not reference the loop strongly.

    Attributes:
        living: the transports whose children live. A transport takes itself out when its child has exited.
        watchers: who watches each of those children, and for whom.
        lingering: the transports whose children have exited while their pipes were open. These are still closed with
            the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.living: set[ChildTransport] = set()
        self.watchers: Watchers = {}
        self.lingering: weakref.WeakSet[ChildTransport] = weakref.WeakSet()
        self._stops = StopWatch(self.living)
        end = functools.partial(_release_all, weakref.ref(loop), self.watchers, self.lingering, os.getpid())
        when_closed(loop, end)

    def watch(self, watcher: AbstractChildWatcher, child: Child, transport: ChildTransport) -> None:
        """Have the watcher notify the transport when its child exits."""
        reference = weakref.ref(transport)
        self.living.add(transport)
        self.watchers[child] = watcher, reference
        transport.siblings = self
        if self._stops.is_idle:
            self._stops.start(transport._loop)
        if child.exit is None:
            if isinstance(watcher, ChildWatcher) and type(watcher).add_child_handler is ChildWatcher.add_child_handler:
                watcher._add_handler(child, tell_exit, reference)  # which tells of an exit that comes meanwhile
                return
            watcher.add_child_handler(child.pid, tell_exit, reference)
        if child.exit is not None:
            tell_exit(child.pid, child.exit, reference)

    def close_descriptors(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the descriptors that the closed loop has left open."""
        for transport in [*self.living, *self.lingering]:
            transport.close_descriptors()
        forget_pipes(loop)


def _get_children(loop: asyncio.AbstractEventLoop) -> LoopChildren:
    """Return the children of the loop, made anew for its first one."""
    if (children := children_of.get(loop)) is None:
        run_after_fork(children_of.clear)
        children = LoopChildren(loop)
        children_of.set(loop, children)
    return children


_NO_ATTRIBUTES: dict[str, Any] = {}


def _release_all(
    reference: weakref.ref[asyncio.AbstractEventLoop],
    watchers: Watchers,
    lingering: weakref.WeakSet[ChildTransport],
    process: int,
) -> None:
    """Have the loop close its ends of the pipes, and hand the living children to the reaper."""
    if process != os.getpid():
        return  # the parent's children, pipes and epoll are not a forked child's
    loop = reference()
    if loop is not None and not loop.is_closed():
        living = [owner for _, transport in list(watchers.values()) if (owner := transport()) is not None]
        connected = [transport.abort_pipes() for transport in [*living, *lingering]]
        if any(connected):
            _finish_with_pipes(loop)
    for child, (watcher, transport) in list(watchers.items()):
        if child.exit is None:
            if isinstance(watcher, ChildWatcher):
                watcher.discard_child_handler(child.pid, tell_exit, transport)
            reap_later(child)


def _finish_with_pipes(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop once so that it closes its pipes; do nothing if that would run a task."""
    if running_loop() is None and not asyncio.all_tasks(loop):
        loop.call_soon(loop.stop)
        type(loop).run_forever(loop)  # a policy that closes the loop has taken its own `run_forever` away
