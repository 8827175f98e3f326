"""The table of `governess ps`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from governess.cli.run.outcome import memory, printable

__all__ = ["status_table", "uptime"]

_HEADER = ("NAME", "STATE", "PID", "SINCE", "STARTS", "CPU", "MEMORY", "WHAT HAPPENED LAST")
_RIGHT = frozenset({2, 3, 4, 5, 6})


def status_table(statuses: Sequence[dict[str, Any]]) -> str:
    """Return a table of statuses, as `CopyStatus.as_json` gives them, as wide as the terminal at most."""
    rows = [_HEADER, *map(_row, statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER) - 1)]
    columns = shutil.get_terminal_size((100, 24)).columns
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        room = max(columns - sum(widths) - 2 * len(widths), 10)
        last = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        lines.append("  ".join([*cells, last]).rstrip())
    return "\n".join(lines)


def uptime(seconds: float | None) -> str:
    """Return a time as `12s`, `3m04s`, `2h05m`, `3d04h`."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def _row(status: dict[str, Any]) -> tuple[str, ...]:
    cpu = status["cpu"]
    return (
        status["name"],
        status["state"],
        str(status["pid"] or "-"),
        uptime(status["seconds"]),
        str(status["starts"]),
        "-" if cpu is None else f"{cpu:.1f}s",
        memory(status["memory"]),
        printable(status["text"]),
    )
