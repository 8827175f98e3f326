"""Loop classes whose children are governess's: `watched` makes one of any class that has asyncio's public methods."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from governess.children._per_loop import running_loop
from governess.children._spawn.command import command_of, shell_command_of
from governess.transports._start import close_descriptors, start_child, watcher_of
from governess.watchers._sigchld import SigchldChildWatcher

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as _Base

    from governess.abc import AbstractEventLoopPolicy
else:
    _Base = object

__all__ = ["SelectorEventLoop", "WatchedLoop", "attach_watcher", "close_loop", "make_watched", "watched"]

LoopT = TypeVar("LoopT", bound=asyncio.AbstractEventLoop)


class WatchedLoop(_Base):
    """What a watched loop class has before the loop class itself: children, and knowing when it closes.

    Attributes:
        governess_policy: the policy that made the loop, whose watcher its children get; None for the current policy.
        is_parents: whether this is a forked child, and the loop that of its parent.
    """

    governess_policy: AbstractEventLoopPolicy | None = None
    is_parents = False
    _on_close: dict[object, Callable[[], object]] | None = None
    _has_run = False
    _is_closing = False

    def __del__(self) -> None:
        # asyncio's loops close themselves here. A forked child shares its parent's epoll, and a loop takes its own
        # descriptors out of that when it is closed: nothing would wake the parent's loop any more.
        if not self.is_parents and (finalize := getattr(super(), "__del__", None)) is not None:
            finalize()

    def run_forever(self) -> None:
        """Run until `stop` is called; the first time in the main thread, the policy's watcher attaches to the loop."""
        attach_watcher(self)
        super().run_forever()

    def close(self) -> None:
        """Close the loop; its living children are passed on to a reaper, and their pipes are closed."""
        close_loop(self, super().close)

    def call_on_close(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Call `callback` right before the loop is closed, when it does not run any more.

        Returns:
            What takes the request back.
        """
        if self._on_close is None:
            self._on_close = {}
        key = object()
        self._on_close[key] = callback
        # Weak: the loop references the caller through its callback, and the caller references this result.
        return functools.partial(_forget_callback, weakref.ref(self), key)

    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], Any],
        program: Any,
        *args: Any,
        stdin: Any = asyncio.subprocess.PIPE,
        stdout: Any = asyncio.subprocess.PIPE,
        stderr: Any = asyncio.subprocess.PIPE,
        shell: bool = False,
        **options: Any,
    ) -> tuple[asyncio.SubprocessTransport, Any]:
        """Start `program` with `args`; arguments, result and errors are those of asyncio's loops."""
        if shell:
            raise ValueError("shell must be False")
        command = command_of((program, *args), stdin, stdout, stderr, options)
        return await start_child(self, protocol_factory, command)

    async def subprocess_shell(
        self,
        protocol_factory: Callable[[], Any],
        cmd: str | bytes,
        *,
        stdin: Any = asyncio.subprocess.PIPE,
        stdout: Any = asyncio.subprocess.PIPE,
        stderr: Any = asyncio.subprocess.PIPE,
        shell: bool = True,
        **options: Any,
    ) -> tuple[asyncio.SubprocessTransport, Any]:
        """Start the shell command `cmd`; arguments, result and errors are those of asyncio's loops."""
        if not shell:
            raise ValueError("shell must be True")
        command = shell_command_of(cmd, stdin, stdout, stderr, options)
        return await start_child(self, protocol_factory, command)


def _forget_callback(reference: weakref.ref[WatchedLoop], key: object) -> None:
    if (loop := reference()) is not None and loop._on_close:
        loop._on_close.pop(key, None)


def attach_watcher(loop: WatchedLoop) -> None:
    """Attach the watcher of its policy to a loop that is about to run, if this is the main thread."""
    may_run = not loop._is_closing and not loop.is_closed() and running_loop() is None
    if not may_run or threading.current_thread() is not threading.main_thread():
        return
    watcher = watcher_of(loop)
    # Ours may have been with another loop meanwhile.
    if not loop._has_run or isinstance(watcher, SigchldChildWatcher):
        watcher.attach_loop(loop)
    loop._has_run = True


def close_loop(loop: WatchedLoop, close: Callable[[], object]) -> None:
    """Call the close hooks of a loop, and then close it by `close`, its own method."""
    if loop.is_running():
        close()  # which is an error
        return
    loop._is_closing = True
    callbacks, loop._on_close = loop._on_close or {}, None
    with contextlib.ExitStack() as every_one_even_if_one_fails:
        every_one_even_if_one_fails.callback(close_descriptors, loop)
        every_one_even_if_one_fails.callback(close)
        for callback in reversed(callbacks.values()):
            every_one_even_if_one_fails.callback(callback)


def watched(loop_class: type[LoopT]) -> type[LoopT]:
    """Return a subclass of the loop class whose children are started and watched by governess.

    Args:
        loop_class: any class with asyncio's public methods; a watched one is returned as it is.
    """
    return loop_class if issubclass(loop_class, WatchedLoop) else _watched(loop_class)  # type: ignore[arg-type]


def make_watched(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    """Change the class of an existing loop to its `watched` class; return the loop.

    A loop whose class cannot be changed (it is written in C and closed to this) stays as it is.
    """
    if not isinstance(loop, WatchedLoop):
        with contextlib.suppress(TypeError):
            loop.__class__ = watched(type(loop))
    return loop


class SelectorEventLoop(WatchedLoop, asyncio.SelectorEventLoop):
    """asyncio's selector loop, whose children are started and watched by governess."""


@functools.cache
def _watched(loop_class: type[Any]) -> type[Any]:
    if loop_class is asyncio.SelectorEventLoop:
        return SelectorEventLoop
    namespace = {"__module__": __name__, "__doc__": f"{loop_class.__qualname__} with the children of governess."}
    return type(loop_class.__name__, (WatchedLoop, loop_class), namespace)
