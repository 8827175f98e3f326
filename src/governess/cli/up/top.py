"""The screen of `governess top`: the services, and what the chosen one writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Footer, RichLog, Static

from governess.cli.run.outcome import memory, printable
from governess.cli.up.console import printable_lines
from governess.cli.up.table import uptime

__all__ = ["Top"]

_INTERVAL = 1.0
_LONGEST_ANSWER = 1 << 24
_COLUMNS = ("NAME", "STATE", "PID", "SINCE", "STARTS", "CPU", "MEMORY", "WHAT HAPPENED LAST")
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


class Top(App[str]):
    """Shows the services of a `governess up`; its result is why it has ended, "" if the user wanted it."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "governess top"
    CSS = """
    #services { height: 2fr; }
    #title { height: 1; background: $panel; padding: 0 1; }
    #log { height: 1fr; min-height: 5; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "act('start')", "Start"),
        Binding("x", "act('stop')", "Stop"),
        Binding("r", "act('restart')", "Restart"),
        Binding("q", "quit_by_key", "Quit"),
    ]

    def __init__(self, socket: Path) -> None:
        """Show what is behind a control socket."""
        super().__init__()
        self._socket = socket
        self._rows: list[str] = []
        self._shown = ""
        self._cpu: dict[str, tuple[float, float]] = {}

    def compose(self) -> ComposeResult:
        """Have a table, and the log below it."""
        with Vertical():
            yield DataTable(id="services", cursor_type="row", zebra_stripes=True)
            yield Static("", id="title")
            yield RichLog(id="log", max_lines=2000, wrap=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self._table.add_columns(*_COLUMNS)
        self._table.focus()
        self.look()

    @property
    def _table(self) -> DataTable[Any]:
        return self.query_one("#services", DataTable)

    def action_act(self, command: str) -> None:
        """Do a command with the chosen copy."""
        if self._rows:
            self.command(command, self._rows[self._table.cursor_row])

    def action_quit_by_key(self) -> None:
        """End the screen, and nothing else."""
        self.exit("")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the log of the copy that was chosen."""
        if self._rows and event.cursor_row < len(self._rows):
            self._show_log(self._rows[event.cursor_row])

    @work(exclusive=True, group="look")
    async def look(self) -> None:
        """Ask for the states, again and again."""
        while True:
            try:
                async with _connection(self._socket) as (reader, writer):
                    writer.write(b'{"do": "ps"}\n')
                    answer = json.loads(await reader.readline())
            except (OSError, ValueError):
                self.exit("it has ended")
                return
            self._fill(answer["services"])
            await asyncio.sleep(_INTERVAL)

    @work(group="commands")
    async def command(self, command: str, name: str) -> None:
        """Do a command, and tell if it is refused."""
        try:
            async for answer in _answers(self._socket, {"do": command, "names": [name]}):
                if "error" in answer:
                    self.notify(answer["error"], severity="error", markup=False)
        except (OSError, ValueError) as error:
            self.notify(str(error), severity="error", markup=False)

    @work(exclusive=True, group="log")
    async def follow(self, name: str) -> None:
        """Write what a copy writes into the log."""
        log = self.query_one("#log", RichLog)
        try:
            async for answer in _answers(self._socket, {"do": "logs", "names": [name], "follow": True}):
                if answer.get("name") == name:
                    lines = printable_lines(answer["lines"].encode(errors="replace")).decode(errors="replace")
                    for line in lines.splitlines():
                        log.write(Text.from_ansi(line))
        except (OSError, ValueError):
            return

    def _show_log(self, name: str) -> None:
        if name != self._shown:
            self._shown = name
            self.query_one("#log", RichLog).clear()
            self.query_one("#title", Static).update(Text(f"what {name} writes"))
            self.follow(name)

    def _fill(self, services: list[dict[str, Any]]) -> None:
        table = self._table
        names = [status["name"] for status in services]
        cells = [self._cells(status) for status in services]
        if names == self._rows:
            for row, columns in enumerate(cells):
                for column, cell in enumerate(columns):
                    if table.get_cell_at((row, column)) != cell:  # type: ignore[arg-type]
                        table.update_cell_at((row, column), cell, update_width=True)  # type: ignore[arg-type]
            return
        chosen = self._rows[table.cursor_row] if self._rows else ""
        self._rows = names
        table.clear()
        for columns in cells:
            table.add_row(*columns)
        table.move_cursor(row=names.index(chosen) if chosen in names else 0)
        if names:
            self._show_log(names[table.cursor_row])

    def _cells(self, status: dict[str, Any]) -> list[Text]:
        state = status["state"]
        texts = [
            status["name"],
            state,
            str(status["pid"] or "-"),
            uptime(status["seconds"]),
            str(status["starts"]),
            self._cpu_text(status),
            memory(status["memory"]),
            printable(status["text"]),
        ]
        styles = ["", _COLOURS.get(state, ""), *[""] * 6]
        sides: list[Any] = ["left", "left", *["right"] * 5, "left"]
        return [Text(text, style, justify=side) for text, style, side in zip(texts, styles, sides, strict=True)]

    def _cpu_text(self, status: dict[str, Any]) -> str:
        """Return the share of one processor that was used since the last look."""
        used, running = status["cpu"], status["seconds"]
        if used is None or running is None:
            self._cpu.pop(status["name"], None)
            return "-"
        before_used, before = self._cpu.get(status["name"], (0.0, 0.0))
        self._cpu[status["name"]] = used, running
        if running <= before:  # it was started again
            before_used = before = 0.0
        return f"{max(used - before_used, 0.0) / max(running - before, 0.01):.0%}"


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
