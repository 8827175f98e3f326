"""The children of one loop, and what happens to them when it closes."""

from __future__ import annotations

import asyncio
import functools
import os
import weakref

from governess.abc import AbstractChildWatcher
from governess.children._child import Child
from governess.children._hooks import run_after_fork, when_closed
from governess.children._per_loop import PerLoop, running_loop
from governess.children._reaper import reap_later
from governess.transports._transport import ChildTransport, tell_exit
from governess.watchers._base import ChildWatcher

__all__ = ["LoopChildren", "close_descriptors", "loop_children"]

Watchers = dict[Child, tuple[AbstractChildWatcher, weakref.ref[ChildTransport]]]


class LoopChildren:
    """The transports of a loop, and the watchers of their children.

    Only the loop references the transports of living children strongly, so an unused loop is collected together with
    them. The close hook must not reference the loop strongly.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._living: set[ChildTransport] = set()
        self._transports: weakref.WeakSet[ChildTransport] = weakref.WeakSet()
        self._watchers: Watchers = {}
        end = functools.partial(_release_all, weakref.ref(loop), self._transports, self._watchers, os.getpid())
        when_closed(loop, end)

    def watch(self, watcher: AbstractChildWatcher, child: Child, transport: ChildTransport) -> None:
        """Have the watcher notify the transport when its child exits."""
        reference = weakref.ref(transport)
        self._living.add(transport)
        self._transports.add(transport)
        self._watchers[child] = watcher, reference
        transport.when_exited = self.discard
        if child.exit is None:
            if isinstance(watcher, ChildWatcher) and type(watcher).add_child_handler is ChildWatcher.add_child_handler:
                watcher._add_handler(child, tell_exit, reference)
            else:
                watcher.add_child_handler(child.pid, tell_exit, reference)
        if child.exit is not None:
            transport.note_exit(child.exit)

    def discard(self, transport: ChildTransport, child: Child) -> None:
        """Release a transport whose child has exited; its pipes are still closed with the loop."""
        self._living.discard(transport)
        self._watchers.pop(child, None)

    def close_descriptors(self) -> None:
        """Close the descriptors that the closed loop has left open."""
        for transport in list(self._transports):
            transport.close_descriptors()


def loop_children(loop: asyncio.AbstractEventLoop) -> LoopChildren:
    """Return the children of the loop."""
    if (children := _children_of.get(loop)) is None:
        run_after_fork(_children_of.clear)
        children = LoopChildren(loop)
        _children_of.set(loop, children)
    return children


def close_descriptors(loop: asyncio.AbstractEventLoop) -> None:
    """Close our ends of the pipes that the loop, which is closed by now, has not closed."""
    if (children := _children_of.get(loop)) is not None:
        _children_of.discard(loop)
        children.close_descriptors()


_children_of: PerLoop[LoopChildren] = PerLoop()


def _release_all(
    reference: weakref.ref[asyncio.AbstractEventLoop],
    transports: weakref.WeakSet[ChildTransport],
    watchers: Watchers,
    process: int,
) -> None:
    """Have the loop close its ends of the pipes, and hand the living children to the reaper."""
    if process != os.getpid():
        return  # the parent's children, pipes and epoll are not a forked child's
    loop = reference()
    if loop is not None and not loop.is_closed():
        connected = [transport.abort_pipes() for transport in list(transports)]
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
