"""The screen of `governess top`: the services, and what the chosen one writes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType

from governess.cli.run.outcome import memory, printable
from governess.cli.screen import CpuShares, ListRow, ListScreen, counted, log_lines, right
from governess.cli.up.table import uptime

__all__ = ["Top"]

_LONGEST_ANSWER = 1 << 24
_COLOURS = {
    "ready": "green",
    "done": "dim",
    "stopped": "dim",
    "starting": "yellow",
    "waiting": "yellow",
    "backoff": "red",
    "failed": "bold red",
    "unhealthy": "red",
    "stopping": "yellow",
}


class Top(ListScreen):
    """Shows the services of a `governess up`."""

    TITLE = "governess top"
    COLUMNS = ("NAME", "STATE", "PID", "SINCE", "STARTS", "CPU", "MEMORY", "WHAT HAPPENED LAST")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "act('start')", "Start"),
        Binding("x", "act('stop')", "Stop"),
        Binding("r", "act('restart')", "Restart"),
    ]

    def __init__(self, socket: Path) -> None:
        """Show what is behind a control socket."""
        super().__init__()
        self._socket = socket
        self._shares = CpuShares()

    def action_act(self, command: str) -> None:
        """Do a command with the chosen copy."""
        if self.chosen:
            self.command(command, self.chosen)

    async def look_again(self) -> None:
        """Ask for the states."""
        try:
            async with _connection(self._socket) as (reader, writer):
                writer.write(b'{"do": "ps"}\n')
                services = json.loads(await reader.readline())["services"]
        except (OSError, ValueError):
            self.exit("it has ended")
            return
        states = Counter(status["state"] for status in services)
        rows = [ListRow(status["name"], self._cells(status)) for status in services]
        self.fill(counted("service", states, _COLOURS), rows)

    @work(group="commands")
    async def command(self, command: str, name: str) -> None:
        """Do a command, and tell if it is refused."""
        try:
            async for answer in _answers(self._socket, {"do": command, "names": [name]}):
                if "error" in answer:
                    self.tell(answer["error"])
        except (OSError, ValueError) as error:
            self.tell(str(error))

    async def follow(self, key: str) -> None:
        """Write what a copy writes into the log."""
        try:
            async for answer in _answers(self._socket, {"do": "logs", "names": [key], "follow": True}):
                if answer.get("name") == key:
                    self.write(log_lines(answer["lines"].encode(errors="replace")))
        except (OSError, ValueError):
            return

    def _cells(self, status: dict[str, Any]) -> list[Text]:
        state = status["state"]
        return [
            Text(status["name"]),
            Text(state, _COLOURS.get(state, "")),
            right(str(status["pid"] or "-")),
            right(uptime(status["seconds"])),
            right(str(status["starts"])),
            right(self._shares.text(status["name"], status["cpu"], status["seconds"])),
            right(memory(status["memory"])),
            Text(printable(status["text"])),
        ]


async def _answers(socket: Path, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    async with _connection(socket) as (reader, writer):
        writer.write(json.dumps(request).encode() + b"\n")
        while line := await reader.readline():
            yield json.loads(line)


@asynccontextmanager
async def _connection(socket: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LONGEST_ANSWER)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
