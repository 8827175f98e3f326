"""How long does the loop stand still if the exec itself is slow: a cold disk, a file server?"""

from __future__ import annotations

import functools
import time

from benchmarks.contestants import EVERYONE, library
from benchmarks.model import Answers, Case, Measure, Question
from benchmarks.programs import program
from benchmarks.questions.lag import describe_lags, tick_while
from benchmarks.questions.rate import COMMAND


def answer(contestant: str, at_once: int, milliseconds: int) -> Answers:
    """Start a few children in the process tree whose execs wait in the kernel; the wrapper makes them wait."""
    tool = library(contestant)

    async def main() -> Answers:
        lags: list[float] = []
        living = at_once
        began = time.perf_counter()

        async def one() -> None:
            nonlocal living
            await tool.child(COMMAND, False)
            living -= 1

        async def tick() -> None:
            await tick_while(tool, lambda: living > 0, lags)

        await tool.together([tick, *[one] * at_once])
        return {**describe_lags(lags), "seconds": time.perf_counter() - began}

    return tool.run(main)


def cases(quick: bool) -> list[Case]:
    """Two children whose exec takes a second."""
    milliseconds = 100 if quick else 1000
    return [
        Case(
            f"2 at once, an exec takes {milliseconds} ms",
            {"at_once": 2, "milliseconds": milliseconds},
            EVERYONE,
            functools.partial(_slow_exec, milliseconds),
        )
    ]


def _slow_exec(milliseconds: int) -> list[str]:
    return [program("slow_exec"), str(milliseconds)]


QUESTION = Question(
    name="slow_exec",
    title="A slow exec",
    base="asyncio",
    measures=(
        Measure("max", "the loop's worst lag, ms", scale=1e3),
        Measure("seconds", "until both have exited, s"),
    ),
    answer=answer,
    cases=cases,
    rounds=3,
    logarithmic=True,
)
