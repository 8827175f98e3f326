"""The control socket: one request a connection, a line of JSON, which is answered by lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from governess.services import ServiceError, Supervisor

__all__ = ["ControlServer"]

_LONGEST_REQUEST = 1 << 16
# Seconds in which a request has to come.
_REQUEST_TIMEOUT = 5.0
# Bytes that wait for a reader of logs who is too slow; then it misses some.
_BEHIND = 1 << 20

Reload = Callable[[bool], Awaitable[list[str]]]


class ControlServer:
    """Answers the commands for a supervisor."""

    def __init__(self, supervisor: Supervisor, reload: Reload, path: Path) -> None:
        """Serve a supervisor; `reload` reads its file again, and only tells what would change if it is called so."""
        self._supervisor = supervisor
        self._reload = reload
        self._path = path
        self._server: asyncio.Server | None = None
        self._followers: dict[asyncio.StreamWriter, _Follower] = {}
        self._shown: dict[str, int] = {}  # how many bytes of each copy were given to `show`
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on the socket.

        Raises:
            OSError: that cannot be done.
        """
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=_LONGEST_REQUEST)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Close all connections."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def show(self, name: str, lines: bytes) -> None:
        """Pass lines of a copy on to the clients that follow its log; it is called in the loop, with all lines."""
        before = self._shown.get(name, 0)
        self._shown[name] = before + len(lines)
        wanted = [writer for writer, follower in self._followers.items() if self._wants(follower, name, before)]
        if not wanted:
            return
        answer = _encode({"name": name, "lines": lines.decode(errors="replace")})
        for writer in wanted:
            if writer.transport.get_write_buffer_size() < _BEHIND:
                writer.write(answer)

    def _wants(self, follower: _Follower, name: str, position: int) -> bool:
        """Return whether a client gets the lines of a copy that begin at this position of all that it has written."""
        if position < follower.has.get(name, 0):
            return False
        try:
            return not follower.names or name in self._supervisor.names(follower.names)
        except ServiceError:  # the service was removed
            return False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT):
                request = json.loads(await reader.readline())
            await self._answer(request, reader, writer)
        except (ServiceError, _Refusal) as error:
            writer.write(_encode({"error": str(error)}))
        except (ValueError, TypeError, KeyError, TimeoutError) as error:
            writer.write(_encode({"error": f"that is no request: {error}"}))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._followers.pop(writer, None)
            with contextlib.suppress(OSError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()

    async def _answer(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        names = _strings(request.get("names", []))
        supervisor = self._supervisor
        match request["do"]:
            case "ps":
                pass
            case "start":
                await supervisor.start(names)
            case "stop":
                await supervisor.stop(names)
            case "restart":
                await supervisor.restart(names)
            case "scale":
                for name, copies in request["copies"].items():
                    await supervisor.scale(name, int(copies))
                names = list(request["copies"])
            case "signal":
                reached = supervisor.signal(signal.Signals(int(request["signal"])), names)
                writer.write(_encode({"reached": reached}))
                return
            case "reload":
                writer.write(_encode({"changes": await self._reload(bool(request.get("dry_run")))}))
                return
            case "down":
                supervisor.end(0)
                writer.write(_encode({"pid": os.getpid()}))
                return
            case "logs":
                await self._tell_logs(names, bool(request.get("follow")), reader, writer)
                return
            case other:
                raise _Refusal(f"there is no command {other!r}")
        writer.write(_encode({"services": [status.as_json() for status in supervisor.status(names)]}))

    async def _tell_logs(
        self, names: list[str], follow: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        has: dict[str, int] = {}
        output = self._supervisor.writer
        for name in self._supervisor.names(names):
            lines = self._supervisor.recent_output(name)
            has[name] = 0 if output is None else output.recent.size(name)
            writer.write(_encode({"name": name, "lines": lines.decode(errors="replace")}))
        if follow:
            self._followers[writer] = _Follower(names, has)
            await reader.read()  # until the client goes


class _Follower(NamedTuple):
    """A client that follows logs.

    Attributes:
        names: names and patterns of services and copies; all if there is none.
        has: how many bytes each copy had written when the client got its last lines. `show` comes later for some.
    """

    names: list[str]
    has: dict[str, int]


class _Refusal(Exception):
    """A request cannot be answered."""


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError("names are a list of strings")
    return value


def _encode(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
