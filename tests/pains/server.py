"""A server that makes its own loop, as it is told by name: uvicorn where it is installed, else a stand-in."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["Server", "server"]


class Server(Protocol):
    """What uvicorn.Server has."""

    should_exit: bool

    def run(self) -> None:
        """Serve in a loop of the server's."""
        ...

    async def serve(self) -> None:
        """Serve in the running loop."""
        ...


def server(loop: str = "asyncio") -> tuple[Server, list[AbstractEventLoop]]:
    """Return a server that ends when it has started, and where it leaves the loop that has run it."""
    loops: list[AbstractEventLoop] = []

    async def application(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        loops.append(asyncio.get_running_loop())
        serving.should_exit = True
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    serving = _uvicorn(application, loop) if importlib.util.find_spec("uvicorn") else _StandIn(loops, loop)
    return serving, loops


def _uvicorn(application: Any, loop: str) -> Server:
    import uvicorn

    config = uvicorn.Config(application, port=0, loop=loop, lifespan="on", ws="none", log_config=None)
    serving: Server = uvicorn.Server(config)
    return serving


class _StandIn:
    should_exit = False

    def __init__(self, loops: list[AbstractEventLoop], loop: str) -> None:
        self._loops = loops
        self._loop = "asyncio:SelectorEventLoop" if loop == "asyncio" else loop

    def run(self) -> None:
        module, _, name = self._loop.partition(":")
        with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), name)) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        self._loops.append(asyncio.get_running_loop())
