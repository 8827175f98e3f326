"""The base class of the watchers: a table of handlers, each of which runs once when its child is reaped.

A watcher adds only how it notices the exit of a child. It then calls `Child.reap`, and the child calls the handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVarTuple

from governess.abc import AbstractChildWatcher
from governess.children._adopt import adopt
from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._exit import Exit
from governess.children._per_loop import running_loop
from governess.children._reaper import reap_later
from governess.watchers._private_names import PrivateNames

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ChildWatcher"]

Ts = TypeVarTuple("Ts")

logger = logging.getLogger("governess")


class ChildWatcher(PrivateNames, AbstractChildWatcher):
    """The base class of the watchers; a subclass implements in `_watch` how it notices the exit of a child."""

    def __init__(self) -> None:
        """Start with no child to watch."""
        run_after_fork(_forget_parents_children)
        _watchers.add(self)
        self._handlers: dict[int, _Handler] = {}
        self._lock = threading.RLock()  # a callback may add or remove a handler

    def add_child_handler(self, pid: int, callback: Callable[[int, int, *Ts], object], *args: *Ts) -> None:
        """Call ``callback(pid, returncode, *args)`` once when the child `pid` has exited.

        The callback runs in the loop that is running in this thread; without one, in the thread that notices the exit.
        A second handler for the same child replaces the first. If the child has already exited, the callback is called
        too.
        """
        self._add_handler(adopt(pid), callback, *args)

    def _add_handler(self, child: Child, callback: Callable[[int, int, *Ts], object], *args: *Ts) -> None:
        """Do as `add_child_handler` for a child that is known."""
        pid = child.pid
        handler = _Handler(self, child, callback, args)
        with self._lock:
            before = self._handlers.get(pid)
            self._handlers[pid] = handler
            child.subscribe(handler)
            replaces = before is not None and before.child is child
            if before is not None and replaces:
                child.unsubscribe(before)
                if before.loop == handler.loop:
                    return
        if replaces:
            self._unwatch(child)  # in the loop of the handler before
        self._watch(child)

    def remove_child_handler(self, pid: int) -> bool:
        """Remove the handler of `pid`; return whether there was one.

        If governess started the child, the child is still reaped. If other code did, that code must reap the child.
        """
        with self._lock:
            handler = self._handlers.pop(pid, None)
            if handler is None:
                return False
            handler.child.unsubscribe(handler)
        self._drop(handler.child)
        return True

    def discard_child_handler(self, pid: int, callback: Callable[[int, int, *Ts], object], *args: *Ts) -> None:
        """Remove the handler of `pid` if it is this one; keep a handler that has replaced it."""
        with self._lock:
            handler = self._handlers.get(pid)
            if handler is None or not handler.is_for(callback, args):
                return
            del self._handlers[pid]
            handler.child.unsubscribe(handler)
        self._drop(handler.child)

    def _drop(self, child: Child) -> None:
        self._unwatch(child)
        if child.adopted:
            child.disown()
        else:
            reap_later(child)

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Do nothing: this watcher needs no loop of its own."""

    def is_active(self) -> bool:
        """Return True: this watcher is always ready."""
        return True

    def close(self) -> None:
        """Release the resources of the watcher.

        The handlers of living children are still called: the background reaper waits for these children.
        """
        for child in self._watched():
            self._unwatch(child)
            reap_later(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _watched(self) -> list[Child]:
        with self._lock:
            return [handler.child for handler in self._handlers.values()]

    def _watch(self, child: Child) -> None:
        """Call ``child.reap()`` when the child has exited, also if it has already."""
        raise NotImplementedError

    def _unwatch(self, child: Child) -> None:
        """Stop what `_watch` began; the child may be reaped or alive."""

    def _start_anew(self) -> None:
        """Forget, in a forked process, the parent's children and its loops."""
        self._lock = threading.RLock()
        self._handlers.clear()


class _Handler:
    """A callback, the child whose exit it waits for, and the loop where it is to run, which it does not keep alive."""

    __slots__ = ("_watcher", "args", "callback", "child", "loop")

    def __init__(
        self, watcher: ChildWatcher, child: Child, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.child = child
        self._watcher = watcher
        self.callback = callback
        self.args = args
        loop = running_loop()
        self.loop = None if loop is None else weakref.ref(loop)

    def is_for(self, callback: Callable[..., object], args: tuple[Any, ...]) -> bool:
        return self.callback is callback and self.args == args

    def __call__(self, child: Child, exit: Exit) -> None:
        watcher = self._watcher
        with watcher._lock:
            if watcher._handlers.get(child.pid) is self:
                del watcher._handlers[child.pid]
        try:
            watcher._unwatch(child)
        finally:
            here = running_loop()
            if self.loop is None or (here is not None and self.loop() is here):
                self.callback(child.pid, exit, *self.args)
            else:
                child.release()  # before the other thread knows of the exit
                self._call_there(self.loop(), child, exit)

    def _call_there(self, loop: asyncio.AbstractEventLoop | None, child: Child, exit: Exit) -> None:
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(self.callback, child.pid, exit, *self.args)
                return
        # Logged by its repr: a log record that is kept must not keep the loop alive.
        logger.warning("Loop %s that handles pid %d is closed", repr(loop), child.pid)


_watchers: weakref.WeakSet[ChildWatcher] = weakref.WeakSet()


def _forget_parents_children() -> None:
    for watcher in list(_watchers):
        watcher._start_anew()
