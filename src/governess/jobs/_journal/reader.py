"""Reading a journal, also while a run writes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governess.jobs._errors import JournalError
from governess.jobs._job import Command
from governess.jobs._journal.lock import holder_of
from governess.jobs._journal.schema import DATABASE, VERSION, connect, explain
from governess.jobs._key import unpacked_command
from governess.jobs._states import State

__all__ = ["JobRecord", "JournalReader", "RunRecord", "TryRecord"]


@dataclass(frozen=True, slots=True)
class TryRecord:
    """One start of a job.

    Attributes:
        job: the number of the job in the journal.
        start: which of its starts it is, from 1.
        run: the number of the run.
        slot: the number of the slot.
        state: what became of it; `running` if that is not known yet.
        started: seconds since the epoch.
        ended: likewise; None if it has not ended.
        code: the exit status, or the negative number of the signal; None if it has not ended.
        remark: `lost` or `core`, or "".
        cpu: seconds of processor time; None if they are not known.
        peak: bytes of memory at its peak; None if they are not known.
        pid: the number of its process; None if it has none.
        host: where it ran; "" for the machine of the run.
    """

    job: int
    start: int
    run: int
    slot: int
    state: State
    started: float
    ended: float | None
    code: int | None
    remark: str
    cpu: float | None
    peak: int | None
    pid: int | None
    host: str


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job of a journal.

    Attributes:
        number: its number in the journal, which the files of its output have.
        name: its name; "" for none.
        command: what is run.
        state: its state.
        tries: how many of its tries count.
        starts: how often it was started.
        not_before: when it may be tried again, in seconds since the epoch; None for at any time.
        duration: seconds that it took when it last succeeded; None if it has not.
        reason: why it failed or was skipped; "" where the exit status says it.
        after: the names of the jobs before it.
    """

    number: int
    name: str
    command: Command
    state: State
    tries: int
    starts: int
    not_before: float | None
    duration: float | None
    reason: str
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run of a journal.

    Attributes:
        number: its number, from 1.
        started: seconds since the epoch.
        ended: likewise; None if it has not come to its end.
        pid: the number of its process.
        host: the name of its machine.
        total: how many jobs its plan has.
        slots: how many run at once.
        exit_status: its exit status; None if it has not come to its end.
    """

    number: int
    started: float
    ended: float | None
    pid: int
    host: str
    total: int
    slots: int
    exit_status: int | None


_JOB = "SELECT id, name, command, is_line, state, tries, starts, not_before, duration, reason, after FROM jobs"
_TRY = "SELECT job, start, run, slot, state, started, ended, code, remark, cpu, peak, pid, host FROM tries"


class JournalReader:
    """Reads a journal; a run may write it meanwhile.

    Args:
        folder: the folder of the journal.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not (self.folder / DATABASE).exists():
            raise JournalError(f"there is no journal in {self.folder}: governess run --journal {self.folder} makes one")
        try:
            self._database = connect(self.folder, read_only=True)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise explain(self.folder, error) from None
        if version != VERSION:
            self._database.close()
            raise JournalError(f"the journal {self.folder} was made by another version of governess (format {version})")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def counts(self) -> dict[State, int]:
        """Return how many jobs of the last run's plan are in each state."""
        rows = self._rows("SELECT state, count(*) FROM jobs WHERE seq IS NOT NULL GROUP BY state")
        found = dict(rows)
        return {state: found[state] for state in State if state in found}

    def jobs(self, states: Sequence[State] | None = None, limit: int | None = None) -> Iterator[JobRecord]:
        """Yield the jobs of the last run's plan, in its order.

        Args:
            states: only those in these states; None for all.
            limit: the greatest number of records to return; None for all.
        """
        chosen, values = _choice(states, limit)
        for row in self._rows(f"{_JOB} {chosen}", values):
            yield _job(row)

    def find(self, name: str) -> JobRecord:
        """Return the job with a name, else the one with a number.

        Raises:
            JournalError: there is none.
        """
        row = next(self._rows(f"{_JOB} WHERE name = ? AND name != '' LIMIT 1", (name,)), None)
        if row is None and name.isascii() and name.isdigit():
            row = next(self._rows(f"{_JOB} WHERE id = ?", (min(int(name), 2**62),)), None)
        if row is None:
            raise JournalError(f"the journal {self.folder} has no job {name!r}: governess ps --all shows all of them")
        return _job(row)

    def find_number(self, number: int) -> JobRecord:
        """Return the job with this number, which there is."""
        return _job(next(self._rows(f"{_JOB} WHERE id = ?", (number,))))

    def tries(self, job: int | None = None) -> Iterator[TryRecord]:
        """Yield the starts of a job, or of all jobs, in their order."""
        where, values = (" WHERE job = ? ORDER BY start", (job,)) if job is not None else (" ORDER BY started", ())
        for row in self._rows(_TRY + where, values):
            yield _try(row)

    def last_tries(self, states: Sequence[State] | None = None, limit: int | None = None) -> dict[int, TryRecord]:
        """Return the last start of each job that `jobs` gives for the same arguments, by its number."""
        chosen, values = _choice(states, limit)
        query = (
            f"{_TRY} JOIN (SELECT id, starts FROM jobs {chosen}) AS chosen "
            "ON chosen.id = tries.job AND chosen.starts = tries.start"
        )
        return {row[0]: _try(row) for row in self._rows(query, values)}

    def changes(self, since: float) -> list[TryRecord]:
        """Return the starts that began or ended after a time, in seconds since the epoch."""
        return [_try(row) for row in self._rows(f"{_TRY} WHERE started > ? OR ended > ? ORDER BY job", (since, since))]

    def runs(self) -> list[RunRecord]:
        """Return all runs, in their order."""
        query = "SELECT id, started, ended, pid, host, total, slots, exit_status FROM runs ORDER BY id"
        return [RunRecord(*row) for row in self._rows(query)]

    def output(self, job: int, start: int) -> tuple[Path, Path]:
        """Return the files with what a job has written to standard output and standard error."""
        name = f"{job}.{start}"
        return self.folder / "out" / f"{name}.out", self.folder / "out" / f"{name}.err"

    def runner(self) -> int | None:
        """Return the number of the process that runs the journal now; 0 if it is not known, None if none does."""
        return holder_of(self.folder)

    def _rows(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            raise explain(self.folder, error) from None


def _choice(states: Sequence[State] | None, limit: int | None) -> tuple[str, tuple[object, ...]]:
    """Return the clauses that choose jobs of the last run's plan in its order, and their values."""
    values = *map(str, State if states is None else states), -1 if limit is None else limit
    return f"WHERE seq IS NOT NULL AND state IN ({', '.join('?' * (len(values) - 1))}) ORDER BY seq LIMIT ?", values


def _job(row: Sequence[Any]) -> JobRecord:
    number, name, command, is_line, state, tries, starts, not_before, duration, reason, after = row
    unpacked = unpacked_command(command, bool(is_line))
    names = tuple(str(after).split("\n")) if after else ()
    return JobRecord(number, name, unpacked, State(state), tries, starts, not_before, duration, reason, names)


def _try(row: Sequence[Any]) -> TryRecord:
    job, start, run, slot, state, *rest = row
    return TryRecord(job, start, run, slot, State(state), *rest)
