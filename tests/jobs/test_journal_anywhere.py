"""Journals where there is no /proc: on Windows, macOS and the BSDs, and elsewhere as if it were so."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from governess._programs.start_times import start_time
from governess.jobs import Job, Journal, JournalError, Plan, State, run_jobs
from governess.jobs._job import JobOptions
from governess.jobs._journal.lock import holder_of
from governess.jobs._journal.registration import Resumed, Running
from governess.jobs._resume import _check_gone

pytestmark = pytest.mark.windows

WAITS = "import sys; sys.stdin.read()"
# Runs a job that waits, in a journal, and does not end it when it is killed.
RUNS = """
import asyncio, sys
from governess.jobs import Job, Journal, run_jobs
script = "import os, time; open('up.new', 'w').write(str(os.getpid())); os.rename('up.new', 'up'); time.sleep(60)"
asyncio.run(run_jobs([Job((sys.executable, "-c", script), "waits")], journal=Journal("journal"))._run_all())
"""


def program(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


async def results(folder: Path, *jobs: Job) -> dict[str, State]:
    async with run_jobs(list(jobs), journal=Journal(folder, resume=True)) as run:
        return {result.name: result.state async for result in run}


def test_resume(tmp_path: Path) -> None:
    """What has ended is not run again, and what is new is; the outputs are in files."""
    good, bad = Job(program("print('out')"), "good"), Job(program("raise SystemExit(3)"), "bad")

    assert asyncio.run(results(tmp_path / "j", good, bad)) == {"good": State.DONE, "bad": State.FAILED}
    assert asyncio.run(results(tmp_path / "j", Job(program("pass"), "new"), bad, good)) == {"new": State.DONE}
    assert (tmp_path / "j" / "out" / "1.1.out").read_text() == "out\n"


def test_one_run_has_the_journal(tmp_path: Path) -> None:
    """While a run has the journal, another one is refused with the number of the first; a killed one leaves no lock."""
    first = subprocess.Popen([sys.executable, "-c", RUNS], cwd=tmp_path)
    try:
        job = pid_of_job(tmp_path)
        assert holder_of(tmp_path / "journal") == first.pid
        with pytest.raises(JournalError, match=f"is in use by process {first.pid} on "):
            Journal(tmp_path / "journal", resume=True).open()
    finally:
        first.kill()
        first.wait()
    assert holder_of(tmp_path / "journal") is None
    end(job)


def pid_of_job(folder: Path) -> int:
    deadline = time.monotonic() + 60
    while not (folder / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int((folder / "up").read_text())


def end(pid: int) -> None:
    os.kill(pid, 9)
    deadline = time.monotonic() + 30
    while start_time(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "linux", reason="where there is /proc, it is adopted or ended")
def test_a_job_that_has_outlived_its_run(tmp_path: Path) -> None:
    """While it lives, the journal is not gone on with; then the job is run again."""
    first = subprocess.Popen([sys.executable, "-c", RUNS], cwd=tmp_path)
    job = pid_of_job(tmp_path)
    time.sleep(0.2)  # for the commit
    first.kill()
    first.wait()
    with pytest.raises(JournalError, match=f"may still run, as process {job}: end it"):
        asyncio.run(results(tmp_path / "journal", Job(program("pass"), "other")))
    end(job)
    assert asyncio.run(results(tmp_path / "journal", Job(program("pass"), "other"))) == {"other": State.DONE}


def test_another_process_with_the_number_of_a_job(tmp_path: Path) -> None:
    """A process that was started at another time is not the job; one that was started then may be."""
    journal = Journal(tmp_path / "journal")
    journal.open()
    process = subprocess.Popen(program(WAITS), stdin=subprocess.PIPE)
    try:
        found = asyncio.run(registered(journal))
        now = time.time()
        found.running[1] = Running(1, now - 3600, process.pid, None)
        _check_gone(journal, found)
        found.running[1] = Running(1, now, process.pid, None)
        with pytest.raises(JournalError, match=f"may still run, as process {process.pid}"):
            _check_gone(journal, found)
        process.communicate()
        _check_gone(journal, found)
    finally:
        process.kill()
        process.wait()
        journal.close()


async def registered(journal: Journal) -> Resumed:
    return journal.register(Plan([Job(("x",), "x")]), 1, JobOptions())


def test_start_time() -> None:
    """It is that of the process, to a second or so; a process that has ended has none."""
    before = time.time()
    process = subprocess.Popen(program(WAITS), stdin=subprocess.PIPE)
    try:
        began = start_time(process.pid)
        assert began is not None
        assert before - 1.5 <= began <= time.time() + 1.5
    finally:
        process.communicate()
    assert start_time(process.pid) is None
