"""The tables of a journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from governess.jobs._errors import JournalError

__all__ = ["DATABASE", "VERSION", "connect", "create", "explain"]

DATABASE = "journal.db"
VERSION = 2

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    ended REAL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    boot TEXT NOT NULL,
    total INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    exit_status INTEGER
);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    seq INTEGER,             -- its place in the plan of the last run, from 1; null if it is not in that plan
    name TEXT NOT NULL,
    is_line INTEGER NOT NULL,
    command BLOB NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL,  -- those that count
    starts INTEGER NOT NULL, -- all of them, which number the files of its output
    not_before REAL,
    duration REAL,
    reason TEXT NOT NULL,
    after TEXT NOT NULL      -- the names of the jobs before it, a line each
);
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE TABLE tries (
    job INTEGER NOT NULL,
    start INTEGER NOT NULL,
    run INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    state TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    code INTEGER,
    remark TEXT NOT NULL,
    cpu REAL,
    peak INTEGER,
    pid INTEGER,
    pid_started INTEGER,
    host TEXT NOT NULL,      -- where it ran, if not on the machine of the run
    PRIMARY KEY (job, start)
) WITHOUT ROWID;
"""


def create(database: sqlite3.Connection, identity: str) -> None:
    """Make the tables of a new journal in one transaction."""
    statements = [statement for statement in _TABLES.split(";\n") if statement.strip()]
    database.execute("BEGIN IMMEDIATE")
    for statement in statements:
        database.execute(statement)
    database.execute("INSERT INTO meta VALUES ('id', ?)", (identity,))
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def connect(folder: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database of a journal; transactions are the caller's.

    Raises:
        sqlite3.Error: it cannot be opened; `explain` tells why.
    """
    path = folder / DATABASE
    if not read_only:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    else:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
        try:
            database.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError:
            # A reader of the write-ahead log has to write beside it. Where it cannot, no run can write it either.
            database.close()
            uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
            database = sqlite3.connect(uri, uri=True, isolation_level=None)
    return database


def explain(folder: Path, error: Exception) -> JournalError:
    """Return the error that tells a person why a journal cannot be used."""
    if isinstance(error, OSError):
        return JournalError(f"the journal {folder} cannot be used: {error.strerror or error}")
    text = str(error)
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        return JournalError(
            f"the journal {folder} is damaged ({text}): begin a new one in another folder; "
            f"`sqlite3 {folder / DATABASE} .recover` shows what can be saved"
        )
    if "full" in text:
        return JournalError(
            f"the journal {folder} cannot be written, since its disk is full: what was reported as done is recorded; "
            "free some space, and go on by --resume"
        )
    return JournalError(f"the journal {folder} cannot be used: {text}")
