"""Running the command line as people do: as a process of its own."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forked import Starts
from roll import Roll

from .uptime import Up

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def governess(starts: Starts, tmp_path: Path) -> Run:
    """Run `governess WORDS…` to its end in an empty folder."""

    def run(*words: str, input: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "100", **(env or {})}
        return starts.run(*words, input=input, text=True, cwd=tmp_path, env=environment)

    return run


@pytest.fixture
def start(starts: Starts, tmp_path: Path) -> Iterator[Start]:
    """Start `governess WORDS…` in an empty folder; what is left of it is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def popen(*words: str, **options: Any) -> subprocess.Popen[bytes]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = starts.popen(*words, cwd=tmp_path, **streams)
        started.append(process)
        return process

    yield popen
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def roll(tmp_path: Path) -> Iterator[Roll]:
    """A roll that children answer by `exec 3>roll; echo >&3`."""
    roll = Roll(tmp_path / "roll")
    yield roll
    roll.close()


@pytest.fixture
def up(starts: Starts, tmp_path: Path) -> Iterator[Up]:
    """`governess up` in an empty folder, with a folder for its socket whose path is short."""
    with tempfile.TemporaryDirectory(prefix="up-") as runtime:
        up = Up(starts, tmp_path, Path(runtime))
        yield up
        up.close()
