"""What the user sees on standard error at the end: a table and a summary."""

from operator import attrgetter

from governess.cli.run.outcome import Outcome, duration, memory, shown
from governess.jobs import State

__all__ = ["Tally", "plain_table", "rich_table", "summary"]

MOST = 40
"""How many failed commands the table shows."""


class Tally:
    """Counts the outcomes, and keeps those that the table shows.

    Args:
        all: whether the table shows all commands, not only those that have failed.
    """

    def __init__(self, *, all: bool = False) -> None:
        self.finished = 0
        """How many commands have ended."""
        self.failed = 0
        """How many commands have failed."""
        self.skipped = 0
        """How many commands were skipped, since one before them has not succeeded."""
        self.cpu: float | None = None
        """The processor time of all commands in seconds; None if the system reports none."""
        self._all = all
        self._kept: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Count one more outcome."""
        self.finished += 1
        if outcome.cpu is not None:
            self.cpu = (self.cpu or 0.0) + outcome.cpu
        self.failed += outcome.failed
        self.skipped += outcome.state is State.SKIPPED
        if self._all or (outcome.failed and len(self._kept) < MOST):
            self._kept.append(outcome)

    def shown(self) -> list[Outcome]:
        """Return the outcomes that the table shows, ordered by their numbers."""
        return sorted(self._kept, key=attrgetter("number"))

    def left_out(self) -> str:
        """Return a text about the failed commands that the table leaves out; an empty string if there are none."""
        more = 0 if self._all else self.failed - len(self._kept)
        return f"{more} more failed" if more else ""


def summary(tally: Tally, not_started: int, wall: float, *, is_complete: bool = True) -> str:
    """Return the line with the totals.

    Args:
        tally: the outcomes.
        not_started: how many commands never started, as far as it is known.
        wall: how many seconds all took.
        is_complete: whether there are no more commands than these.
    """
    more = "" if is_complete else " or more"
    parts = [
        f"{tally.finished} command{'' if tally.finished == 1 else 's'}",
        f"{tally.finished - tally.failed - tally.skipped} succeeded",
        *([f"{tally.failed} failed"] if tally.failed else []),
        *([f"{tally.skipped} skipped"] if tally.skipped else []),
        *([f"{not_started}{more} not started"] if not_started else []),
    ]
    cpu = "" if tally.cpu is None else f", {duration(tally.cpu)} of CPU"
    return f"{parts[0]}: {', '.join(parts[1:])}, in {duration(wall)}{cpu}\n"


def plain_table(tally: Tally, width: int) -> str:
    """Return the table as plain text, at most `width` characters wide; an empty string for no rows."""
    rows = _rows(tally, width, len(_GAP))
    if len(rows) == 1:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row[:2], widths[:2], strict=True)]
        cells += [cell.rjust(size) for cell, size in zip(row[2:], widths[2:], strict=True)]
        lines.append(_GAP.join(cells).rstrip())
    if left_out := tally.left_out():
        lines.append(f"… {left_out}")
    return "\n".join(lines) + "\n"


def rich_table(tally: Tally) -> str:
    """Return the table formatted for the terminal on standard error; an empty string for no rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    head, *rows = _rows(tally, console.width, 3)
    if not rows:
        return ""
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
_READABLE = 40
"""How many characters of a command that does not fit anyway are worth more than a column."""


def _rows(tally: Tally, width: int, gap: int) -> list[tuple[str, ...]]:
    """Return the head and the rows; columns are left out from the right before commands are shortened."""
    outcomes = tally.shown()
    rows: list[tuple[str, ...]] = [_HEAD]
    for outcome in outcomes:
        peak = memory(outcome.peak, at_most=outcome.peak_is_bound)
        rows.append(("", outcome.status, duration(outcome.duration), duration(outcome.cpu), peak))
    widths = [max(map(len, column)) + gap for column in list(zip(*rows, strict=True))[1:]]
    longest = max((len(shown(outcome.command, 2 * width)) for outcome in outcomes), default=0)
    columns = len(_HEAD)
    while columns > 2 and (room := width - sum(widths[: columns - 1])) < longest:
        if room >= _READABLE and longest > width - widths[0]:
            break
        columns -= 1
    room = max(width - sum(widths[: columns - 1]), _LEAST)
    return [
        _HEAD[:columns],
        *((shown(o.command, room), *row[1:columns]) for o, row in zip(outcomes, rows[1:], strict=True)),
    ]
