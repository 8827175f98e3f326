"""What a journal keeps, and what is run again."""

import contextlib
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)

from forked import Starts
from governess.jobs import Job, Journal, JournalError, State, run_jobs
from governess.jobs._journal.schema import connect
from governess.jobs._key import Keys, packed_command, unpacked_command

Governess = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def governess(starts: Starts, tmp_path: Path) -> Governess:
    """Run `governess WORDS…` to its end in an empty folder."""

    def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        return starts.run(*words, **{"text": True, "cwd": tmp_path, **options})

    return run


def query(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(connect(folder, read_only=True)) as database:
        return database.execute(sql).fetchall()


def wait_for(folder: Path, sql: str) -> None:
    """Wait until a query of the journal has an answer."""
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(sqlite3.Error):  # it is not made yet
            if query(folder, sql):
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states(folder: Path) -> Counter[str]:
    return Counter(dict(query(folder, "SELECT state, count(*) FROM jobs GROUP BY state")))  # type: ignore[arg-type]


def test_keys() -> None:
    """A job is told from others by what it runs and where, and from equal ones by its place among them."""

    def keys(*jobs: Job) -> list[bytes]:
        made = Keys()
        commands = [job.in_slot(0) for job in jobs]
        return [
            made.of(job, isinstance(command, str), packed_command(command))
            for job, command in zip(jobs, commands, strict=True)
        ]

    a, b = Job(("echo", "a")), Job(("echo", "b"))
    first, second = keys(a, b)
    assert first != second
    assert keys(b, a) == [second, first]
    assert keys(Job(("echo", "new")), a, b)[1:] == [first, second]
    twice = keys(a, a)
    assert twice[0] == first
    assert len({*twice, second}) == 3
    others = [
        Job("echo a"),
        Job(("echo", "a"), cwd="/"),
        Job(("echo", "a"), "name"),
        Job(("echo", "a"), env={"X": "1"}),
        Job(("echo", "a"), stdin=b"x"),
        Job(("echo a",)),
        Job(("echo", "a", "")),
    ]
    assert len(set(keys(a, *others))) == 1 + len(others)


@pytest.mark.parametrize("command", ["echo \udcff | cat", ("echo", "\udcff", "", "a b"), ("true",)])
def test_commands_are_kept_as_bytes(command: str | tuple[str, ...]) -> None:
    """A command with bytes that are no text is kept as well."""
    assert unpacked_command(packed_command(command), isinstance(command, str)) == command


RUN = ("run", "--journal", "journal")
LOG = ("sh", "-c", 'echo "$1" >>ran; [ "$1" != bad ] || [ -e mended ]', "sh", ":::")


def ran(folder: Path) -> list[str]:
    """Return what has run since the last call."""
    path = folder / "ran"
    words = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return words


def test_arguments_may_change(governess: Governess, tmp_path: Path) -> None:
    """--resume runs exactly what is new, wherever it was inserted, and --resume-failed what has failed as well."""
    assert governess(*RUN, *LOG, "a", "bad", "c", "d").returncode == 1
    assert ran(tmp_path) == ["a", "bad", "c", "d"]

    assert governess(*RUN, "--resume", *LOG, "new", "d", "c", "bad", "a").returncode == 1
    assert ran(tmp_path) == ["new"]

    assert governess(*RUN, "--resume", *LOG, "c", "a", "a").returncode == 0
    assert ran(tmp_path) == ["a"]

    assert governess(*RUN, "--resume-failed", *LOG, "a", "bad", "x").returncode == 1
    assert ran(tmp_path) == ["bad", "x"]

    (tmp_path / "mended").touch()
    assert governess(*RUN, "--resume-failed", *LOG, "bad", "a", "c", "d").returncode == 0
    assert ran(tmp_path) == ["bad"]

    done = governess(*RUN, "--resume-failed", *LOG, "a", "bad", "c", "d")
    assert (done.returncode, ran(tmp_path)) == (0, [])


def test_a_journal_that_is_there_already(governess: Governess) -> None:
    """Without --resume a journal is not gone on with, and --resume without one asks for it."""
    assert governess(*RUN, "--resume", "true", ":::", "a").returncode == 0
    refused = governess(*RUN, "true", ":::", "a")
    assert refused.returncode == 255
    assert refused.stderr == (
        "governess run: journal already has a journal: continue it with --resume or --resume-failed, or name another "
        "folder\n"
    )
    missing = governess("run", "--resume", "true", ":::", "a")
    assert missing.returncode == 255
    assert "give --journal DIR, also to the first run" in missing.stderr


def test_a_folder_with_other_files(governess: Governess, tmp_path: Path) -> None:
    """A folder that holds something else is not made a journal of."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "thesis").touch()
    refused = governess(*RUN, "true", ":::", "a")
    assert (refused.returncode, refused.stderr.count("\n")) == (255, 1)
    assert "journal holds other files" in refused.stderr


def test_it_is_the_owners_alone(governess: Governess, tmp_path: Path) -> None:
    """Nobody else can read what is in a journal."""
    governess(*RUN, "echo", ":::", "a")
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    assert (tmp_path / "journal" / "journal.db").stat().st_mode & 0o077 == 0


def test_output_is_kept_and_shown(governess: Governess, tmp_path: Path) -> None:
    """What a job writes is in a file of the journal, and is written by the run as without a journal."""
    done = governess(*RUN, "-k", "echo {}; echo {} >&2", ":::", "a", "b", input="")
    if done.returncode:  # a shell line needs a file here
        (tmp_path / "list").write_text("echo a; echo a >&2\necho b; echo b >&2\n")
        done = governess("run", "--journal", "other", "-k", "list")
        folder = tmp_path / "other"
    else:
        folder = tmp_path / "journal"
    assert done.stdout == "a\nb\n"
    assert re.search("^a$", done.stderr, re.MULTILINE)
    assert (folder / "out" / "1.1.out").read_text() == "a\n"
    assert (folder / "out" / "2.1.err").read_text() == "b\n"


def test_a_backoff_survives_a_restart(tmp_path: Path, governess: Governess, starts: Starts) -> None:
    """Exit 75 twice and then 0: the starts are at 0, 1 and 3 s, though the run is killed in the first pause."""
    script = 'date +%s.%N >>starts; echo "try $GOVERNESS_TRY"; [ $(wc -l <starts) -ge 3 ] || exit 75'
    (tmp_path / "list").write_text(f"{script}\necho x >>once; exit 1\n")
    words = [*RUN, "--resume", "--tries", "5", "--backoff", "1s..60s", "--retry-on", "75", "list"]
    process = starts.popen(*words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "journal", "SELECT 1 FROM jobs WHERE not_before")
    wait_for(tmp_path / "journal", "SELECT 1 FROM jobs WHERE state = 'failed'")
    process.kill()
    process.wait()
    done = governess(*words)
    assert done.returncode == 1  # the one that exits with 1 is not tried again
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    assert 0.75 < starts[1] - starts[0] < 1.2 + 3
    assert 1.55 < starts[2] - starts[1] < 2.4 + 3
    assert (tmp_path / "once").read_text() == "x\n"
    outputs = [path.read_text() for path in sorted((tmp_path / "journal" / "out").glob("1.*.out"))]
    assert outputs == ["try 1\n", "try 2\n", "try 3\n"]


def test_an_interrupted_run(tmp_path: Path, governess: Governess, starts: Starts) -> None:
    """What Ctrl-C has ended is run again, and costs no try."""
    (tmp_path / "list").write_text("[ -e again ] && exit 0; touch again; exec sleep 60\necho never\n")
    words = [*RUN, "-j1", "--resume", "list"]
    process = starts.popen(*words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "again").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert states(tmp_path / "journal") == {"cancelled": 1, "waiting": 1}
    assert query(tmp_path / "journal", "SELECT tries, starts FROM jobs ORDER BY seq") == [(0, 1), (0, 0)]
    done = governess(*words)
    assert (done.returncode, done.stdout) == (0, "never\n")
    assert states(tmp_path / "journal") == {"done": 2}


async def run_with(folder: Path, *jobs: Job, **options: object) -> dict[str, State]:
    async with run_jobs(list(jobs), journal=Journal(folder, **options)) as run:  # type: ignore[arg-type]
        return {result.name: result.state async for result in run}


def test_a_diamond_is_gone_on_with(tmp_path: Path) -> None:
    """A job that failed is run again by `retry_failed`, and then those that waited for it; what is done is not."""
    import asyncio

    folder = tmp_path / "journal"

    def jobs() -> list[Job]:
        return [
            Job(("true",), "top"),
            Job(("test", "-e", str(tmp_path / "mended")), "left", after=("top",)),
            Job(("true",), "right", after=("top",)),
            Job(("true",), "bottom", after=("left", "right")),
        ]

    found = asyncio.run(run_with(folder, *jobs()))
    assert (found["left"], found["bottom"]) == (State.FAILED, State.SKIPPED)
    found = asyncio.run(run_with(folder, *jobs(), resume=True))
    assert found == {"bottom": State.SKIPPED}
    (tmp_path / "mended").touch()
    found = asyncio.run(run_with(folder, *jobs(), retry_failed=True))
    assert found == {"left": State.DONE, "bottom": State.DONE}
    assert asyncio.run(run_with(folder, *jobs(), resume=True)) == {}


def test_a_result_is_told_when_it_is_recorded(tmp_path: Path) -> None:
    """A result that the caller has seen is in the database."""
    import asyncio

    folder = tmp_path / "journal"

    async def main() -> None:
        async with run_jobs([Job(("true",), str(number)) for number in range(20)], journal=Journal(folder)) as run:
            async for result in run:
                state = query(folder, f"SELECT state FROM jobs WHERE name = '{result.name}'")
                assert state == [("done",)]

    asyncio.run(main())


# What goes wrong with disks and clocks.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB, which only root can make."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or subprocess.run(command).returncode:
        pytest.skip("needs a file system that can be mounted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills(governess: Governess, small_disk: Path, tmp_path: Path) -> None:
    """Where the journal's disk fills, the run ends with one line; what it called done is not run again."""
    fill = f"echo $1 >>ran; [ $1 != 5 -o -e filled ] || {{ touch filled; cat /dev/zero >{small_disk}/filler; }}; exit 0"
    words = ("-j1", "--journal", str(small_disk / "journal"), "sh", "-c", fill, "sh", ":::", *map(str, range(100)))
    done = governess("run", *words)
    assert done.returncode == 255
    assert "Traceback" not in done.stderr
    complaints = [line for line in done.stderr.splitlines() if "its disk is full" in line]
    assert len(complaints) == 1
    assert "what was reported as done is recorded; free some space, and go on by --resume" in complaints[0]
    assert (tmp_path / "filled").exists()
    told = re.findall(r"exit 0, .*: sh -c .* (\d+)$", done.stderr, re.MULTILINE)
    (small_disk / "filler").unlink()
    first = ran(tmp_path)
    assert "99" not in first
    done = governess("run", "--resume", *words)
    assert done.returncode == 0, done.stderr
    again = ran(tmp_path)
    assert not set(told) & set(again)
    assert {*first, *again} == set(map(str, range(100)))


def test_a_read_only_disk(governess: Governess, small_disk: Path) -> None:
    """Where nothing can be written, a journal is not gone on with, in one line; what it has can be read."""
    journal = str(small_disk / "journal")
    assert governess("run", "--journal", journal, "echo", ":::", "a").returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for words in (("--journal", journal, "--resume"), ("--journal", str(small_disk / "other"))):
        done = governess("run", *words, "echo", ":::", "a", "b")
        assert (done.returncode, done.stdout) == (255, "")
        assert done.stderr == f"governess run: the journal {words[1]} cannot be used: Read-only file system\n"
    assert governess("ps", "--journal", journal).stdout == "1 job: 1 done; not running\n"
    assert governess("logs", "--journal", journal, "1").stdout == "a\n"


def test_a_limit_on_files(governess: Governess, tmp_path: Path) -> None:
    """A journal that cannot grow is told of in one line."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = governess(*RUN, "true", ":::", "a", preexec_fn=limit)
    assert (done.returncode, done.stderr.count("\n")) == (255, 1)
    assert done.stderr.startswith("governess run: the journal journal cannot be ")


@pytest.mark.parametrize("damage", [b"\0" * 4096, b"no database at all", b""])
def test_a_damaged_journal(governess: Governess, tmp_path: Path, damage: bytes) -> None:
    """A journal that is damaged is told of in one line, and nothing is run."""
    assert governess(*RUN, *LOG, *map(str, range(300))).returncode == 0
    ran(tmp_path)
    path = tmp_path / "journal" / "journal.db"
    whole = path.read_bytes()
    path.write_bytes(damage if len(damage) < 4096 else whole[:4096] + damage * 5 + whole[6 * 4096 :])
    done = governess(*RUN, "--resume", *LOG, *map(str, range(300)))
    if damage:
        assert (done.returncode, done.stderr.count("\n")) == (255, 1)
        assert "the journal journal is damaged" in done.stderr
        assert ran(tmp_path) == []
    else:  # an empty file is what is left of a journal that was never written
        assert done.returncode == 0


def test_another_format(governess: Governess, tmp_path: Path) -> None:
    """A journal of a later version is left alone."""
    governess(*RUN, "true", ":::", "a")
    with closing(sqlite3.connect(tmp_path / "journal" / "journal.db")) as database:
        database.execute("PRAGMA user_version = 99")
    done = governess(*RUN, "--resume", "true", ":::", "a")
    assert (done.returncode, done.stderr.count("\n")) == (255, 1)
    assert "made by another version of governess (format 99)" in done.stderr


def test_a_place_that_cannot_be_written(governess: Governess) -> None:
    """A folder that cannot be made is told of in one line."""
    done = governess("run", "--journal", "/proc/journal", "true", ":::", "a")
    assert (done.returncode, done.stderr.count("\n")) == (255, 1)
    assert done.stderr.startswith("governess run: the journal /proc/journal cannot be used: ")


def test_a_clock_that_was_set_back(tmp_path: Path, governess: Governess, starts: Starts) -> None:
    """A job whose pause would end in a year, by a clock that was wrong, waits for no longer than the pause."""
    (tmp_path / "list").write_text("[ -e again ] && exit 0; touch again; exit 75\n")
    words = [*RUN, "--resume", "--tries", "2", "--backoff", "1s", "list"]
    process = starts.popen(*words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "journal", "SELECT 1 FROM jobs WHERE not_before")
    process.kill()
    process.wait()
    with closing(sqlite3.connect(tmp_path / "journal" / "journal.db")) as database:
        database.execute("UPDATE jobs SET not_before = not_before + 31536000")
        database.commit()
    began = time.monotonic()
    assert governess(*words).returncode == 0
    assert time.monotonic() - began < 15


def test_a_terminal_that_closes(tmp_path: Path, governess: Governess, starts: Starts) -> None:
    """A hang-up ends the run, and the next one goes on."""
    (tmp_path / "list").write_text("[ -e again ] && exit 0; touch again; exec sleep 60\n")
    words = [*RUN, "--resume", "list"]
    process = starts.popen(*words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "again").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 129
    assert governess(*words).returncode == 0


def test_an_error_for_a_program(tmp_path: Path) -> None:
    """A program gets the error as an exception of the library."""
    import asyncio

    folder = tmp_path / "journal"
    asyncio.run(run_with(folder, Job(("true",), "a")))
    with pytest.raises(JournalError, match="already has a journal"):
        asyncio.run(run_with(folder, Job(("true",), "a")))


@pytest.mark.slow
def test_a_large_journal_opens_quickly(tmp_path: Path) -> None:
    """A journal of 100,000 jobs opens in a second or so."""
    import asyncio

    from governess.jobs import Plan
    from governess.jobs._job import JobOptions

    def plan() -> Plan:
        return Plan([Job(("true", str(number))) for number in range(100_000)])

    async def main() -> tuple[float, int]:
        journal = Journal(tmp_path / "journal", resume=True)
        made = plan()
        began = time.perf_counter()
        journal.open()
        found = journal.register(made, 8, JobOptions())
        took = time.perf_counter() - began
        journal.close()
        return took, len(found.entries)

    assert asyncio.run(main())[1] == 100_000
    with closing(sqlite3.connect(tmp_path / "journal" / "journal.db")) as database:
        database.execute("UPDATE jobs SET state = 'done' WHERE id % 2")
        database.commit()
    took, left = asyncio.run(main())
    assert left == 50_000
    assert took < 3  # on a quiet machine it is less than one


def test_whatever_goes_wrong_in_the_writer_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error of the thread that writes the journal is raised by the run, which does not wait for ever."""
    import asyncio

    from governess.jobs._journal.writer import Writer

    def fail(self: Writer, changes: object) -> None:
        raise ValueError("an unexpected error")

    monkeypatch.setattr(Writer, "_write", fail)
    with pytest.raises(JournalError, match="an unexpected error"):
        asyncio.run(asyncio.wait_for(run_with(tmp_path / "journal", Job(("true",), "a")), 30))
