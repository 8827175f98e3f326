"""A screen of its own: a table whose rows are looked at again and again, and what the chosen row has written."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Footer, RichLog, Static

from governess.cli.up.console import printable_lines

__all__ = ["CpuShares", "ListRow", "ListScreen", "counted", "log_lines", "right"]

_INTERVAL = 1.0


class ListRow(NamedTuple):
    """A row of the table.

    Attributes:
        key: what it is known by from look to look.
        cells: its texts, one for each column.
    """

    key: str
    cells: Sequence[Text]


class ListScreen(App[str]):
    """Shows a list; its result is why it has ended, "" if the user wanted it.

    A screen gives `COLUMNS`, `LOOK`, `look_again` and `follow`.
    """

    ENABLE_COMMAND_PALETTE = False
    COLUMNS: ClassVar[Sequence[str]] = ()
    CSS = """
    #summary { height: 1; padding: 0 1; }
    #list { height: 2fr; }
    #title { height: 1; background: $panel; padding: 0 1; }
    #log { height: 1fr; min-height: 5; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit_by_key", "Quit")]

    def __init__(self) -> None:
        """Show nothing yet."""
        super().__init__()
        self._keys: list[str] = []
        self._shown = ""

    async def look_again(self) -> None:
        """Look at what is shown, and call `fill`; it exits where there is nothing more to see."""
        raise NotImplementedError

    async def follow(self, key: str) -> None:
        """Write what the chosen row writes, by `write`, until cancelled."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Have a summary, a table, and a log below it."""
        with Vertical():
            yield Static("", id="summary")
            yield DataTable(id="list", cursor_type="row", zebra_stripes=True)
            yield Static("", id="title")
            yield RichLog(id="log", max_lines=2000, wrap=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self._table.add_columns(*self.COLUMNS)
        self._table.focus()
        self._look()

    @property
    def chosen(self) -> str:
        """The key of the chosen row; "" if there is none."""
        return self._keys[self._table.cursor_row] if self._keys else ""

    @property
    def _table(self) -> DataTable[Any]:
        return self.query_one("#list", DataTable)

    def action_quit_by_key(self) -> None:
        """End the screen, and nothing else."""
        self.exit("")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the log of the row that was chosen."""
        if event.cursor_row < len(self._keys):
            self._show_log(self._keys[event.cursor_row])

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        while True:
            await self.look_again()
            await asyncio.sleep(_INTERVAL)

    def fill(self, summary: Text, rows: Sequence[ListRow]) -> None:
        """Show rows in the place of those before; the chosen one stays chosen."""
        self.query_one("#summary", Static).update(summary)
        table = self._table
        keys = [row.key for row in rows]
        if keys == self._keys:
            for place, row in enumerate(rows):
                for column, cell in enumerate(row.cells):
                    if table.get_cell_at((place, column)) != cell:  # type: ignore[arg-type]
                        table.update_cell_at((place, column), cell, update_width=True)  # type: ignore[arg-type]
            return
        chosen = self.chosen
        self._keys = keys
        table.clear()
        for row in rows:
            table.add_row(*row.cells)
        table.move_cursor(row=keys.index(chosen) if chosen in keys else 0)
        if keys:
            self._show_log(keys[table.cursor_row])

    def tell(self, text: str) -> None:
        """Show an error for a while."""
        self.notify(text, severity="error", markup=False)

    def write(self, lines: Iterable[Text]) -> None:
        """Append lines to the log."""
        log = self.query_one("#log", RichLog)
        for line in lines:
            log.write(line)

    def _show_log(self, key: str) -> None:
        if key != self._shown:
            self._shown = key
            self.query_one("#log", RichLog).clear()
            self.query_one("#title", Static).update(Text(f"what {key} writes"))
            self._follow(key)

    @work(exclusive=True, group="log")
    async def _follow(self, key: str) -> None:
        await self.follow(key)


class CpuShares:
    """What processes use of the processors between two looks."""

    def __init__(self) -> None:
        """Have looked at nothing yet."""
        self._before: dict[str, tuple[float, float]] = {}

    def text(self, key: str, used: float | None, running: float | None) -> str:
        """Return the share of one processor since the last look, as `7%`; `-` if it is not known.

        Args:
            key: what the processes are known by.
            used: how many seconds of CPU time they have used; None if that is not known.
            running: for how many seconds they have run; None if there are none.
        """
        if used is None or running is None:
            self._before.pop(key, None)
            return "-"
        before_used, before = self._before.get(key, (0.0, 0.0))
        self._before[key] = used, running
        if running <= before:  # it was started again
            before_used = before = 0.0
        return f"{max(used - before_used, 0.0) / max(running - before, 0.01):.0%}"


def log_lines(data: bytes, style: str = "") -> list[Text]:
    """Return lines as they can be shown: with their colours, and nothing else that speaks to a terminal."""
    text = printable_lines(data).decode(errors="replace")
    lines = [Text.from_ansi(line) for line in text.splitlines()]
    for line in lines:
        line.stylize_before(style)
    return lines


def right(text: str) -> Text:
    """Return a cell at the right of its column."""
    return Text(text, justify="right")


def counted(kind: str, states: Counter[str], colours: dict[str, str]) -> Text:
    """Return how many there are, and how many in each state.

    Args:
        kind: the word for one of them.
        states: how many are in each state.
        colours: the style of each state.
    """
    total = states.total()
    text = Text(f"{total} {kind}{'' if total == 1 else 's'}")
    for place, (state, count) in enumerate(states.items()):
        text.append(", " if place else ": ").append(f"{count} {state}", colours.get(state, ""))
    return text
