"""The summary at the end: a table of the commands, and one line with the totals."""

import heapq
from operator import attrgetter

from governess.cli.run.outcome import Outcome, duration, memory, shown

__all__ = ["Tally", "plain_table", "rich_table", "summary"]

SHORT = 40
"""The largest number of commands of which the table shows all."""
SLOWEST = 5
"""So many of the slowest stand in the table of very many commands."""


class Tally:
    """Counts the outcomes, and keeps those that the table shows."""

    def __init__(self) -> None:
        self.finished = 0
        """How many commands have ended."""
        self.failed = 0
        """How many of them failed."""
        self.cpu: float | None = None
        """The seconds of processor time of all commands; None where no command's are known."""
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
        """Give the outcomes that the table shows, by their numbers."""
        if self.finished <= SHORT:
            return sorted(self._first, key=attrgetter("number"))
        chosen = {outcome.number: outcome for outcome in self._failed}
        chosen |= {outcome.number: outcome for _, _, outcome in self._slowest}
        return sorted(chosen.values(), key=attrgetter("number"))

    def left_out(self) -> str:
        """Say what the table leaves out; an empty string if nothing."""
        rows = self.shown()
        failed = self.failed - sum(outcome.failed for outcome in rows)
        succeeded = self.finished - len(rows) - failed
        parts = [f"{failed} more failed"] * bool(failed) + [f"{succeeded} others succeeded"] * bool(succeeded)
        return ", ".join(parts)


def summary(tally: Tally, not_started: int, wall: float) -> str:
    """Sum everything up on one line."""
    parts = [
        f"{tally.finished} command{'' if tally.finished == 1 else 's'}",
        f"{tally.finished - tally.failed} succeeded",
        *([f"{tally.failed} failed"] if tally.failed else []),
        *([f"{not_started} not started"] if not_started else []),
    ]
    cpu = "" if tally.cpu is None else f", {duration(tally.cpu)} of CPU"
    return f"{parts[0]}: {', '.join(parts[1:])}, in {duration(wall)}{cpu}\n"


def plain_table(tally: Tally, width: int) -> str:
    """Write the table as plain text, at most `width` characters wide."""
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
    """Write the table for the terminal that standard error is."""
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
    """Give the head and the rows, the commands short enough for a table of this width."""
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
