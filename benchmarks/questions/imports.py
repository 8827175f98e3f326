"""How long does the import take?"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys

from benchmarks.model import Answers, Case, Measure, Missing, Question

SCRIPT = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
# governess imports a name when it is used: the first row is not what a program pays.
STATEMENTS = {"governess.run": "from governess import run", "all of governess": "from governess import *"}


CONTESTANTS = ("governess", *STATEMENTS, "asyncio", "uvloop", "trio", "anyio")


def answer(contestant: str, times: int) -> Answers:
    """Import a module in fresh interpreters."""
    statement = STATEMENTS.get(contestant)
    if statement is None and importlib.util.find_spec(contestant) is None:
        raise Missing("not installed")
    command = [sys.executable, "-c", SCRIPT.format(statement or f"import {contestant}")]
    ran = [subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True) for _ in range(times)]
    return {"seconds": statistics.median(float(each.stdout) for each in ran)}


def cases(quick: bool) -> list[Case]:
    """The import alone, in a fresh interpreter each time."""
    return [Case("import", {"times": 3 if quick else 5}, CONTESTANTS)]


QUESTION = Question(
    name="imports",
    title="Import",
    base="asyncio",
    measures=(Measure("seconds", "ms", scale=1e3),),
    answer=answer,
    cases=cases,
    rounds=5,
)
