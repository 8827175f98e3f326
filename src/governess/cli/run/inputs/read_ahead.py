"""Reading input in a thread, so that a slow pipe does not hold up the commands that run."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from governess.children._per_loop import set_unless_done

__all__ = ["ReadAhead"]

Value = TypeVar("Value")


class ReadAhead(Generic[Value]):
    """Takes values from an iterator that may block, in a thread; what is read ahead is bounded.

    Args:
        values: the iterator; the thread alone uses it.
        limit: how many values are read ahead.
    """

    def __init__(self, values: Iterator[Value], limit: int) -> None:
        self._values = values
        self._limit = limit
        self._ready: deque[Value] = deque()
        self._changed = threading.Condition()
        self._is_full = False
        self._waiters: list[Callable[[], object]] = []
        self._error: Exception | None = None
        self._count = 0
        self.has_ended = False
        """Whether the iterator has ended, so that what is left is known."""
        # Nobody can end its wait in a read; nothing depends on its end.
        threading.Thread(target=self._read, name="governess-input", daemon=True).start()

    @property
    def count(self) -> int:
        """How many values were read so far."""
        return self._count

    @property
    def is_ready(self) -> bool:
        """Whether `take` has an answer."""
        return bool(self._ready) or self.has_ended

    def take(self) -> Value | None:
        """Return the next value; None after the last one.

        Raises:
            Exception: what the iterator has raised.
        """
        if self._ready:
            value = self._ready.popleft()
            if self._is_full and len(self._ready) <= self._limit // 2:
                with self._changed:
                    self._changed.notify_all()
            return value
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return None

    async def wait(self) -> None:
        """Wait until `take` has an answer."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._when_ready(lambda: loop.call_soon_threadsafe(set_unless_done, waiter, None))
        await waiter

    def block(self) -> None:
        """Wait in this thread until `take` has an answer."""
        ready = threading.Event()
        self._when_ready(ready.set)
        ready.wait()

    def _when_ready(self, tell: Callable[[], object]) -> None:
        # First this, then the question: the thread does it the other way round, so one of both sees the other.
        self._waiters.append(tell)
        if self.is_ready:
            self._wake()

    def _read(self) -> None:
        try:
            for value in self._values:
                self._count += 1
                self._ready.append(value)
                if self._waiters:
                    self._wake()
                if len(self._ready) >= self._limit:
                    self._pause()
        except Exception as error:
            self._error = error
        with self._changed:
            self.has_ended = True
        self._wake()

    def _pause(self) -> None:
        with self._changed:
            self._is_full = True
            self._changed.wait_for(lambda: len(self._ready) <= self._limit // 2)
            self._is_full = False

    def _wake(self) -> None:
        with self._changed:
            waiters, self._waiters = self._waiters, []
        for tell in waiters:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                tell()
