"""The two abstract classes: what an event loop policy is, and what a child watcher is.

Where this interpreter's asyncio still has a class of the same name, ours derives from it, so that asyncio accepts
our objects; and ``isinstance`` here accepts asyncio's own objects.
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
    """The first of the names that asyncio's module defines itself, else `object`.

    `vars` and not `getattr`: a module's ``__getattr__`` is where 3.14 and 3.15 warn.
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
    """What decides which event loop a context gets, and which watcher its children get.

    Every method raises NotImplementedError until a subclass overrides it.
    """

    @classmethod
    def __subclasshook__(cls, candidate: type) -> bool:
        if cls is AbstractEventLoopPolicy and _derives(candidate, _NativePolicy):
            return True
        return NotImplemented  # type: ignore[no-any-return]

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the current context; never None.

        Raises:
            RuntimeError: the context has no loop, and the policy makes none for it.
        """
        raise NotImplementedError

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Make `loop` the event loop of the current context; None takes it away."""
        raise NotImplementedError

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new event loop, which is not yet the current loop of any context."""
        raise NotImplementedError

    def get_child_watcher(self) -> AbstractChildWatcher:
        """Return the watcher of the children of this policy's loops."""
        raise NotImplementedError

    def set_child_watcher(self, watcher: AbstractChildWatcher | None) -> None:
        """Let `watcher` watch the children of this policy's loops; None goes back to the default."""
        raise NotImplementedError


class AbstractChildWatcher(_NativeWatcher, metaclass=ABCMeta):
    """Notices that a child process has exited, and calls the handler that was registered for it.

    A child is started inside ``with watcher:``, so that the watcher cannot take its exit for that of another process::

        with watcher:
            process = subprocess.Popen(["sleep", "1"])
            watcher.add_child_handler(process.pid, callback)

    Every method raises NotImplementedError until a subclass overrides it. Implementations are thread-safe.
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
        """Call ``callback(pid, returncode, *args)`` once when the child `pid` has exited.

        A second handler for the same child replaces the first. The callback must be thread-safe.
        """
        raise NotImplementedError

    def remove_child_handler(self, pid: int) -> bool:
        """Forget the handler of `pid`; return whether there was one."""
        raise NotImplementedError

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Let the watcher work through `loop`, after leaving the one before; None only leaves."""
        raise NotImplementedError

    def close(self) -> None:
        """Free what the watcher holds; it must be called."""
        raise NotImplementedError

    def is_active(self) -> bool:
        """Return whether the watcher can notice an exit now."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Hold the watcher while a child starts."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the watcher go on."""
        raise NotImplementedError


AbstractChildWatcher.__module__ = __name__
