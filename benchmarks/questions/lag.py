"""How late is the loop while children start, in a small parent and in one with much memory?"""

from __future__ import annotations

import ctypes
import mmap
import statistics
import time
from collections.abc import Callable

from benchmarks.contestants import EVERYONE, library
from benchmarks.libraries import Library
from benchmarks.machine import free_gigabytes
from benchmarks.model import Answers, Case, Measure, Missing, Question
from benchmarks.questions.rate import COMMAND, WARM_UP, keep_starting

# How often something falls due, in seconds.
TICK = 0.001
# What has to stay free for everything else, in GB.
RESERVE = 1.0
# Those for whom memory is asked as well.
FEW = ("governess", "governess + uvloop", "asyncio", "uvloop", "trio", "thread pool")


def answer(contestant: str, at_once: int, gigabytes: float, seconds: float) -> Answers:
    """Start children for some time, `at_once` at a time, and ask how late the loop is."""
    tool = library(contestant)

    async def main() -> Answers:
        await keep_starting(tool, WARM_UP, at_once, False)
        _ballast = _occupy(gigabytes)
        return await _start_and_tick(tool, at_once, seconds)

    return tool.run(main)


async def _start_and_tick(tool: Library, at_once: int, seconds: float) -> Answers:
    began = time.perf_counter()
    lags: list[float] = []
    children, working = 0, at_once

    async def one_after_another() -> None:
        nonlocal children, working
        while time.perf_counter() < began + seconds:
            await tool.child(COMMAND, False)
            children += 1
        working -= 1

    async def tick() -> None:
        await tick_while(tool, lambda: working > 0, lags)

    await tool.together([tick, *[one_after_another] * at_once])
    return {**describe_lags(lags), "per_second": children / (time.perf_counter() - began)}


async def tick_while(tool: Library, wanted: Callable[[], bool], lags: list[float]) -> None:
    """Note how late the loop is for what falls due at every tick, those that it has slept through included.

    Without these a loop that stands still long would be asked less often, and so look better.
    """
    while wanted():
        due = time.perf_counter() + TICK
        await tool.sleep(TICK)
        lag = time.perf_counter() - due
        lags.append(max(lag, 0))  # uvloop counts from the last time it looked at the clock, and so can be early
        while (lag := lag - TICK) > 0:
            lags.append(lag)


def describe_lags(lags: list[float]) -> Answers:
    """Return the median, the 99th percentile and the maximum; there are at least two."""
    percentiles = statistics.quantiles(lags, n=100, method="inclusive")
    return {"p50": percentiles[49], "p99": percentiles[98], "max": max(lags)}


def _occupy(gigabytes: float) -> mmap.mmap | None:
    """Return that much memory, every page of it written to."""
    if gigabytes == 0:
        return None
    if free_gigabytes() < gigabytes + RESERVE:
        raise Missing(f"{free_gigabytes():.1f} GB of memory are free, {gigabytes + RESERVE} are needed")
    size = int(gigabytes * 2**30)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1, size)
    return memory


def cases(quick: bool) -> list[Case]:
    """64 at once, with 0, 1 and 4 GB."""
    return [
        Case(
            f"64 at once, {gigabytes} GB in the parent",
            {"at_once": 64, "gigabytes": gigabytes, "seconds": 0.3 if quick else 1.0},
            EVERYONE if gigabytes == 0 else FEW,
        )
        for gigabytes in ((0, 0.25) if quick else (0, 1, 4))
    ]


QUESTION = Question(
    name="lag",
    title="How late the loop is while children start",
    base="asyncio",
    measures=(
        Measure("p99", "lag, 99 % below, ms", scale=1e3),
        Measure("p50", "median, ms", scale=1e3),
        Measure("max", "worst, ms", scale=1e3),
        Measure("per_second", "children/s", more_is_better=True),
    ),
    answer=answer,
    cases=cases,
    rounds=3,
    logarithmic=True,
)
