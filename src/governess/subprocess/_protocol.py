"""What the protocols of children have in common, and the one for callers that want all of the output at its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from governess.children._child import Child
from governess.subprocess._lines import Listener
from governess.subprocess._results import joined, terminal_hint
from governess.transports._write_buffer import Buffer

if TYPE_CHECKING:
    from governess.transports._transport import ChildTransport

__all__ = ["ChildProtocol", "Collector", "ignore_stop", "text_of"]

logger = logging.getLogger("governess")


class ChildProtocol(asyncio.SubprocessProtocol):
    """Passes what a child writes on to listeners, and tells when the child ends its outputs.

    Attributes:
        failure: done with the exception of a listener, if there is any; None without listeners.
        stop: the signal by which the terminal has stopped the child, which has used it without having it; 0 before.
        timer: expires then, since nobody can continue the child where it could use the terminal; None if nobody waits.
        on_stop: what else handles that; None to log a warning, unless there is a timer.
    """

    # What `asyncio.subprocess.Process` has, where a caller reads or writes in parts.
    stdin: Any
    stdout: Any
    stderr: Any
    failure: asyncio.Future[Exception] | None = None
    stop = 0
    timer: asyncio.Timeout | None = None
    on_stop: Callable[[Child, int], None] | None = None
    _listeners: Sequence[Listener] = ()

    @property
    def is_finished(self) -> bool:
        """Whether all that the child has written was read or collected, and nothing more comes."""
        raise NotImplementedError

    async def finish(self) -> None:
        """Wait until it is finished; collect what no caller reads."""
        raise NotImplementedError

    def collected(self, fd: int) -> bytearray | None:
        """Return what was collected of the output that the child has as its descriptor `fd`; None if it is no pipe."""
        raise NotImplementedError

    def feed(self, input: Buffer | None = None) -> None:
        """Have all of the input written, and then the child's standard input closed, while the caller goes on."""
        raise NotImplementedError

    def stopped(self, child: Child, stop: int) -> None:
        """Tell that the child has used the terminal without having it, and is stopped by the signal `stop`."""
        on_stop, self.on_stop = self.on_stop, ignore_stop
        if self.timer is not None:
            with contextlib.suppress(RuntimeError):  # the time is over as well
                self.timer.reschedule(0.0)
                self.stop = stop
        elif on_stop is not None:
            on_stop(child, stop)
        else:
            logger.warning("%s", terminal_hint(joined(child.argv), stop))

    def _listen(self, loop: asyncio.AbstractEventLoop, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        self.failure = loop.create_future()

    def _tell_listeners(self, fd: int, data: bytes) -> None:
        try:
            for listener in self._listeners:
                listener.feed(fd, data)
        except Exception as error:
            self._listeners = ()
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Keep the error of a listener for those who wait."""
        assert self.failure is not None
        self.failure.set_result(error)


class Collector(ChildProtocol):
    """Collects all that a child writes to its pipes, however much it is; no caller reads meanwhile."""

    stdin = stdout = stderr = None

    def __init__(self, keep: bool, listeners: Sequence[Listener], loop: asyncio.AbstractEventLoop) -> None:
        """Keep what is written, or pass it on to the listeners only."""
        self._loop = loop
        self._keep = keep
        self._buffers: dict[int, bytearray] = {}
        self._open = 0
        self._waiter: asyncio.Future[None] | None = None
        self._transport: ChildTransport | None = None
        if listeners:
            self._listen(loop, listeners)

    def connection_made(self, transport: Any) -> None:
        """Be ready to collect."""
        self._transport = transport
        for fd in transport.pipes:
            if fd:
                self._buffers[fd] = bytearray()
                self._open += 1

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Collect the data, and pass it on."""
        if self._keep:
            self._buffers[fd] += data
        if self._listeners:
            self._tell_listeners(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note the end of an output."""
        if not fd:
            return
        if self._listeners:
            self._tell_listeners(fd, b"")
        self._open -= 1
        if not self._open and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def is_finished(self) -> bool:
        """Whether both outputs have ended."""
        return not self._open

    async def finish(self) -> None:
        """Wait until both outputs have ended."""
        if self._open:
            self._waiter = self._loop.create_future()
            await self._waiter

    def collected(self, fd: int) -> bytearray | None:
        """Return what was collected."""
        return self._buffers.get(fd)

    def feed(self, input: Buffer | None = None) -> None:
        """Write the input, and close the child's standard input when all is written."""
        assert self._transport is not None
        pipe: Any = self._transport.get_pipe_transport(0)
        if pipe is not None and not pipe.is_closing():
            if input:
                pipe.write(input)
            pipe.close()


def text_of(collected: bytearray | None, encoding: str | None, errors: str) -> Any:
    """Return what was collected as bytes, or as text if there is an encoding; None if nothing was to be collected."""
    if collected is None:
        return None
    return bytes(collected) if encoding is None else collected.decode(encoding, errors)


def ignore_stop(child: Child, stop: int) -> None:
    """Do nothing: the stop was told, or is handled elsewhere."""
