"""The same jobs here and on a cluster."""

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from governess.jobs._journal.schema import connect

from .conftest import Cluster

BLOCKER = re.compile(r"\w+ has not succeeded")
SIZES = [pytest.param(60, 2, id="few"), pytest.param(2000, 20, id="many")]
pytestmark = pytest.mark.slow  # `make cluster` runs them


def write_jobs(path: Path, short: int, long: int) -> None:
    """Write short jobs of which some fail, and long ones that some of them wait for."""
    jobs: list[dict[str, Any]] = []
    for number in range(long):
        jobs.append(
            {"name": f"long{number}", "run": f"echo begin; sleep 1; echo end {number}; exit {int(number % 7 == 6)}"}
        )
    for number in range(short):
        job: dict[str, Any] = {
            "name": f"short{number}",
            "run": f"echo {number}; echo e >&2; exit {int(number % 50 == 49)}",
        }
        if number % 10 == 0:
            job["after"] = [f"long{number // 10 % long}"]
        elif number % 10 == 1 and number > 100:
            job["after"] = [f"short{number - 100}", f"short{number - 2}"]
        if number % 100 == 49:
            job["tries"] = 2
        jobs.append(job)
    path.write_text("".join(f"{json.dumps(job)}\n" for job in jobs))


def seen(folder: Path) -> dict[str, Any]:
    """Return what a user sees of a journal, but for hosts and times, which are left out."""

    def governess(*words: str) -> str:
        command = [sys.executable, "-m", "governess", *words]
        wide = {**os.environ, "COLUMNS": "1000"}
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=wide).stdout

    with closing(connect(folder / "journal", read_only=True)) as database:
        jobs = database.execute(
            "SELECT id, seq, name, command, state, tries, starts, reason, after FROM jobs ORDER BY id"
        )
        tries = database.execute("SELECT job, start, state, code, remark FROM tries ORDER BY job, start")
        found: dict[str, Any] = {"jobs": [without_blocker(*row) for row in jobs], "tries": tries.fetchall()}
    found["outputs"] = {path.name: path.read_bytes() for path in sorted((folder / "journal/out").iterdir())}
    first, head, *rows = governess("ps", "--journal", "journal", "--all").splitlines()
    time, end, command = head.index("time"), head.index("exit"), head.index("command")
    host = head.index("host") if "host" in head else command
    found["ps"] = [first, *(BLOCKER.sub("it", row[:time] + row[end:host] + row[command:]) for row in rows)]
    return found


def without_blocker(*row: Any) -> tuple[Any, ...]:
    """Check that a skipped job names one before it; which one, if several have failed, is a matter of time."""
    *_, state, _, _, reason, after = row
    if state == "skipped":
        assert BLOCKER.fullmatch(reason)[0].removesuffix(" has not succeeded") in after.split("\n")
    return tuple(BLOCKER.sub("it", cell) if cell is reason else cell for cell in row)


@pytest.mark.parametrize(("short", "long"), SIZES)
@pytest.mark.timeout(400)
def test_same_journal(module_cluster: Cluster, tmp_path: Path, short: int, long: int) -> None:
    """On a cluster jobs with an order, failures and tries leave the journal that they leave here."""
    found = {}
    for place, words in (("here", ["-j", "4"]), ("there", ["--on", module_cluster.address])):
        folder = tmp_path / place
        folder.mkdir()
        write_jobs(folder / "jobs.jsonl", short, long)
        command = [sys.executable, "-m", "governess", "run", "--quiet", *words, "--journal", "journal", "jobs.jsonl"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=350)
        found[place] = {"status": done.returncode, **seen(folder)}
    assert found["here"]["tries"]
    for part, expected in found["here"].items():
        assert found["there"][part] == expected
