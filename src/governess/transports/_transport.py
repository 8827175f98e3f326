"""The transport of a child: asyncio's, over public methods of any loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
import weakref
from collections.abc import Callable
from contextvars import Context
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from governess.children._exit import Exit
from governess.children._per_loop import running_loop
from governess.children._spawn.command import Spawned
from governess.transports._child_pipe import ChildPipe, PipeEnd
from governess.transports._ends_child import EndsChild

if TYPE_CHECKING:
    from governess.transports._start import LoopChildren

__all__ = ["NATIVE_HOOKS", "ChildTransport", "tell_exit"]

logger = logging.getLogger("governess")


# asyncio's own methods of these names. A loop that has another one gets it called, as by asyncio.
NATIVE_HOOKS: list[Any] = [
    None,
    *(
        vars(loop_class).get(name)
        for loop_class in (*asyncio.SelectorEventLoop.__mro__, getattr(asyncio, "ProactorEventLoop", object))
        for name in ("_make_subprocess_transport", "_child_watcher_callback")
    ),
]


_NO_PIPES: Any = MappingProxyType({})

# What a protocol inherits that does not ask for the event: a callback of the loop would do nothing but take time.
_IGNORE_EXIT, _IGNORE_LOSS = asyncio.SubprocessProtocol.process_exited, asyncio.SubprocessProtocol.connection_lost


class ChildTransport(EndsChild):
    """Connects a child's pipes and its exit with an `asyncio.SubprocessProtocol`.

    ``get_extra_info`` knows ``'subprocess'``, an object like `subprocess.Popen`, ``'child'``, the `Child`, and
    ``'group'``, the `Group` that it leads, if its command wants that kept.

    Attributes:
        child: the child.
        group: the group that it leads, likewise.
        pipes: what passes the events of each of its pipes on, by the child's descriptor.
        finished: whether its exit is known and its pipes are closed.
    """

    # Each of many living children has one. What a program sets goes to the dictionary, and so does `_popen_view`.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_args",
        "_closed",
        "_connected",
        "_ends",
        "_given",
        "_loop",
        "_pending",
        "_protocol",
        "_returncode",
        "_waiters",
        "child",
        "finished",
        "group",
        "pipes",
        "siblings",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.SubprocessProtocol,
        args: Any,
        spawned: Spawned,
    ) -> None:
        """Own the child, which was started with `args`, its group, and our descriptors of its pipes."""
        pipes = tuple(spawned.pipes)
        self._given: tuple[int, ...] = ()  # the pipes that the loop has, or is about to have
        self._ends: dict[int, PipeEnd] = {} if pipes else _NO_PIPES
        for number in pipes:
            self._ends[number] = PipeEnd(spawned.pipes, number)
        super().__init__()
        #: The children of its loop, which keep the transport while its own child lives.
        self.siblings: LoopChildren | None = None
        self._loop = loop
        self._protocol: Any = protocol
        self._args = args
        self.child = spawned.child
        self.group = spawned.group
        self.pipes: dict[int, ChildPipe | None] = dict.fromkeys(pipes) if pipes else _NO_PIPES
        self._pending: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = []
        self._connected = len(pipes)  # those that are not closed
        self._returncode: int | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self.finished = False
        self._closed = False

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and not self.finished:  # set last: else nothing was begun
            try:
                warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)
            finally:  # also where a warning is an error
                self._kill()

    def __repr__(self) -> str:
        state = "running" if self._returncode is None else f"returncode={self._returncode}"
        words = ["ChildTransport", "closed" if self._closed else "", f"pid={self.child.pid}", state]
        names = {0: "stdin", 1: "stdout", 2: "stderr"}
        words += [f"{names[number]}={pipe.transport}" for number, pipe in self.pipes.items() if pipe]
        return f"<{' '.join(filter(None, words))}>"

    async def connect(self) -> None:
        """Connect the pipes, then call `connection_made` of the protocol, and return after that."""
        for number, end in self._ends.items():
            pipe = self.pipes[number] = ChildPipe(self, number)
            is_connected = pipe.connect_here(self._loop, end)
            self._given += (number,)
            if not is_connected:
                await pipe.connect_by_loop(self._loop, end)
        try:
            self._protocol.connection_made(self)
        except Exception as error:
            self._tell_of_failure("connection_made", error)
        finally:
            if self._pending:
                self._loop.call_soon(self._call_pending)
            else:
                self._pending = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known by that name, as the class says."""
        if name == "subprocess":
            return self._popen_view
        if name in {"child", "group"}:
            return getattr(self, name)
        return super().get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take over."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """Return whether `close` was called."""
        return self._closed

    def get_pid(self) -> int:
        """Return the number of the process."""
        return self.child.pid

    def get_returncode(self) -> int | None:
        """Return how the child ended, an `Exit`; None until `process_exited` is due."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> asyncio.BaseTransport | None:
        """Return the transport of the child's descriptor `fd`, if that is a pipe."""
        pipe = self.pipes.get(fd)
        return None if pipe is None else pipe.transport

    def close(self) -> None:
        """Close the pipes; kill the child if it lives, with its group, if that is kept."""
        if self._closed:
            return
        lives = self._returncode is None
        if lives and self.group is not None:
            self.group.kill()
        self._close_pipes()
        if lives and self.child.reap() is None:
            if self._loop.get_debug():
                logger.warning("Close running child process: kill %r", self)
            with contextlib.suppress(PermissionError):  # the child runs setuid
                self._popen_view.kill()

    def _close_pipes(self) -> None:
        self._closed = True
        if not self._loop.is_closed():
            for pipe in self.pipes.values():
                if pipe is not None and pipe.transport is not None and not pipe.disconnected:
                    pipe.transport.close()
        for number, end in self._ends.items():
            if number not in self._given:  # the loop never got it; those that it has are its own to close
                end.close()

    def process_exited(self, returncode: int) -> None:
        """Handle the exit of the child; runs in the loop, and has an effect only once."""
        if self._returncode is not None:
            return
        if (siblings := self.siblings) is not None:
            if self._connected:
                siblings.lingering.add(self)
            siblings.living.discard(self)
            siblings.watchers.pop(self.child, None)
            self.siblings = None
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._returncode = returncode
        if not isinstance(returncode, Exit):
            # A watcher that is not ours has reaped it.
            self.child.set_exit(Exit(returncode))
        if not self._connected:
            self.finished = True
            self._call(self._end)
        elif getattr(getattr(self._protocol, "process_exited", None), "__func__", None) is not _IGNORE_EXIT:
            self._call(self._protocol.process_exited)
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    _process_exited = process_exited  # asyncio's name, which a loop's own `_child_watcher_callback` knows

    def when_exited(self) -> asyncio.Future[None]:
        """Return a future that is done when the exit is known, whoever else holds the pipes (cpython#119710)."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        if self._returncode is None:
            self._waiters = [*(self._waiters or ()), waiter]
        else:
            waiter.set_result(None)
        return waiter

    async def _wait(self) -> int:
        """Wait for the exit; `asyncio.subprocess.Process.wait` calls this."""
        await self.when_exited()
        assert self._returncode is not None
        return self._returncode

    def _call(self, callback: Callable[..., object], *args: Any) -> None:
        """Call soon, but not before connection_made."""
        if self._pending is not None:
            self._pending.append((callback, args))
        else:
            self._loop.call_soon(callback, *args)

    def _call_pending(self) -> None:
        """Make the calls that have waited for connection_made, in their order; those that come meanwhile are last."""
        assert self._pending is not None
        try:
            while self._pending:
                callback, args = self._pending.pop(0)
                try:
                    callback(*args)
                except Exception as error:
                    message = f"Exception in {callback!r}"
                    self._loop.call_exception_handler({"message": message, "exception": error, "transport": self})
            self._pending = None
        except BaseException:  # such as KeyboardInterrupt: the others are still to be made
            self._loop.call_soon(self._call_pending)
            raise

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Pass on data that was read from a pipe."""
        if self._pending is not None:
            self._pending.append((self._protocol.pipe_data_received, (fd, data)))
            return
        try:
            self._protocol.pipe_data_received(fd, data)
        except Exception as error:
            self._tell_of_failure("pipe_data_received", error)

    def pipe_connection_lost(self, fd: int, error: Exception | None) -> None:
        """Pass on that a pipe is closed."""
        if self._pending is not None:
            self._pending.append((self._protocol.pipe_connection_lost, (fd, error)))
        else:
            try:
                self._protocol.pipe_connection_lost(fd, error)
            except Exception as failure:
                self._tell_of_failure("pipe_connection_lost", failure)
        self._connected -= 1
        if self._returncode is not None and not self._connected:
            self.finished = True
            lose = getattr(self._protocol, "connection_lost", None)
            if self._pending is None and getattr(lose, "__func__", None) is _IGNORE_LOSS:
                self._protocol = None
            else:
                self._call(self._lose_connection)

    def _tell_of_failure(self, name: str, error: Exception) -> None:
        """Tell the loop's handler of an exception of the protocol, as the loop does with those of its callbacks."""
        message = f"Exception in {self._protocol!r}.{name}"
        self._loop.call_exception_handler({"message": message, "exception": error, "transport": self})

    def pause_writing(self) -> None:
        """Pass on that the child's standard input is full."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that there is room in it again."""
        self._protocol.resume_writing()

    def _end(self) -> None:
        """Call `process_exited` and `connection_lost` in one callback."""
        try:
            self._protocol.process_exited()
        finally:
            self._lose_connection()

    def _lose_connection(self) -> None:
        protocol, self._protocol = self._protocol, None
        protocol.connection_lost(None)


def tell_exit(pid: int, returncode: int, reference: weakref.ref[ChildTransport]) -> None:
    """Report that a child has exited to its transport; watchers call this, in any thread, and more than once."""
    if (transport := reference()) is None:
        return
    loop = transport._loop
    hook: Any = getattr(loop, "_child_watcher_callback", None)
    if getattr(hook, "__func__", hook) not in NATIVE_HOOKS:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            hook(pid, returncode, transport)
    elif running_loop() is loop:
        if asyncio.current_task(loop) is None:
            Context().run(transport.process_exited, returncode)  # a callback of a program may have polled
        else:  # not at once: a task has polled
            loop.call_soon(transport.process_exited, returncode, context=Context())
    else:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(transport.process_exited, returncode)
