"""One suite on one interpreter, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from conformance.interpreters import Interpreter
from conformance.outcome import Outcome, judge
from conformance.suites import Suite

__all__ = ["run"]

ROOT = Path(__file__).parent.parent

# In seconds; a suite takes 25, on a busy machine several times that.
SUITE_TIMEOUT = 400.0


def run(suite: Suite, tests: Interpreter, python: Interpreter, patterns: list[str]) -> Outcome:
    """Run a suite, which is found where `tests` has its own, on `python`; of all its tests those that match."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        report, output = Path(directory, "report.jsonl"), Path(directory, "output.txt")
        _run_inside(
            [python.program, "-B", "-m", "conformance.inside", suite.version, python.version, str(report), *patterns],
            output,
            CONFORMANCE_TESTS=str(tests.tests),
            PYTHONPATH=os.pathsep.join(map(str, (ROOT, ROOT / "src"))),
        )
        lines, printed = _read(report), output.read_text(errors="replace")
    return judge(suite.version, python.version, lines, printed, partial=bool(patterns))


def _run_inside(command: list[str], output: Path, **environment: str) -> None:
    # Into a file: a pipe would not end before the last child that a failed test has left behind.
    with output.open("w") as file:
        try:
            subprocess.run(
                command,
                env={**os.environ, **environment},
                cwd=output.parent,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=SUITE_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            file.write(f"\nkilled after {SUITE_TIMEOUT:g} seconds")


def _read(report: Path) -> list[dict[str, Any]]:
    """The lines of the report; the last one may be cut off."""
    if not report.exists():
        return []
    return [json.loads(line) for line in report.read_text().splitlines() if line.endswith("}")]
