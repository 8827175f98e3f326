"""Loop classes that start and watch children by governess: `watched` derives one from any loop class."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from governess._current_policy import watcher_of
from governess.children._per_loop import running_loop
from governess.transports._loop_children import close_descriptors, has_children

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as _Base

    from governess.abc import AbstractEventLoopPolicy
else:
    _Base = object

__all__ = [
    "SelectorEventLoop",
    "WatchedLoop",
    "attach_watcher",
    "close_loop",
    "inherits_from_the_bridge",
    "make_watched",
    "watched",
]

_OF_SIGCHLD = "governess.watchers._sigchld"
LoopT = TypeVar("LoopT", bound=asyncio.AbstractEventLoop)


class WatchedLoop(_Base):
    """The mixin of a watched loop class: governess starts the children of the loop, and the loop calls close hooks.

    Attributes:
        governess_policy: the policy whose watcher watches the children of the loop; None means the current policy.
        is_parents: whether the loop belongs to the parent of this process, which was forked.
    """

    governess_policy: AbstractEventLoopPolicy | None = None
    is_parents = False
    _on_close: dict[object, Callable[[], object]] | None = None
    _has_run = False
    _is_closing = False

    def __del__(self) -> None:
        # asyncio's loops close themselves here. A forked child shares the epoll of its parent. A loop that is closed
        # unregisters its descriptors from the epoll, and then nothing would wake the parent's loop.
        if not self.is_parents and (finalize := getattr(super(), "__del__", None)) is not None:
            finalize()

    def run_forever(self) -> None:
        """Run until `stop` is called. The first run in the main thread attaches the policy's watcher to the loop."""
        if not self._has_run or _OF_SIGCHLD in sys.modules:
            attach_watcher(self)
        super().run_forever()

    def close(self) -> None:
        """Close the loop and the pipes of its children. A background thread reaps the children that still run."""
        if self._on_close:  # its children have a callback there
            close_loop(self, super().close)
            return
        self._is_closing = True
        try:
            super().close()
        except BaseException:
            self._is_closing = not self.is_running()
            raise

    def call_on_close(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Call `callback` when the loop is about to be closed.

        Args:
            callback: a function without arguments.

        Returns:
            A function that removes the callback.
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
        from governess.transports._private_names import command_of, has_own_hook, start_child

        if has_own_hook(self) and isinstance(self, asyncio.BaseEventLoop):
            streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
            return await asyncio.BaseEventLoop.subprocess_exec(
                self, protocol_factory, program, *args, **streams, **options
            )
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
        from governess.transports._private_names import has_own_hook, shell_command_of, start_child

        if has_own_hook(self) and isinstance(self, asyncio.BaseEventLoop):
            streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
            return await asyncio.BaseEventLoop.subprocess_shell(self, protocol_factory, cmd, **streams, **options)
        command = shell_command_of(cmd, stdin, stdout, stderr, options)
        return await start_child(self, protocol_factory, command)


def _forget_callback(reference: weakref.ref[WatchedLoop], key: object) -> None:
    if (loop := reference()) is not None and loop._on_close:
        loop._on_close.pop(key, None)


def attach_watcher(loop: WatchedLoop) -> None:
    """Attach its policy's watcher to a loop that is about to run, if this is the main thread."""
    sigchld_class = _class_of_sigchld_watchers()
    if loop._has_run and sigchld_class is None:
        return
    if threading.get_ident() != threading.main_thread().ident:
        return
    if loop._is_closing or loop.is_closed() or running_loop() is not None:
        return
    watcher = watcher_of(loop)
    # A SigchldChildWatcher may have been attached to another loop meanwhile.
    if not loop._has_run or (sigchld_class is not None and isinstance(watcher, sigchld_class)):
        watcher.attach_loop(loop)
    loop._has_run = True


def _class_of_sigchld_watchers() -> type[Any] | None:
    """Return the class of the watchers that work through one loop; None if this process has never had such a watcher.

    Its module is not imported before that, as `watchers._choice` says.
    """
    module = sys.modules.get(_OF_SIGCHLD)
    found: Any = getattr(module, "SigchldChildWatcher", None)
    return found if found is not None and found.was_made else None


def close_loop(loop: WatchedLoop, close: Callable[[], object]) -> None:
    """Call the close hooks of a loop, and then `close`, its own method."""
    if loop.is_running():
        close()  # which raises RuntimeError
        return
    loop._is_closing = True
    callbacks, loop._on_close = loop._on_close or {}, None
    if not callbacks and not has_children(loop):  # most loops are closed so, and an ExitStack takes 10 µs
        close()
        return
    with contextlib.ExitStack() as every_one_even_if_one_fails:
        every_one_even_if_one_fails.callback(close_descriptors, loop)
        every_one_even_if_one_fails.callback(close)
        for callback in reversed(callbacks.values()):
            every_one_even_if_one_fails.callback(callback)


def watched(loop_class: type[LoopT]) -> type[LoopT]:
    """Return a subclass of the loop class; governess starts and watches the children of its loops.

    Args:
        loop_class: any class with asyncio's public methods; a watched class is returned unchanged.
    """
    return loop_class if issubclass(loop_class, WatchedLoop) else _watched(loop_class)  # type: ignore[arg-type]


def make_watched(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    """Change the class of an existing loop to its `watched` class; return the loop.

    A loop whose class cannot be changed, as with some classes written in C, is returned unchanged. After `install`, so
    is a loop of a program's own subclass of asyncio's class, which inherits the changes from asyncio's class.
    """
    if not isinstance(loop, WatchedLoop) and not inherits_from_the_bridge(type(loop)):
        with contextlib.suppress(TypeError):
            loop.__class__ = watched(type(loop))
    return loop


def inherits_from_the_bridge(loop_class: type[Any]) -> bool:
    """Return whether the class has from asyncio's class, which the bridge has changed, what `watched` would add."""
    is_asyncios = issubclass(loop_class, asyncio.BaseEventLoop)
    return is_asyncios and hasattr(loop_class, "governess_policy") and "governess_policy" not in vars(loop_class)


class SelectorEventLoop(WatchedLoop, asyncio.SelectorEventLoop):
    """asyncio's selector loop; governess starts and watches its children."""


@functools.cache
def _watched(loop_class: type[Any]) -> type[Any]:
    if loop_class is asyncio.SelectorEventLoop:
        return SelectorEventLoop
    namespace = {"__module__": __name__, "__doc__": f"{loop_class.__qualname__} with the children of governess."}
    return type(loop_class.__name__, (WatchedLoop, loop_class), namespace)
