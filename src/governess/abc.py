"""The two abstract classes: what an event loop policy is, and what a child watcher is.

Where asyncio still has a class of the same name, the class here derives from it, so asyncio accepts the objects of
governess. ``isinstance`` with a class of this module also accepts asyncio's own objects.
"""

from __future__ import annotations

import asyncio
import sys
from abc import ABCMeta
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVarTuple

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AbstractChildWatcher", "AbstractEventLoopPolicy"]

Ts = TypeVarTuple("Ts")


def _in_asyncio(module: str, *names: str) -> type:
    """Return the first of the names that a module of asyncio defines itself, else `object`.

    By `vars` and not by `getattr`: asyncio 3.14 and 3.15 warn in the ``__getattr__`` of their modules.
    """
    defined = vars(sys.modules.get(f"asyncio.{module}", asyncio))
    return next((defined[name] for name in names if name in defined), object)


if TYPE_CHECKING:

    class _NativePolicy: ...

    class _NativeWatcher: ...
else:
    _NativePolicy = _in_asyncio("events", "AbstractEventLoopPolicy", "_AbstractEventLoopPolicy")
    _NativeWatcher = _in_asyncio("unix_events", "AbstractChildWatcher")


def _derives(candidate: type, native: type) -> bool:
    return native is not object and native in candidate.__mro__


class AbstractEventLoopPolicy(_NativePolicy, metaclass=ABCMeta):
    """An event loop policy: it decides which event loop a context gets, and which watcher watches its children.

    The policy also decides what a context is: a thread, a process or a `contextvars` context. Every method raises
    NotImplementedError until a subclass overrides it. ``isinstance`` also accepts the policies of asyncio.
    """

    @classmethod
    def __subclasshook__(cls, candidate: type) -> bool:
        if cls is AbstractEventLoopPolicy and _derives(candidate, _NativePolicy):
            return True
        return NotImplemented  # type: ignore[no-any-return]

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the current context; never None.

        Raises:
            RuntimeError: the context has no loop, and the policy does not make one.
        """
        raise NotImplementedError

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Make `loop` the event loop of the current context; None removes the loop."""
        raise NotImplementedError

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new event loop, which is not the current loop of any context."""
        raise NotImplementedError

    def get_child_watcher(self) -> AbstractChildWatcher:
        """Return the watcher that watches the children of this policy's loops."""
        raise NotImplementedError

    def set_child_watcher(self, watcher: AbstractChildWatcher | None) -> None:
        """Use `watcher` for the children of this policy's loops; None restores the default."""
        raise NotImplementedError


class AbstractChildWatcher(_NativeWatcher, metaclass=ABCMeta):
    """A child watcher: it notices that a child process has exited, and calls the handler of that child.

    Start a child inside ``with watcher:``. A child that exits before its handler is added is then not mistaken for a
    child of other code::

        with watcher:
            process = subprocess.Popen(["sleep", "1"])
            watcher.add_child_handler(process.pid, callback)

    Every method raises NotImplementedError until a subclass overrides it. A subclass must be thread-safe.
    ``isinstance`` also accepts the watchers of asyncio.
    """

    # asyncio 3.12 and 3.13 warn about every subclass made outside their own module.
    __module__ = _NativeWatcher.__module__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Accept subclasses without asyncio's deprecation warning."""

    @classmethod
    def __subclasshook__(cls, candidate: type) -> bool:
        if cls is AbstractChildWatcher and _derives(candidate, _NativeWatcher):
            return True
        return NotImplemented  # type: ignore[no-any-return]

    def add_child_handler(self, pid: int, callback: Callable[[int, int, *Ts], object], *args: *Ts) -> None:
        """Call ``callback(pid, returncode, *args)`` once, after the child `pid` has exited.

        A second handler for the same child replaces the first. The callback must be thread-safe.

        Args:
            pid: the number of the child process.
            callback: the handler. ``returncode`` is the exit status, or the negative number of the signal that ended
                the child.
            *args: further arguments of the callback.
        """
        raise NotImplementedError

    def remove_child_handler(self, pid: int) -> bool:
        """Remove the handler of the child `pid`; return whether there was one."""
        raise NotImplementedError

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Detach the previous loop, and use `loop` from now on; with None, only detach."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the resources of the watcher. It must be called when the watcher is no longer needed."""
        raise NotImplementedError

    def is_active(self) -> bool:
        """Return whether the watcher is ready to notice an exit."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Enter the block in which a child is started; return the watcher."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the block in which a child was started."""
        raise NotImplementedError


AbstractChildWatcher.__module__ = __name__
