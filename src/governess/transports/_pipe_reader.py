"""Reading the pipes of a loop's children, for loops with `add_reader`.

All pipes of a loop are in one epoll, which is one reader of the loop (Linux, asyncio's own `add_reader`). Most children
write little or nothing. To add a reader to asyncio's loop and to remove it takes some forty Python calls; to register a
descriptor with an epoll is one call in C. The watchers do the same with the pidfds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import weakref
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from governess.children._after_fork import run_after_fork
from governess.children._per_loop import PerLoop
from governess.children._starting import Starts, starts_of
from governess.transports._pipe_transport import PipeReadTransport

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from governess.transports._child_pipe import PipeEnd

__all__ = ["PipeReader", "forget_pipes"]

_DEFAULT_SIZE = 64 * 1024
_CHUNK = 256 * 1024  # as much as asyncio reads at once


class PipeReader(PipeReadTransport):
    """Passes what comes from a pipe or a terminal on to an `asyncio.Protocol`.

    Attributes:
        max_size: how many bytes are read at once: 64 KiB, what a pipe holds by default; more once a read was that long.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, end: PipeEnd) -> None:
        """Own the end, call ``protocol.connection_made``, and read from now on.

        Raises:
            NotImplementedError: the loop has no `add_reader`; the end is still the caller's.
            OSError: the loop cannot wait for another descriptor; likewise.
        """
        super().__init__({"pipe": end})
        self._loop = loop
        self._protocol = protocol
        self._end = end
        self._descriptor = descriptor = end.fileno()
        # Not _poller_of() at once: this is done for each pipe.
        self._poller = getattr(loop, "__dict__", _NO_ATTRIBUTES).get(_pollers.name) or _poller_of(loop)
        self.max_size = _DEFAULT_SIZE
        os.set_blocking(descriptor, False)
        protocol.connection_made(self)  # from here on it can be closed, if a KeyboardInterrupt comes
        self._wait()

    def __repr__(self) -> str:
        state = "closing" if self._closing else "paused" if self._paused else "reading"
        return f"<PipeReader {state} {self._end!r}>"

    def pause_reading(self) -> None:
        """Give the protocol no data until `resume_reading`."""
        if self.is_reading():
            self._paused = True
            self._wait_no_longer()

    def resume_reading(self) -> None:
        """Give the protocol data again."""
        if self._paused and not self._closing:
            self._paused = False
            self._wait()

    def close(self) -> None:
        """Close the pipe in the next iteration of the loop."""
        if not self._closing:
            self._stop()
            self._loop.call_soon(self._lose, None)

    def _wait(self) -> None:
        if self._poller is not None:
            self._poller.add(self._descriptor, self._read)
        else:
            self._loop.add_reader(self._descriptor, self._read)

    def _wait_no_longer(self) -> None:
        if self._poller is not None:
            self._poller.discard(self._descriptor)
        else:
            self._loop.remove_reader(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, self.max_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:  # EIO: a terminal that nobody has any more
            self._stop()
            self._lose(error)
            return
        if data:
            if len(data) == _DEFAULT_SIZE:
                self._expect_much()
            self._protocol.data_received(data)
            return
        self._stop()
        try:
            self._protocol.eof_received()
        finally:
            self._lose(None)

    def _expect_much(self) -> None:
        """Read more at once, and have the loop itself wait, which costs less for each read."""
        self.max_size = _read_size(self._descriptor)
        if (poller := self._poller) is not None:
            try:
                self._loop.add_reader(self._descriptor, self._read)
            except OSError:  # no memory, or too many watches of this user: epoll_ctl(2)
                return
            poller.discard(self._descriptor)
            self._poller = None

    def _stop(self) -> None:
        self._closing = True
        if not self._paused:
            self._wait_no_longer()

    def _lose(self, error: OSError | None) -> None:
        self._end.close()
        protocol, self._protocol = self._protocol, None  # which leads back here: no garbage is left to be collected
        protocol.connection_lost(error)


def _read_size(descriptor: int) -> int:
    """Return as much as the pipe holds, at most 256 KiB.

    For more than it needs malloc maps new memory, and unmaps it, with each read: mallopt(3), M_MMAP_THRESHOLD.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # it is a terminal
            return min(_CHUNK, fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ))
    return _CHUNK


# How many pipes are read before the loop runs its other callbacks.
_BATCH = 64


def _poller_of(loop: asyncio.AbstractEventLoop) -> _PipePoller | None:
    """Return what reads the pipes of a loop; None where the loop itself is asked to.

    A loop that has an `add_reader` of its own does more by it: it gives the pipe a priority, or adds it in its thread.
    """
    if (poller := _pollers.get(loop)) is not None:
        return poller
    is_asyncios = getattr(type(loop), "add_reader", None) is BaseSelectorEventLoop.add_reader
    if not is_asyncios or _make_epoll is None or "add_reader" in vars(loop):
        return None
    run_after_fork(_forget_parents_pipes)
    poller = _PipePoller(loop)
    _pollers.set(loop, poller)
    return poller


def forget_pipes(loop: asyncio.AbstractEventLoop) -> None:
    """Close what has read the pipes of a loop that is closed by now."""
    if (poller := _pollers.get(loop)) is not None:
        _pollers.discard(loop)
        poller.forget()


_make_epoll: Callable[[], Any] | None = getattr(select, "epoll", None)  # gevent takes it out of the module
_READABLE: int = getattr(select, "EPOLLIN", 0)


class _PipePoller:
    """The pipes of one loop. Its epoll is open, and the loop reads it, while there are pipes, or starts of children.

    Its readers lead back to the loop, of which it is an attribute: they are garbage together.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start with no pipe."""
        self._loop: Callable[[], asyncio.AbstractEventLoop | None] = weakref.ref(loop)
        self._epoll: Any = None
        self._starts: Starts | None = None
        self._readers: dict[int, tuple[Callable[[], object], Context]] = {}

    def add(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Call `callback`, in a copy of this context, when the descriptor is readable; errors as `add_reader`."""
        self._readers[descriptor] = callback, copy_context()
        try:
            epoll = self._open() if self._epoll is None else self._epoll
            epoll.register(descriptor, _READABLE)
        except BaseException:
            self.discard(descriptor)
            raise

    def discard(self, descriptor: int) -> None:
        """Take the descriptor out, while it is open; do nothing if it is not in."""
        if self._readers.pop(descriptor, None) is None:
            return
        epoll = self._epoll
        if epoll is None:  # it could not be opened
            return
        with contextlib.suppress(OSError):  # it could not be registered
            epoll.unregister(descriptor)
        if self._readers:
            return
        if (starts := self._starts) is None or starts.queue is None:
            self._close_unused()
        else:
            starts.kept.add(self._close_unused)

    def _close_unused(self) -> None:
        if self._readers or (epoll := self._epoll) is None:
            return
        self._epoll = None
        if (loop := self._loop()) is not None and not loop.is_closed():
            loop.remove_reader(epoll.fileno())
        epoll.close()

    def forget(self) -> None:
        """Take everything out; the loop is not told."""
        self._readers.clear()
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            epoll.close()

    def _open(self) -> Any:
        loop = self._loop()
        assert loop is not None
        assert _make_epoll is not None
        epoll = _make_epoll()
        try:
            # An interrupt may have kept `discard` from this; asyncio would take the epoll for an old one of its number.
            loop.remove_reader(epoll.fileno())
            # In a context of its own: it serves others too.
            Context().run(loop.add_reader, epoll.fileno(), self._read_all)
        except BaseException:
            with contextlib.suppress(NotImplementedError):
                loop.remove_reader(epoll.fileno())
            epoll.close()
            raise
        self._epoll = epoll
        self._starts = starts_of.get(loop)
        return epoll

    def _read_all(self) -> None:
        for descriptor, _ in self._epoll.poll(0, _BATCH):
            if (reader := self._readers.get(descriptor)) is None:  # a callback before it has taken it out
                continue
            try:
                reader[1].run(reader[0])
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # as a callback of the loop's own
                if (loop := self._loop()) is not None:
                    loop.call_exception_handler({"message": f"Exception in {reader[0]!r}", "exception": error})


_pollers: PerLoop[_PipePoller] = PerLoop()
_NO_ATTRIBUTES: dict[str, Any] = {}


def _forget_parents_pipes() -> None:
    for poller in _pollers.values():
        poller.forget()
    _pollers.clear()
