"""The screen of `governess top --journal`: the jobs of a journal, and what the chosen one has written."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from governess._programs.usage import TreeUsage, usages_of_trees
from governess.cli.jobs.common import exit_text
from governess.cli.run.outcome import duration, memory, printable, shown
from governess.cli.screen import CpuShares, ListRow, ListScreen, counted, log_lines, right
from governess.jobs import JournalError, State
from governess.jobs._journal.reader import JobRecord, JournalReader, TryRecord

__all__ = ["JobsScreen"]

_COLOURS = {
    "running": "green",
    "done": "dim",
    "waiting": "dim",
    "failed": "bold red",
    "timeout": "bold red",
    "memory": "bold red",
    "skipped": "yellow",
    "cancelled": "yellow",
    "interrupted": "yellow",
}
_AFTER_THE_RUNNING = (State.FAILED, State.TIMEOUT, State.MEMORY, State.SKIPPED, State.CANCELLED, State.INTERRUPTED)
# How many jobs of each of the two kinds are shown: the running ones, then the unusual ones.
_MOST = 200
# Bytes of an output that are shown when its job is chosen.
_TAIL = 64 * 1024
_INTERVAL = 0.5


class JobsScreen(ListScreen):
    """Shows the jobs of a journal, while a run goes on and afterwards."""

    TITLE = "governess top"
    COLUMNS = ("JOB", "STATE", "TRY", "TIME", "CPU", "MEMORY", "EXIT", "COMMAND")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "done", "Show what is done, too")]

    def __init__(self, reader: JournalReader) -> None:
        """Show what a journal has."""
        super().__init__()
        self._reader = reader
        self._with_done = False
        self._shares = CpuShares()

    def action_done(self) -> None:
        """Show the jobs that have succeeded, too, or no longer."""
        self._with_done = not self._with_done

    async def look_again(self) -> None:
        """Read the states."""
        reader = self._reader
        others = (*_AFTER_THE_RUNNING, *((State.DONE,) if self._with_done else ()))
        try:
            counts = Counter({str(state): count for state, count in reader.counts().items()})
            chosen = [job for states in ((State.RUNNING,), others) for job in reader.jobs(states, _MOST)]
            tries = {**reader.last_tries(others, _MOST), **reader.last_tries((State.RUNNING,), _MOST)}
            runner = reader.runner()
        except JournalError as error:
            self.exit(str(error))
            return
        pids = (last.pid for last in tries.values() if runner is not None and last.state is State.RUNNING)
        usages = usages_of_trees(pid for pid in pids if pid)
        rows = [ListRow(str(job.number), self._cells(job, tries.get(job.number), usages)) for job in chosen]
        summary = counted("job", counts, _COLOURS)
        self.fill(summary.append("; not running" if runner is None else f"; run by process {runner}"), rows)

    async def follow(self, key: str) -> None:
        """Write what a job writes in its last start into the log, what it writes to standard error in red."""
        files: tuple[Path, ...] = ()
        places: list[int] = []
        while True:
            job = self._reader.find_number(int(key))
            if (found := self._reader.output(job.number, job.starts)) != files:
                files, places = found, [max(_size(file) - _TAIL, 0) for file in found]
            for which, style in enumerate(("", "red")):
                data = _read(files[which], places[which], is_growing=job.state is State.RUNNING)
                places[which] += len(data)
                self.write(log_lines(data, style))
            await asyncio.sleep(_INTERVAL)

    def _cells(self, job: JobRecord, last: TryRecord | None, usages: Mapping[int, TreeUsage]) -> list[Text]:
        wall = None if last is None else _end(job, last) - last.started
        usage = None if last is None or last.pid is None else usages.get(last.pid)
        used, resident = (None, None) if usage is None else usage
        name = f"{printable(job.name)}: " if job.name else ""
        reason = f" ({printable(job.reason)})" if job.reason else ""
        return [
            right(str(job.number)),
            Text(str(job.state), _COLOURS.get(job.state, "")),
            right(str(job.tries)),
            right(duration(wall)),
            right(self._shares.text(str(job.number), used, wall)),
            right(memory(resident)),
            right(exit_text(None if last is None else last.code, "" if last is None else last.remark)),
            Text(f"{name}{shown(job.command, 500)}{reason}"),
        ]


def _end(job: JobRecord, last: TryRecord) -> float:
    return last.ended or (time.time() if job.state is State.RUNNING else last.started)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _read(file: Path, place: int, *, is_growing: bool) -> bytes:
    """Return what has come since a place; whole lines, as long as more may come."""
    try:
        with open(file, "rb") as opened:
            opened.seek(place)
            data = opened.read(_TAIL)
    except OSError:
        return b""
    return data[: data.rfind(b"\n") + 1] if is_growing and len(data) < _TAIL else data
