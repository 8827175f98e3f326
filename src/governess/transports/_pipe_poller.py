"""All pipes of a loop's children in one epoll, which is one reader of the loop (Linux, asyncio's own `add_reader`).

Most children write little or nothing. To add a reader to asyncio's loop and to remove it takes some forty Python calls,
and to register a descriptor with an epoll one call in C. The watchers do the same with the pidfds.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import weakref
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from governess.children._after_fork import run_after_fork
from governess.children._per_loop import PerLoop

__all__ = ["PipePoller", "forget_pipes", "poller_of"]

# How many pipes are read before the loop runs its other callbacks.
_BATCH = 64


def poller_of(loop: asyncio.AbstractEventLoop) -> PipePoller | None:
    """Return what reads the pipes of a loop; None where the loop itself is asked to.

    A loop that has an `add_reader` of its own does more by it: it gives the pipe a priority, or adds it in its thread.
    """
    if (poller := _pollers.get(loop)) is not None:
        return poller
    is_asyncios = getattr(type(loop), "add_reader", None) is BaseSelectorEventLoop.add_reader
    if not is_asyncios or _make_epoll is None or "add_reader" in vars(loop):
        return None
    run_after_fork(_forget_parents_pipes)
    poller = PipePoller(loop)
    _pollers.set(loop, poller)
    return poller


def forget_pipes(loop: asyncio.AbstractEventLoop) -> None:
    """Close what has read the pipes of a loop that is closed by now."""
    if (poller := _pollers.get(loop)) is not None:
        _pollers.discard(loop)
        poller.forget()


_make_epoll: Callable[[], Any] | None = getattr(select, "epoll", None)  # gevent takes it out of the module
_READABLE: int = getattr(select, "EPOLLIN", 0)


class PipePoller:
    """The pipes of one loop. Its epoll is open, and the loop reads it, from the first pipe to the last.

    Its readers lead back to the loop, of which it is an attribute: they are garbage together.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start with no pipe."""
        self._loop: Callable[[], asyncio.AbstractEventLoop | None] = weakref.ref(loop)
        self._epoll: Any = None
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
        if not self._readers:
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
            # In a context of its own: it serves others too.
            Context().run(loop.add_reader, epoll.fileno(), self._read_all)
        except BaseException:
            epoll.close()
            raise
        self._epoll = epoll
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


_pollers: PerLoop[PipePoller] = PerLoop()


def _forget_parents_pipes() -> None:
    for poller in _pollers.values():
        poller.forget()
    _pollers.clear()
