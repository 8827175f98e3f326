"""The interpreters on PATH, and where each keeps its tests of asyncio."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

__all__ = ["PYTHONS", "Interpreter", "InterpreterMissing", "find"]

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")

_DESCRIBE = "import platform, test.test_asyncio as t; print(platform.python_version(), t.__path__[0], sep='\\n')"


class InterpreterMissing(Exception):
    """There is no such interpreter, or it has no tests of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interpreter:
    """One Python.

    Attributes:
        version: "3.13".
        release: "3.13.0".
        program: what starts it.
        tests: the directory of its `test.test_asyncio`.
    """

    version: str
    release: str
    program: str
    tests: Path


def find(version: str) -> Interpreter:
    """Return the interpreter of that version which is first on PATH.

    Raises:
        InterpreterMissing: there is none that works, or it came without its tests.
    """
    program = shutil.which(f"python{version}")
    if program is None:
        raise InterpreterMissing(f"there is no python{version} on PATH")
    answer = subprocess.run([program, "-c", _DESCRIBE], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise InterpreterMissing(f"{program} does not work, or came without its tests: {_reason(answer.stderr)}")
    release, tests = answer.stdout.splitlines()
    if release.rpartition(".")[0] != version:
        raise InterpreterMissing(f"{program} is Python {release}, not {version}")
    return Interpreter(version, release, program, Path(tests))


def _reason(complaint: str) -> str:
    """The exception of a traceback, else the first words."""
    lines = complaint.strip().splitlines() or ["it says nothing"]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]
