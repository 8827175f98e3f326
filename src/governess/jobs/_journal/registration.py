"""Recording the jobs of a plan in a journal, and finding what an earlier run has left of them."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from governess.jobs._job import JobOptions
from governess.jobs._key import Keys, packed_command
from governess.jobs._plan import Plan
from governess.jobs._schedule import Entry
from governess.jobs._states import Event, Progress, State
from governess.jobs._survivors import boot_id

__all__ = ["Resumed", "Running", "register"]

_STATES = {str(state): state for state in State}  # much faster than to call State


class _Row(NamedTuple):
    """What the database has of a job."""

    id: int
    seq: int | None
    state: str
    tries: int
    starts: int
    not_before: float | None
    duration: float | None


class Running(NamedTuple):
    """A try that the journal calls running, since the run that has started it did not see its end."""

    start: int
    started: float
    pid: int | None
    pid_started: int | None


@dataclass(slots=True)
class Resumed:
    """What a journal knows of the jobs of a plan.

    Attributes:
        entries: the jobs that are to be run, in the order of the plan.
        settled: the jobs that have ended before, by number, and whether they have succeeded.
        running: tries that an earlier run has started and not seen the end of, by the id of the job.
        by_row: the entry of each job that is to be run, by the id of the job.
        is_same_boot: whether these may still run: the machine was not started again since.
        has_ended: whether the last run has come to its end, so that nothing of it still runs.
    """

    entries: list[Entry] = field(default_factory=list)
    settled: dict[int, bool] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    by_row: dict[int, Entry] = field(default_factory=dict)
    is_same_boot: bool = True
    has_ended: bool = True


def register(
    database: sqlite3.Connection, plan: Plan, slots: int, options: JobOptions, *, retry_failed: bool
) -> tuple[int, Resumed]:
    """Record the jobs of a plan, which is a sequence, and a run of them.

    Args:
        database: the journal.
        plan: the plan.
        slots: how many jobs run at once.
        options: how a job without options of its own is run.
        retry_failed: whether jobs that have failed are run again.

    Returns:
        The number of the run, and what is known of the jobs.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    boot = boot_id()
    last = database.execute("SELECT boot, host, ended FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    found = Resumed()
    if last is not None:
        found.is_same_boot = last[:2] == (boot, socket.gethostname())
        found.has_ended = last[2] is not None
    rows = {
        key: _Row(*rest)
        for key, *rest in database.execute("SELECT key, id, seq, state, tries, starts, not_before, duration FROM jobs")
    }
    for job, *rest in database.execute(
        "SELECT job, start, started, pid, pid_started FROM tries WHERE state = 'running'"
    ):
        found.running[job] = Running(*rest)
    next_id = max((row.id for row in rows.values()), default=0) + 1
    new: list[tuple[object, ...]] = []
    moved: list[tuple[int, int]] = []
    kept: set[int] = set()
    keys = Keys()
    now, loop_now = time.time(), asyncio.get_running_loop().time()
    for number, job in enumerate(plan, 1):
        command = job.in_slot(0)
        is_line, packed = isinstance(command, str), packed_command(command)
        key = keys.of(job, is_line, packed)
        entry = Entry(number, job)
        row = rows.get(key)
        if row is None:
            entry.row = next_id
            waiting = ("waiting", 0, 0, None, None, "", "\n".join(job.after))
            new.append((next_id, key, number, job.name, is_line, packed, *waiting))
            next_id += 1
        else:
            entry.row = row.id
            kept.add(row.id)
            if row.seq != number:
                moved.append((number, row.id))
            backoff = (job.options or options).backoff
            if _is_settled(entry, row, now, loop_now, backoff.longest, retry_failed):
                found.settled[number] = entry.progress.state is State.DONE
                continue
        found.by_row[entry.row] = entry
        found.entries.append(entry)
    gone = [(row.id,) for row in rows.values() if row.seq is not None and row.id not in kept]
    database.execute("BEGIN IMMEDIATE")
    database.executemany("UPDATE jobs SET seq = NULL WHERE id = ?", gone)
    database.executemany("UPDATE jobs SET seq = ? WHERE id = ?", moved)
    database.executemany(f"INSERT INTO jobs VALUES ({', '.join('?' * 13)})", new)
    run = database.execute(
        "INSERT INTO runs (started, pid, host, boot, total, slots) VALUES (?, ?, ?, ?, ?, ?)",
        (now, os.getpid(), socket.gethostname(), boot, len(found.entries) + len(found.settled), min(slots, 10**9)),
    ).lastrowid or 0  # fmt: skip
    database.execute("COMMIT")
    return run, found


def _is_settled(entry: Entry, row: _Row, now: float, loop_now: float, longest: float, retry_failed: bool) -> bool:
    """Set how far a job is; return whether it is not run again."""
    entry.starts = row.starts
    entry.duration = row.duration
    state = _STATES[row.state]
    progress = Progress(state, row.tries)
    if state is State.SKIPPED or (state.is_failure and retry_failed):
        progress = progress.after(Event.RESET, 1)
    elif state is State.RUNNING:
        progress = Progress(State.WAITING, max(row.tries - 1, 0))
    elif state in (State.CANCELLED, State.INTERRUPTED):
        progress = progress.after(Event.RESUME, 1)
    entry.progress = progress
    if progress.state is not State.WAITING:
        return True
    if row.not_before is not None:
        # The clock may have been set meanwhile: a job waits no longer than its longest pause.
        left = min(row.not_before - now, longest)
        entry.not_before = loop_now + left if left > 0 else 0.0
    return False
