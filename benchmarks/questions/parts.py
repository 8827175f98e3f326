"""Where does the time of a run go: to the program itself, to the loop's thread, or to other threads of the parent?"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType

from benchmarks.contestants import library
from benchmarks.model import Answers, Case, Measure, Question
from benchmarks.programs import program
from benchmarks.questions.runs import COMMAND, WARM_UP, by_functions, runner

CONTESTANTS = ("governess", "governess + uvloop", "asyncio", "trio", "thread pool")
FLOORS = {"C, 2 threads": 2}
# What of asyncio a library for programs would have for itself; the rest is the loop's.
OF_ASYNCIO = ("subprocess.py", "base_subprocess.py", "streams.py", "unix_events.py", "threads.py")
COUNTED = 64


def answer(contestant: str, count: int, at_once: int) -> Answers:
    """Run `count` programs, `at_once` at a time, and divide what the processors did in that time."""
    if contestant in FLOORS:
        return _floor(FLOORS[contestant], count, at_once)
    tool = library(contestant)

    async def main() -> Answers:
        run_all = by_functions(tool, runner(contestant, tool))
        await run_all(WARM_UP, at_once)
        before = _used()
        await run_all(count, at_once)
        seconds, own, thread, children = (after - start for after, start in zip(_used(), before, strict=True))
        answers = _divided(seconds / count, own / count, children / count)
        calls = await _python_calls(run_all, at_once)
        return {**answers, "loop": thread / count, **calls}

    return tool.run(main)


def _used() -> tuple[float, float, float, float]:
    """Return the time, and the CPU seconds of this process, of this thread, and of the children that were reaped."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_THREAD, resource.RUSAGE_CHILDREN)
    own, thread, children = (used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))
    return time.perf_counter(), own, thread, children


def _divided(seconds: float, own: float, children: float) -> Answers:
    used = (own + children) / (seconds * len(os.sched_getaffinity(0)))
    return {"seconds": seconds, "children": children, "parent": own, "used": used}


def _floor(threads: int, count: int, at_once: int) -> Answers:
    arguments = [threads, count, at_once, 1]
    ran = subprocess.run(
        [program("floor"), *map(str, arguments), *COMMAND], stdout=subprocess.PIPE, check=True, text=True
    )
    seconds, own, children = (float(each) / count for each in ran.stdout.split())
    return _divided(seconds, own, children)


async def _python_calls(run_all: Callable[[int, int], Awaitable[None]], at_once: int) -> Answers:
    """Count the calls of Python functions in this thread: those of the library, and those of the loop under it."""
    counted = {"library_calls": 0, "loop_calls": 0}

    def count(frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event != "call" or "/benchmarks/" in path:
            return
        counted["library_calls" if _is_the_librarys(path) else "loop_calls"] += 1

    sys.setprofile(count)
    try:
        await run_all(COUNTED, at_once)
    finally:
        sys.setprofile(None)
    return {name: number / COUNTED for name, number in counted.items()}


def _is_the_librarys(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if folder == os.path.dirname(asyncio.__file__):
        return name in OF_ASYNCIO
    return "/governess/" in path or "/trio/" in path or path == subprocess.__file__


def cases(quick: bool) -> list[Case]:
    """One at a time, and 16 at once."""
    return [
        Case(
            f"{at_once} at once",
            {"count": 100 if quick else 600, "at_once": at_once},
            (*CONTESTANTS, *FLOORS),
        )
        for at_once in (1, 16)
    ]


QUESTION = Question(
    name="parts",
    title="Where the time of a run goes",
    base="asyncio",
    measures=(
        Measure("seconds", "time a run, µs", scale=1e6),
        Measure("children", "the program's CPU, µs", scale=1e6),
        Measure("parent", "the parent's CPU, µs", scale=1e6),
        Measure("loop", "of that the loop's thread, µs", scale=1e6),
        Measure("used", "processors used, %", scale=100),
        Measure("library_calls", "Python calls of the library"),
        Measure("loop_calls", "of the loop"),
    ),
    answer=answer,
    cases=cases,
)
