"""One story with one library, in an interpreter of its own, which may crash or stand still."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pains.stories import Story

__all__ = ["Cell", "play_apart"]

#: Seconds until a library that stands still is given up; the scenarios bound what they wait for more narrowly.
PATIENCE = 30

#: What starts a Python for Windows; `make windows` uses the same, and the same packages.
WINDOWS_PYTHON = os.environ.get("WINDOWS_PYTHON", "python-windows")

ROOT = Path(__file__).parents[2]

SIGNS = {"relieved": "✓", "hurts": "✗", "does not apply": "–", "broken": "!"}


@dataclass(frozen=True)
class Cell:
    """What was seen: relieved, hurts, does not apply, or broken, and the words for it."""

    mark: str
    words: str

    @property
    def sign(self) -> str:
        """One character for the mark."""
        return SIGNS[self.mark]

    @property
    def is_felt(self) -> bool:
        """Whether the pain is there, or may be."""
        return self.mark in ("hurts", "broken")

    @property
    def is_broken(self) -> bool:
        """Whether the scenario itself did not work."""
        return self.mark == "broken"


def play_apart(story: Story, contestant: str) -> Cell:
    """Play the story with the contestant in a process group of its own, and end what that leaves behind."""
    on_windows = story.is_for_windows and shutil.which(WINDOWS_PYTHON) is not None
    python, path = _windows() if on_windows else _here()
    with subprocess.Popen(
        [python, "-m", "pains.one", story.module, contestant],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
    ) as process:
        try:
            said, complaint = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return Cell("hurts", f"stands still for {PATIENCE} s")
        finally:
            _end(process)
    return _cell_of(said, complaint, process.returncode)


def _here() -> tuple[str, str]:
    """Return this Python, and its path."""
    return sys.executable, os.pathsep.join(filter(None, [str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))


def _windows() -> tuple[str, str]:
    """Return the Python for Windows, and its path by Wine's name for the root of the file system."""
    return WINDOWS_PYTHON, ";".join(f"Z:{ROOT / folder}" for folder in ("tests", "src", ".windows-packages"))


def _cell_of(said: str, complaint: str, status: int) -> Cell:
    try:
        mark, words = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        last_words = complaint.strip().splitlines()[-1:] or [f"exit {status}"]
        return Cell("broken", last_words[0])
    return Cell(mark, words)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
