"""What happens to services, told to whoever wants to know."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from governess.children._per_loop import set_unless_done
from governess.services._states import State

__all__ = ["EventLog", "ServiceEvent"]


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """An event in the life of a copy of a service.

    Attributes:
        name: the name of the copy, such as `web.1`; ``""`` for an event that concerns no copy.
        state: the state of the copy after the event.
        text: the event and its reason, as words that follow the name: `waits for db: tcp 5432`.
        pid: the number of the process of the copy; None if the copy has no process.
        code: the exit status, or the negative number of a signal, if the process has just ended; else None.
        time: the time of the event, in seconds since the epoch.
    """

    name: str
    state: State | None
    text: str
    pid: int | None = None
    code: int | None = None
    time: float = field(default_factory=time.time)

    def __str__(self) -> str:
        return f"{self.name} {self.text}" if self.name else self.text


class EventLog:
    """The latest events, which any number of readers go through, each at its own pace."""

    _KEPT = 1000

    def __init__(self, on_event: Callable[[ServiceEvent], object] | None = None) -> None:
        """Begin without an event; `on_event` is called with each."""
        self._on_event = on_event
        self._events: deque[ServiceEvent] = deque(maxlen=self._KEPT)
        self._count = 0
        self._is_closed = False
        self._news: asyncio.Future[None] | None = None

    def add(self, event: ServiceEvent) -> None:
        """Add an event, and wake up those who wait for one."""
        self._events.append(event)
        self._count += 1
        if self._on_event is not None:
            self._on_event(event)
        self.wake()

    def wake(self) -> None:
        """Wake up those who wait for a change."""
        news, self._news = self._news, None
        if news is not None:
            set_unless_done(news, None)

    def close(self) -> None:
        """End the iterations, when they have come to the last event."""
        self._is_closed = True
        self.wake()

    async def changed(self) -> None:
        """Wait for the next event, or the next `wake`."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    async def follow(self) -> AsyncIterator[ServiceEvent]:
        """Give the events that are kept, and then each new one; a reader that is too slow misses some."""
        seen = self._count - len(self._events)
        while True:
            first = self._count - len(self._events)
            fresh = [self._events[index] for index in range(max(seen - first, 0), len(self._events))]
            seen = self._count
            for event in fresh:
                yield event
            if seen == self._count:
                if self._is_closed:
                    return
                await self.changed()
