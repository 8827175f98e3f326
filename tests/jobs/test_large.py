"""Runs of very many jobs: what they cost before the first one starts."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs /proc", allow_module_level=True)

CPU = os.sysconf("SC_CLK_TCK")


def start_of_first(folder: Path, count: int) -> tuple[float, float, int]:
    """Return what it takes until the first of so many jobs runs: seconds, seconds of CPU time, and bytes of memory."""
    (folder / "list").write_text("".join(f"{number}\n" for number in range(count)))
    os.mkfifo(folder / "up")
    script = "echo >up; exec sleep 60"
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "governess", "run", "-j1", "--", "sh", "-c", script, "sh", "{}", "::::", "list"],
        cwd=folder,
        env=compiled(folder.parent),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        (folder / "up").read_text()
        wall = time.perf_counter() - began
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    finally:
        process.terminate()
        process.wait()
    return wall, (int(fields[11]) + int(fields[12])) / CPU, int(status["VmHWM"].split()[0]) * 1024


def compiled(folder: Path) -> dict[str, str]:
    """Return an environment in which modules are compiled once, as they are where governess is installed."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


@pytest.mark.slow
def test_very_many_arguments(tmp_path: Path) -> None:
    """The first of 50,000 commands runs 0.2 s after the call, and the run takes at most 60 MB."""
    measured = []
    for number in range(8):
        (folder := tmp_path / str(number)).mkdir()
        measured.append(start_of_first(folder, 50_000))
    walls, cpus, memories = zip(*measured[1:], strict=True)  # the first one compiles
    print(f"{min(walls):.3f} s, {min(cpus):.3f} s of CPU, {max(memories) / 1e6:.1f} MB")
    assert min(cpus) < 0.2  # the time by the clock depends on what else runs
    assert max(memories) <= 60_000_000


@pytest.mark.slow
def test_ps_of_very_many_jobs(tmp_path: Path) -> None:
    """`governess ps` answers in 0.3 s while a run of 100,000 jobs goes on."""
    environment = compiled(tmp_path)
    governess = [sys.executable, "-m", "governess"]
    (tmp_path / "list").write_text("".join(f"{number}\n" for number in range(100_000)))
    words = [*governess, "run", "--quiet", "-j1", "--journal", "journal", "--resume"]
    command = ["--", "sh", "-c", "sleep 0.02", "sh", "{}", "::::", "list"]
    subprocess.run([*words, "--halt", "soon,done=1", *command], cwd=tmp_path, env=environment, check=True)
    with closing(sqlite3.connect(tmp_path / "journal" / "journal.db")) as database:
        database.execute(
            "UPDATE jobs SET state = CASE id % 5 WHEN 0 THEN 'failed' ELSE 'done' END, starts = 1 WHERE id <= 60000"
        )
        database.execute(
            "INSERT OR REPLACE INTO tries SELECT id, 1, 1, 1, state, 1, 2, state = 'failed', '', 0.1, 100000, id, 1 "
            "FROM jobs WHERE id <= 60000"
        )
        database.commit()
    run = subprocess.Popen([*words, *command], cwd=tmp_path, env=environment)
    ps = [*governess, "ps", "--journal", "journal"]
    try:
        while "1 running" not in (text := output(ps, tmp_path, environment)):
            assert run.poll() is None
        assert text.startswith("100000 jobs: ")
        assert f"; run by process {run.pid}\n" in text
        measured = [cost(ps, tmp_path, environment) for _ in range(8)]
    finally:
        run.terminate()
        run.wait()
    walls, cpus = zip(*measured, strict=True)
    print(f"{min(walls):.3f} s, {min(cpus):.3f} s of CPU")
    assert min(cpus) < 0.3  # the time by the clock depends on what else runs


def output(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    return subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def cost(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds that a command takes, by the clock and of the processor."""
    began = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime
