"""A journal: what a run has to know so that another one can go on with it."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path

from governess.jobs._errors import JournalError
from governess.jobs._job import JobOptions
from governess.jobs._journal.lock import Lock
from governess.jobs._journal.registration import Resumed, register
from governess.jobs._journal.schema import DATABASE, VERSION, connect, create, explain
from governess.jobs._journal.writer import Writer
from governess.jobs._plan import Plan

__all__ = ["Journal"]

# Seconds in which changes are gathered for one commit; with jobs that wait for others, fewer.
_GATHER, _GATHER_IN_ORDER = 0.02, 0.002


class Journal:
    """A folder that records a run, so that a later run can resume it.

    One run at a time uses a journal, and locks it. Only the owner of the files can read them.

    Args:
        folder: the folder, which is made if it does not exist.
        resume: whether to resume the run in the folder: jobs that have ended are not run again. With False, the folder
            must not contain a journal.
        retry_failed: whether a resumed run also runs the failed jobs again.

    Attributes:
        folder: the folder.
        outputs: the folder inside `folder` with the outputs of the jobs.
        warning: a warning for the user about the way in which the journal is written; ``""`` for none.
    """

    def __init__(self, folder: str | os.PathLike[str], *, resume: bool = False, retry_failed: bool = False) -> None:
        self.folder = Path(folder)
        self.outputs = self.folder / "out"
        self.warning = ""
        self._resume = resume or retry_failed
        self._retry_failed = retry_failed
        self._lock: Lock | None = None
        self._database: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self.id = ""
        self.run = 0

    def open(self) -> None:
        """Lock the journal, and open or make its database.

        Raises:
            JournalError: it is in use, damaged, cannot be written, or is there already and `resume` is not given.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            exists = (self.folder / DATABASE).exists()
            if exists and not self._resume:
                raise JournalError(
                    f"{self.folder} already has a journal: continue it with --resume or --resume-failed, or name "
                    "another folder"
                )
            if not exists and any(self.folder.iterdir()) and not (self.folder / "lock").exists():
                raise JournalError(f"{self.folder} holds other files: a journal needs a folder of its own")
            if not exists or stat.S_IMODE(self.folder.stat().st_mode) & 0o077:
                self.folder.chmod(0o700)
            self._lock = Lock(self.folder)
            self.outputs.mkdir(mode=0o700, exist_ok=True)
            self._database = self._connect()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise explain(self.folder, error) from None
        except BaseException:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        before = os.umask(0o077)
        try:
            database = connect(self.folder)
            (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
        finally:
            os.umask(before)
        if mode != "wal":
            database.execute("PRAGMA journal_mode = DELETE")
            self.warning = f"the file system of {self.folder} has no shared memory: the journal is written more slowly"
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            create(database, secrets.token_hex(8))
        elif version != VERSION:
            database.close()
            raise JournalError(f"the journal {self.folder} was made by another version of governess (format {version})")
        (problem,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            database.close()
            raise sqlite3.DatabaseError(f"malformed: {problem}")
        (self.id,) = database.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
        return database

    def register(self, plan: Plan, slots: int, options: JobOptions) -> Resumed:
        """Record the jobs of a plan, which is a sequence; return what is known of them.

        Args:
            plan: the plan.
            slots: how many jobs run at once.
            options: how a job without options of its own is run.

        Raises:
            JournalError: it cannot be written.
        """
        assert self._database is not None
        try:
            self.run, found = register(self._database, plan, slots, options, retry_failed=self._retry_failed)
            return found
        except (sqlite3.Error, OSError) as error:
            raise explain(self.folder, error) from None

    def has_try(self, job: int, start: int) -> bool:
        """Return whether the journal knows of a start of a job."""
        assert self._database is not None
        query = "SELECT 1 FROM tries WHERE job = ? AND start = ?"
        return self._database.execute(query, (job, start)).fetchone() is not None

    def interrupted(self, rows: list[tuple[int, int]]) -> None:
        """Record that tries, by job and start, were interrupted, and none of their processes is left.

        Raises:
            JournalError: it cannot be written.
        """
        database = self._database
        assert database is not None
        try:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "UPDATE jobs SET state = 'interrupted', tries = max(tries - 1, 0) WHERE id = ? AND state = 'running'",
                [(job,) for job, _ in rows],
            )
            database.executemany("UPDATE tries SET state = 'interrupted' WHERE job = ? AND start = ?", rows)
            database.execute("COMMIT")
        except sqlite3.Error as error:
            raise explain(self.folder, error) from None

    def start_writing(self, has_order: bool, on_error: Callable[[Exception], None]) -> Writer:
        """Start the thread that writes what happens."""
        assert self._database is not None
        gather = _GATHER_IN_ORDER if has_order else _GATHER
        self._writer = Writer(self._database, asyncio.get_running_loop(), gather, on_error)
        return self._writer

    def close(self, exit_status: int | None = None) -> None:
        """Write what is left, and release the journal.

        Args:
            exit_status: how the run has ended; None if it has not come to its end.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        database, self._database = self._database, None
        if database is not None:
            try:
                if self.run and exit_status is not None and (writer is None or writer.error is None):
                    ended = time.time(), exit_status, self.run
                    database.execute("UPDATE runs SET ended = ?, exit_status = ? WHERE id = ?", ended)
            except sqlite3.Error:
                pass  # what the jobs have done is recorded
            finally:
                database.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
