"""A supervisor in a test, and what has happened in it."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from governess.services import Service, ServiceEvent, State, Supervisor

__all__ = ["Watched", "free_port", "supervised"]


class Watched:
    """A supervisor, with what has happened in it and when."""

    def __init__(self, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self.supervisor = supervisor
        self.events: list[tuple[float, ServiceEvent]] = []
        self.lines: list[str] = []
        self._loop = loop
        self._news = asyncio.Event()

    def note(self, event: ServiceEvent) -> None:
        self.events.append((time.monotonic(), event))  # uvloop has the time only in milliseconds
        self._news.set()

    def hear(self, name: str, lines: bytes) -> None:
        self.lines += [f"{name} {line}" for line in lines.decode().splitlines()]
        self._loop.call_soon_threadsafe(self._news.set)

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def reaches(self, name: str, state: State, count: int = 1) -> float:
        """Wait until a copy has come to a state so often; return when."""

        def times() -> list[float]:
            states = [(State.STOPPED, 0.0)] + [(e.state, t) for t, e in self.events if e.name == name and e.state]
            pairs = itertools.pairwise(states)
            return [time for (before, _), (after, time) in pairs if after is state and before is not state]

        await self.until(lambda: len(times()) >= count)
        return times()[count - 1]

    def told(self) -> list[str]:
        return [str(event) for _, event in self.events]


@asynccontextmanager
async def supervised(*services: Service, **options: Any) -> AsyncIterator[Watched]:
    """Keep services alive for a block."""
    watched: Watched
    supervisor = Supervisor(
        services,
        on_event=lambda event: watched.note(event),
        on_output=lambda name, lines: watched.hear(name, lines),
        **options,
    )
    watched = Watched(supervisor, asyncio.get_running_loop())
    async with supervisor:
        yield watched


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
