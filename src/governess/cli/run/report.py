"""What the user sees on standard error: progress while the commands run, and a summary at the end."""

import heapq
import os
import sys
import time
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from governess.cli.run.outcome import Outcome, duration, memory, shown
from governess.cli.run.output import Writer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Bar",
    "Lines",
    "Progress",
    "State",
    "Tally",
    "plain_table",
    "rich_table",
    "stderr_is_terminal",
    "summary",
]

State = Callable[[], tuple[int, int, int]]
"""Returns how many commands have finished, have failed, and are running."""


class Progress(Protocol):
    """Shows how many commands have ended."""

    def finished(self, outcome: Outcome) -> None:
        """Note that one more command has ended."""

    def tick(self) -> None:
        """Update the display; called a few times a second."""

    def close(self) -> None:
        """Finish the display."""


def stderr_is_terminal() -> bool:
    """Return whether standard error is a terminal that can redraw a line."""
    return os.isatty(2) and os.environ.get("TERM") != "dumb" and (sys.platform != "win32" or _windows_can_redraw())


class Lines:
    """Writes a line for each command that ends; with very many commands, for failures and for every tenth part."""

    MANY = 100
    FAILURES = 20
    WIDTH = 80

    def __init__(self, writer: Writer, total: int, state: State) -> None:
        self._writer = writer
        self._total = total
        self._state = state
        self._failures = 0
        self._step = max(total // 10, 1)

    def finished(self, outcome: Outcome) -> None:
        """Write a line if one is due."""
        done, failed, _ = self._state()
        if self._total <= self.MANY or (outcome.failed and self._failures < self.FAILURES):
            self._failures += outcome.failed
            command = shown(outcome.command, self.WIDTH)
            status = outcome.status if not outcome.status[0].isdigit() else f"exit {outcome.status}"
            self._writer.say(f"[{done}/{self._total}] {status}, {duration(outcome.wall)}: {command}\n")
        elif done % self._step == 0:
            self._writer.say(f"[{done}/{self._total}] {failed} failed\n")

    def tick(self) -> None:
        """Do nothing: lines are written when a command ends."""

    def close(self) -> None:
        """Do nothing: each line is complete."""


class Bar:
    """Redraws one line at the bottom of the terminal while commands run."""

    DELAY = 0.15
    """How many seconds after the start the bar is first drawn."""

    def __init__(self, writer: Writer, total: int, state: State) -> None:
        self._writer = writer
        self._total = total
        self._state = state
        self._started = time.monotonic()
        self._console: Console | None = None
        self._last = ""

    def finished(self, outcome: Outcome) -> None:
        """Do nothing: the next tick shows it."""

    def tick(self) -> None:
        """Draw the bar if it has changed."""
        elapsed = time.monotonic() - self._started
        if elapsed >= self.DELAY and (line := self._line(elapsed)) != self._last:
            self._last = line
            self._writer.show_bar(line)

    def close(self) -> None:
        """Remove the bar."""
        if self._last:
            self._last = ""
            self._writer.show_bar("")

    def _line(self, elapsed: float) -> str:
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        console = self._console = self._console or Console(stderr=True)
        done, failed, running = self._state()
        text = Text(f" {done}/{self._total}", no_wrap=True, overflow="crop")
        if failed:
            text.append(f"  {failed} failed", "bold red")
        text.append(f"  {running} running  {_clock(elapsed)}", "dim")
        # The last column stays empty: after it a terminal would continue on the next line.
        width = min(40, console.width - 1 - text.cell_len)
        options = console.options.update(width=max(console.width - 1, 1), no_wrap=True, overflow="crop")
        with console.capture() as captured:
            if width >= 5:
                console.print(ProgressBar(total=self._total, completed=done, width=width), end="")
            text.truncate(options.max_width)
            console.print(text, end="", soft_wrap=True)
        return captured.get()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _windows_can_redraw() -> bool:
    from rich.console import Console

    return not Console(stderr=True).legacy_windows


SHORT = 40
"""The table shows all commands up to this number."""
SLOWEST = 5
"""How many of the slowest commands the table shows if there are more."""


class Tally:
    """Counts the outcomes, and stores those that the table shows."""

    def __init__(self) -> None:
        self.finished = 0
        """How many commands have ended."""
        self.failed = 0
        """How many commands have failed."""
        self.cpu: float | None = None
        """The processor time of all commands in seconds; None if the system reports none."""
        self._first: list[Outcome] = []
        self._failed: list[Outcome] = []
        self._slowest: list[tuple[float, int, Outcome]] = []

    def add(self, outcome: Outcome) -> None:
        """Count one more outcome."""
        self.finished += 1
        if outcome.cpu is not None:
            self.cpu = (self.cpu or 0.0) + outcome.cpu
        if outcome.failed:
            self.failed += 1
            if len(self._failed) < SHORT:
                self._failed.append(outcome)
        if len(self._first) < SHORT:
            self._first.append(outcome)
        entry = (outcome.wall, -outcome.number, outcome)
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, entry)
        elif entry > self._slowest[0]:
            heapq.heapreplace(self._slowest, entry)

    def shown(self) -> list[Outcome]:
        """Return the outcomes that the table shows, ordered by their numbers."""
        if self.finished <= SHORT:
            return sorted(self._first, key=attrgetter("number"))
        chosen = {outcome.number: outcome for outcome in self._failed}
        chosen |= {outcome.number: outcome for _, _, outcome in self._slowest}
        return sorted(chosen.values(), key=attrgetter("number"))

    def left_out(self) -> str:
        """Return a text about the commands that the table leaves out; an empty string if there are none."""
        rows = self.shown()
        failed = self.failed - sum(outcome.failed for outcome in rows)
        succeeded = self.finished - len(rows) - failed
        parts = [f"{failed} more failed"] * bool(failed) + [f"{succeeded} others succeeded"] * bool(succeeded)
        return ", ".join(parts)


def summary(tally: Tally, not_started: int, wall: float) -> str:
    """Return the line with the totals."""
    parts = [
        f"{tally.finished} command{'' if tally.finished == 1 else 's'}",
        f"{tally.finished - tally.failed} succeeded",
        *([f"{tally.failed} failed"] if tally.failed else []),
        *([f"{not_started} not started"] if not_started else []),
    ]
    cpu = "" if tally.cpu is None else f", {duration(tally.cpu)} of CPU"
    return f"{parts[0]}: {', '.join(parts[1:])}, in {duration(wall)}{cpu}\n"


def plain_table(tally: Tally, width: int) -> str:
    """Return the table as plain text, at most `width` characters wide."""
    head, *rows = _rows(tally, width, len(_GAP))
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [cell.ljust(size) for cell, size in zip(row[:2], widths[:2], strict=True)]
        cells += [cell.rjust(size) for cell, size in zip(row[2:], widths[2:], strict=True)]
        lines.append(_GAP.join(cells).rstrip())
    if left_out := tally.left_out():
        lines.append(f"… {left_out}")
    return "\n".join(lines) + "\n"


def rich_table(tally: Tally) -> str:
    """Return the table formatted for the terminal on standard error."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    head, *rows = _rows(tally, console.width, 3)
    for place, name in enumerate(head):
        table.add_column(name, no_wrap=True, justify="left" if place < 2 else "right", overflow="ellipsis")
    for outcome, row in zip(tally.shown(), rows, strict=True):
        colour = "bold red" if outcome.failed else "green"
        table.add_row(Text(row[0]), Text(row[1], colour), *row[2:])
    with console.capture() as captured:
        console.print(table)
        if left_out := tally.left_out():
            console.print(Text(f"… {left_out}", "dim"))
    return captured.get()


_HEAD = ("command", "exit", "wall", "CPU", "peak memory")
_GAP = "  "
_LEAST = 10


def _rows(tally: Tally, width: int, gap: int) -> list[tuple[str, ...]]:
    """Return the head and the rows; commands are shortened to fit the width."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for outcome in tally.shown():
        peak = memory(outcome.peak, at_most=outcome.peak_is_bound)
        rows.append(("", outcome.status, duration(outcome.wall), duration(outcome.cpu), peak))
    others = [max(map(len, column)) + gap for column in list(zip(*rows, strict=True))[1:]]
    room = max(width - sum(others), _LEAST)
    return [
        _HEAD,
        *((shown(outcome.command, room), *row[1:]) for outcome, row in zip(tally.shown(), rows[1:], strict=True)),
    ]
