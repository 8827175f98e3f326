"""What the commands that read a journal share."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from governess.jobs import JournalError
from governess.jobs._journal.reader import JournalReader
from governess.jobs._result import signal_name
from governess.jobs._states import State

__all__ = ["counts_text", "exit_text", "opened", "table"]

_ORDER = ("done", "failed", "timeout", "memory", "skipped", "cancelled", "interrupted", "running", "waiting")
_GAP = "  "


@contextmanager
def opened(folder: str) -> Iterator[JournalReader]:
    """Open a journal; what is wrong with it is a usage error."""
    try:
        with JournalReader(folder) as reader:
            yield reader
    except JournalError as error:
        raise click.UsageError(str(error)) from None


def counts_text(counts: dict[State, int]) -> str:
    """Return how many jobs there are, and how many in each state."""
    total = sum(counts.values())
    parts = [f"{counts[State(name)]} {name}" for name in _ORDER if State(name) in counts]
    return f"{total} job{'' if total == 1 else 's'}{': ' if parts else ''}{', '.join(parts)}"


def exit_text(code: int | None, remark: str = "") -> str:
    """Return an exit status or the name of a signal; `-` if there is none."""
    if code is None:
        return "-"
    if remark == "lost":
        return "lost"
    return signal_name(-code) if code < 0 else str(code)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose last column is cut to the width of the terminal."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head) - 1)]
    room = max(shutil.get_terminal_size((100, 24)).columns - sum(widths) - len(_GAP) * len(widths), 20)
    lines = []
    for row in (head, *rows):
        last = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        lines.append(_GAP.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), last]).rstrip())
    return "\n".join(lines) + "\n"
