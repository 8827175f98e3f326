"""The order in which a child's two outputs have arrived."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

__all__ = ["Arrival", "Arrivals"]


class Arrival(NamedTuple):
    """Bytes that came in one piece.

    Attributes:
        fd: the child's descriptor, 1 or 2.
        size: how many bytes; 0 at the end.
    """

    fd: int
    size: int


class Arrivals:
    """What has arrived and is not yet read, oldest first: kept until somebody reads one of the outputs by itself.

    Attributes:
        are_followed: whether somebody reads both outputs by this order.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._waiting: deque[Arrival] = deque()
        self._news = asyncio.Event()
        self._stopped = False
        self.are_followed = False

    def note(self, fd: int, size: int) -> None:
        """Take note of bytes; 0 of them are the end."""
        if self._stopped:
            return
        # Adjacent pieces of one output are one, so that what is kept is bounded by what the readers buffer.
        if size and self._waiting and self._waiting[-1].fd == fd:
            size += self._waiting.pop().size
        self._waiting.append(Arrival(fd, size))
        self._news.set()

    def stop(self) -> None:
        """Keep no account any more."""
        self._stopped = True
        self._waiting.clear()
        self._news.set()

    async def next(self) -> Arrival:
        """Return the oldest that is not yet read, when there is one.

        Raises:
            RuntimeError: somebody has read one of the outputs by itself.
        """
        self.are_followed = True
        while not self._waiting:
            if self._stopped:
                raise RuntimeError("the order of the lines is not known: one of the outputs was read by itself")
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()
