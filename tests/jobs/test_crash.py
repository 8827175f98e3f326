"""A run that is killed at any moment, and gone on with."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs /proc", allow_module_level=True)

from forked import Starts
from governess.children._procfs import read_stat
from governess.jobs._journal.schema import connect
from governess.jobs._survivors import can_tell_exits, find_marked

# A job holds a lock while it runs, with all that it has started; a second copy would not get it.
JOB = "exec 9>lock.$1; flock -n 9 || echo $1 >>overlaps; sleep 0.$(($1 % 7 + 2)) & wait $!; echo $1 >>done"

ENDS_SURVIVORS = """if True:
    import sys
    from governess.jobs import _resume
    _resume.can_tell_exits = lambda: False
    from governess.cli import main
    sys.exit(main())
"""


SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(*words: str, adopts: bool = True) -> list[str]:
    program = ["-m", "governess"] if adopts else ["-c", ENDS_SURVIVORS]
    return [sys.executable, *program, "run", *words]


def journal_id(folder: Path) -> str:
    with closing(connect(folder, read_only=True)) as database:
        return str(database.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()[0])


def states(folder: Path) -> Counter[str]:
    with closing(connect(folder, read_only=True)) as database:
        return Counter(dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state")))


@pytest.fixture
def nobody_left(tmp_path: Path) -> Iterator[None]:
    """Fail if a process of the journal's jobs is left, and end it."""
    yield
    left = [pid for pids in find_marked(journal_id(tmp_path / "journal")).values() for pid in pids]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.slow
@pytest.mark.parametrize(
    "adopts",
    [pytest.param(True, marks=pytest.mark.skipif(not can_tell_exits(), reason="the kernel does not tell")), False],
)
@pytest.mark.usefixtures("nobody_left")
def test_killed_twenty_times(tmp_path: Path, adopts: bool) -> None:
    """Killed at twenty random instants, a run is finished by the last one; no two copies of a job run at once."""
    rng = random.Random(16)
    words = ["-j6", "--grace", "1", "--journal", "journal", "--resume", "--", "sh", "-c", JOB, "sh", ":::"]
    words += map(str, range(200))
    for _ in range(20):
        process = subprocess.Popen(
            command(*words, adopts=adopts), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            # From the moment when it has the journal on, and not only when python has started.
            wait_until_locked(tmp_path / "journal", process)
            time.sleep(rng.uniform(0.0, 0.9))
        finally:
            process.kill()
            process.wait()
    finished = states(tmp_path / "journal")["done"]
    print(f"{finished} jobs were done before the last run")
    assert 0 < finished < 200  # so each of the kills has met running jobs
    done = subprocess.run(command(*words, adopts=adopts), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "overlaps").exists()
    ran = Counter((tmp_path / "done").read_text().split())
    assert ran.keys() == set(map(str, range(200)))
    assert states(tmp_path / "journal") == {"done": 200}


def wait_until_locked(journal: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has written its number into the lock of a journal."""
    deadline = time.monotonic() + 30
    while not (lock := journal / "lock").exists() or lock.read_text().split()[:1] != [str(process.pid)]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)


def start_and_kill(starts: Starts, folder: Path, *words: str) -> None:
    """Start a run whose jobs write `up`, wait for that, and kill it."""
    process = starts.popen("run", *words, cwd=folder, **SILENT)
    deadline = time.monotonic() + 30
    while not (folder / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)  # for the commit
    process.kill()
    process.wait()


def wait_until_adopted(folder: Path) -> None:
    """Wait until the second run has recorded that it goes on with the job of the first one."""
    deadline = time.monotonic() + 30
    with closing(connect(folder, read_only=True)) as database:
        while database.execute("SELECT max(run) FROM tries").fetchone() != (2,):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def is_alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.is_alive


WAITS = "echo $$ >up; read line <go; echo $line >>result; exit $line"


@pytest.mark.skipif(not can_tell_exits(), reason="the kernel does not tell")
@pytest.mark.usefixtures("nobody_left")
@pytest.mark.parametrize("status", [0, 7])
def test_a_survivor_is_adopted(starts: Starts, tmp_path: Path, status: int) -> None:
    """A job that has outlived its run is not started again: the next run waits for it, and tells how it ended."""
    os.mkfifo(tmp_path / "go")
    (tmp_path / "list").write_text(WAITS + "\n")
    words = ["--journal", "journal", "--resume", "list"]
    start_and_kill(starts, tmp_path, *words)
    process = starts.popen("run", *words, cwd=tmp_path, **SILENT)
    wait_until_adopted(tmp_path / "journal")
    (tmp_path / "go").write_text(f"{status}\n")
    assert process.wait(30) == bool(status)
    assert (tmp_path / "result").read_text() == f"{status}\n"
    assert states(tmp_path / "journal") == {"failed" if status else "done": 1}
    with closing(connect(tmp_path / "journal", read_only=True)) as database:
        assert database.execute("SELECT start, code FROM tries").fetchall() == [(1, status)]


@pytest.mark.usefixtures("nobody_left")
def test_a_survivor_is_ended_where_nobody_tells_its_end(starts: Starts, tmp_path: Path) -> None:
    """Elsewhere a job that has outlived its run is ended with all that it has started, and then run again."""
    (tmp_path / "list").write_text("[ -e up ] && { echo $$ >up; exit 0; }; sleep 60 & echo $$ >up; wait\n")
    words = ["--journal", "journal", "--resume", "list"]
    start_and_kill(starts, tmp_path, *words)
    first = int((tmp_path / "up").read_text())
    done = subprocess.run(command(*words, adopts=False), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "up").read_text()) != first
    assert not is_alive(first)


@pytest.mark.skipif(not can_tell_exits(), reason="the kernel does not tell")
@pytest.mark.usefixtures("nobody_left")
def test_a_job_without_its_mark_is_known_by_its_number(starts: Starts, tmp_path: Path) -> None:
    """A job that has emptied its environment is known by its number and its start, and not started twice."""
    script = tmp_path / "job"
    script.write_text("#!/bin/sh\necho $$ >up\nread line <go\necho x >>result\n")
    script.chmod(0o700)
    os.mkfifo(tmp_path / "go")
    words = ["--journal", "journal", "--resume", "--", "env", "-i", str(script), ":::", "x"]
    start_and_kill(starts, tmp_path, *words)
    process = starts.popen("run", *words, cwd=tmp_path, **SILENT)
    wait_until_adopted(tmp_path / "journal")
    (tmp_path / "go").write_text("\n")
    assert process.wait(30) == 0
    assert (tmp_path / "result").read_text() == "x\n"


def test_after_a_reboot_nobody_is_signalled(starts: Starts, tmp_path: Path) -> None:
    """What ran before the machine was started again is run again, and no process gets a signal for it."""
    os.mkfifo(tmp_path / "go")
    (tmp_path / "list").write_text("echo $$ >up; [ -e second ] && exit 0; touch second; read line <go\n")
    words = ["--journal", "journal", "--resume", "list"]
    start_and_kill(starts, tmp_path, *words)
    first = int((tmp_path / "up").read_text())
    with closing(sqlite3.connect(tmp_path / "journal" / "journal.db")) as database:
        database.execute("UPDATE runs SET boot = 'another'")
        database.commit()
    done = starts.run("run", *words, cwd=tmp_path, text=True)
    assert done.returncode == 0, done.stderr
    assert is_alive(first)
    os.kill(first, signal.SIGKILL)


@pytest.mark.usefixtures("nobody_left")
def test_a_survivor_that_is_no_longer_wanted(starts: Starts, tmp_path: Path) -> None:
    """A job that still runs, and is not in the plan any more, is ended."""
    (tmp_path / "list").write_text("echo $$ >up; exec sleep 60\n")
    words = ["--journal", "journal", "--resume", "list"]
    start_and_kill(starts, tmp_path, *words)
    first = int((tmp_path / "up").read_text())
    (tmp_path / "list").write_text("echo other\n")
    done = starts.run("run", *words, cwd=tmp_path, text=True)
    assert (done.returncode, done.stdout) == (0, "other\n")
    assert not is_alive(first)
    assert states(tmp_path / "journal") == {"interrupted": 1, "done": 1}


@pytest.mark.usefixtures("nobody_left")
def test_a_second_run_is_refused(starts: Starts, tmp_path: Path) -> None:
    """While a run has the journal, another one is refused with the number of the first; a killed one leaves no lock."""
    (tmp_path / "list").write_text("touch up; exec sleep 60\n")
    words = ["--journal", "journal", "--resume", "list"]
    first = starts.popen("run", *words, cwd=tmp_path, **SILENT)
    while not (tmp_path / "up").exists():
        time.sleep(0.01)
    refused = starts.run("run", *words, cwd=tmp_path, text=True)
    assert refused.returncode == 255
    assert f"governess run: the journal journal is in use by process {first.pid} on " in refused.stderr
    assert refused.stderr.count("\n") == 1
    first.kill()
    first.wait()
    (tmp_path / "list").write_text("true\n")
    assert starts.run("run", *words, cwd=tmp_path).returncode == 0


@pytest.mark.skipif(not can_tell_exits(), reason="the kernel does not tell")
def test_a_survivor_that_ends_at_once(tmp_path: Path) -> None:
    """A survivor that ends before its adoption is written is recorded as it ended."""
    import asyncio

    from governess.jobs import Job, JobOptions, Journal, Plan
    from governess.jobs._attempt import Attempt
    from governess.jobs._journal import JournalRecorder
    from governess.jobs._schedule import Entry
    from governess.jobs._survivors import find_survivor

    async def main() -> None:
        journal = Journal(tmp_path / "journal")
        journal.open()
        job = Job(("sleep", "60"))
        found = journal.register(Plan([job]), 1, JobOptions())
        entry: Entry = found.entries[0]
        entry.starts = 1
        mark = f"{journal.id}:1.1"
        child = subprocess.Popen(["sleep", "60"], env={"GOVERNESS_JOB": mark}, process_group=0)
        survivor = None
        while survivor is None:  # until it has exec'ed
            survivor = find_survivor(mark, None, None, [child.pid], time.time())
        recorder = JournalRecorder(journal, False, lambda error: pytest.fail(str(error)))
        attempt = Attempt(entry, JobOptions(), 1, ("sleep", "60"))
        attempt.is_adopted, attempt.running = True, survivor
        recorder.started(attempt)
        survivor.close()
        child.kill()
        child.wait()
        await asyncio.wait_for(recorder.close(0), 30)

    asyncio.run(main())
    with closing(connect(tmp_path / "journal", read_only=True)) as database:
        assert database.execute("SELECT state, pid IS NULL FROM tries").fetchall() == [("running", 0)]
