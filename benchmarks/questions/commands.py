"""How long do many short commands take, 8 at once, each with an argument from standard input?"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time

from benchmarks.model import Answers, Case, Measure, Missing, Question

RUN = [sys.executable, "-m", "governess", "run", "-j8"]

COMMANDS = {
    "governess run": [*RUN, "--loop", "asyncio", "/bin/true", "{}"],
    "governess run on uvloop": [*RUN, "--loop", "uvloop", "/bin/true", "{}"],
    "governess run with a journal": [*RUN, "--journal", "journal", "/bin/true", "{}"],
    "xargs": ["xargs", "-P8", "-n1", "/bin/true"],
    "GNU parallel": ["parallel", "--will-cite", "-j8", "/bin/true", "{}"],
}


def answer(contestant: str, count: int) -> Answers:
    """Run `count` times `true`."""
    command = COMMANDS[contestant]
    _check(command)
    lines = "".join(f"{number}\n" for number in range(count))
    # The frame removes it after the last round: ext4 takes a second look at the number of each file that it makes soon
    # after thousands were deleted (recently_deleted() in fs/ext4/ialloc.c), and a later contestant would pay for that.
    folder = tempfile.mkdtemp()
    began = time.perf_counter()
    subprocess.run(command, input=lines, stdout=subprocess.DEVNULL, check=True, text=True, cwd=folder)
    return {"seconds": time.perf_counter() - began}


def _check(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise Missing(f"{command[0]} is not installed")
    for module in ("click", "rich", "uvloop"):
        if command[0] == sys.executable and importlib.util.find_spec(module) is None:
            raise Missing(f"{module} is not installed")


def cases(quick: bool) -> list[Case]:
    """10,000 commands."""
    count = 200 if quick else 10_000
    return [Case(f"{count:,} × true", {"count": count}, tuple(COMMANDS))]


QUESTION = Question(
    name="commands",
    title="Many commands from a shell",
    base="xargs",
    measures=(Measure("seconds", "s"),),
    answer=answer,
    cases=cases,
    rounds=3,
)
