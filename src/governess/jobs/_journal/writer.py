"""The thread that writes a journal: many changes in one commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from governess.children._per_loop import set_unless_done

__all__ = ["Change", "JobRow", "TryRow", "Writer"]


class JobRow(NamedTuple):
    """What changes of a job."""

    state: str
    tries: int
    starts: int
    not_before: float | None
    duration: float | None
    reason: str
    id: int


class TryRow(NamedTuple):
    """One try of a job, whole."""

    job: int
    start: int
    run: int
    slot: int
    state: str
    started: float
    ended: float | None
    code: int | None
    remark: str
    cpu: float | None
    peak: int | None
    pid: int | None
    pid_started: int | None
    host: str = ""


class Change(NamedTuple):
    """One change of a journal.

    Attributes:
        job: what the row of the job becomes.
        attempt: returns what the row of a try becomes, when it is written; None if there is none.
        then: called in the loop when the change cannot be lost any more; None for nothing.
    """

    job: JobRow
    attempt: Callable[[], TryRow] | None
    then: Callable[[], None] | None


_UPDATE_JOB = "UPDATE jobs SET state=?, tries=?, starts=?, not_before=?, duration=?, reason=? WHERE id=?"
_PUT_TRY = f"INSERT OR REPLACE INTO tries VALUES ({', '.join('?' * len(TryRow._fields))})"


class Writer:
    """Commits the changes of a journal in groups.

    Args:
        database: the journal, which only this thread uses from now on.
        loop: where the calls of `Change.then` are made.
        gather: seconds in which changes are gathered for one commit.
        on_error: called in the loop, once, if a commit fails; its changes and all later ones are lost.
    """

    MOST = 500
    """How many changes are committed at once."""

    def __init__(
        self,
        database: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        gather: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._database = database
        self._loop = loop
        self._gather = gather
        self._on_error = on_error
        self._changes: deque[Change] = deque()
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._flushes: deque[asyncio.Future[None]] = deque()
        self.error: Exception | None = None
        """Why nothing can be written any more; None if all is well."""
        self._thread = threading.Thread(target=self._work, name="governess-journal", daemon=True)
        self._thread.start()

    def put(self, change: Change) -> None:
        """Have a change written, after all earlier ones."""
        self._changes.append(change)
        if not self._wanted.is_set():
            self._wanted.set()

    async def flush(self) -> None:
        """Wait until all changes so far are written, and their calls are made; return at once after an error."""
        done = self._loop.create_future()
        self._flushes.append(done)
        self._wanted.set()
        await done

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._ending.set()
        self._wanted.set()
        self._thread.join()

    def _work(self) -> None:
        while not (self._ending.is_set() and not self._changes):
            self._wanted.wait()
            if not self._flushes and len(self._changes) < self.MOST:
                self._ending.wait(self._gather)
            self._wanted.clear()
            # First these: what was put before a flush is in the other deque by then.
            flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
            while self._changes:
                self._commit([self._changes.popleft() for _ in range(min(len(self._changes), self.MOST))])
            if flushes:
                self._in_loop(partial(_finish, flushes))

    def _commit(self, changes: list[Change]) -> None:
        if self.error is not None:
            return
        try:
            self._write(changes)
        except Exception as error:  # whatever it is, the run has to hear of it, and not wait for ever
            self.error = error
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            self._in_loop(partial(self._on_error, error))
            return
        calls = [change.then for change in changes if change.then is not None]
        if calls:
            self._in_loop(partial(_call_all, calls))

    def _write(self, changes: list[Change]) -> None:
        # Of a job that has ended within one commit, its beginning is not written.
        jobs = {change.job.id: change.job for change in changes}
        tries = {(change.job.id, change.job.starts): change.attempt for change in changes if change.attempt is not None}
        rows = [row() for row in tries.values()]
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(_UPDATE_JOB, jobs.values())
        self._database.executemany(_PUT_TRY, rows)
        self._database.execute("COMMIT")

    def _in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call)


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _finish(flushes: list[asyncio.Future[None]]) -> None:
    for flush in flushes:
        set_unless_done(flush, None)
