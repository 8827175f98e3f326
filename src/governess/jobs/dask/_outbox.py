"""What a worker has to tell a run: in order, until it is acknowledged, and no more than a bound."""

from __future__ import annotations

import asyncio
import time

from governess.jobs.dask._messages import Chunk, Event, Started

__all__ = ["Outbox"]

# Bytes of output in one answer, beyond which the rest waits for the next one.
_MOST = 4 << 20


class Outbox:
    """Events for one run, which asks for them.

    An answer that is not acknowledged is given again, so that nothing is lost with a connection.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._sent: list[Event] = []
        self._number = 0
        self._filled = asyncio.Event()
        self.asked = time.monotonic()

    def put(self, event: Event) -> None:
        """Add an event after all others."""
        self._events.append(event)
        self._filled.set()

    async def take(self, acknowledged: int, timeout: float, gather: float) -> tuple[int, list[Event]]:
        """Wait until there is something to tell; return the number of the answer, and the events.

        Args:
            acknowledged: the number of the last answer that was received.
            timeout: seconds after which the answer is empty.
            gather: seconds in which events are gathered for one answer.
        """
        self.asked = time.monotonic()
        if self._sent and acknowledged != self._number:
            return self._number, self._sent
        self._sent = []
        if not self._events:
            self._filled.clear()
            try:
                await asyncio.wait_for(self._filled.wait(), timeout)
            except TimeoutError:
                return self._number, []
        await asyncio.sleep(gather)
        size = count = 0
        for event in self._events:
            if isinstance(event, Chunk):
                size += len(event.data)
                if size > _MOST and count:
                    break
            count += 1
        now = time.monotonic()
        self._sent = [
            event._replace(age=now - event.begun) if isinstance(event, Started) else event
            for event in self._events[:count]
        ]
        del self._events[:count]
        self._number += 1
        return self._number, self._sent

    async def emptied(self, timeout: float) -> None:
        """Wait until everything was asked for, or `timeout` seconds have passed."""
        until = time.monotonic() + timeout
        while self._events and time.monotonic() < until:
            await asyncio.sleep(0.01)
