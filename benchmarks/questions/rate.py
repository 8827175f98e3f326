"""How many children a second can be started and waited for, and what does one cost?"""

from __future__ import annotations

import subprocess
import time

from benchmarks.contestants import EVERYONE, library
from benchmarks.libraries import Library
from benchmarks.model import Answers, Case, Measure, Question
from benchmarks.programs import program

COMMAND = ["/bin/true"]
FLOORS = {"C, 1 thread": 1, "C, 2 threads": 2}
# Not measured: libraries start their threads and import their modules on the first need.
WARM_UP = 32


def answer(contestant: str, count: int, at_once: int, output: bool) -> Answers:
    """Start `count` children, `at_once` at a time, and wait for all."""
    if contestant in FLOORS:
        seconds, cpu = _floor(FLOORS[contestant], count, at_once, output)
    else:
        seconds, cpu = _by_library(library(contestant), count, at_once, output)
    return {"per_second": count / seconds, "cpu": cpu / count}


def _by_library(tool: Library, count: int, at_once: int, output: bool) -> tuple[float, float]:
    async def main() -> tuple[float, float]:
        await keep_starting(tool, WARM_UP, at_once, output)
        wall, cpu = time.perf_counter(), time.process_time()
        await keep_starting(tool, count, at_once, output)
        return time.perf_counter() - wall, time.process_time() - cpu

    return tool.run(main)


async def keep_starting(tool: Library, count: int, at_once: int, output: bool) -> None:
    """Have `at_once` children all the time, until there were `count`."""
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            await tool.child(COMMAND, output)

    await tool.together([one_after_another] * at_once)


def _floor(threads: int, count: int, at_once: int, output: bool) -> tuple[float, float]:
    arguments = [threads, count, at_once, int(output)]
    ran = subprocess.run(
        [program("floor"), *map(str, arguments), *COMMAND], stdout=subprocess.PIPE, check=True, text=True
    )
    seconds, cpu, _ = map(float, ran.stdout.split())
    return seconds, cpu


def cases(quick: bool) -> list[Case]:
    """1, 16 and 64 at once, with and without a pipe."""
    return [
        Case(
            f"{at_once} at once{', reading the output' if output else ''}",
            {"count": 200 if quick else 600, "at_once": at_once, "output": output},
            (*EVERYONE, *FLOORS),
        )
        for output in (False, True)
        for at_once in ((16,) if quick else (1, 16, 64))
    ]


QUESTION = Question(
    name="rate",
    title="Children a second",
    base="asyncio",
    measures=(
        Measure("per_second", "children a second", more_is_better=True),
        Measure("cpu", "parent's CPU, µs a child", scale=1e6),
    ),
    answer=answer,
    cases=cases,
)
