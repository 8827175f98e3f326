"""What does a living child cost, what does one exit cost among many, and what if all die at once?"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import statistics
import time
from typing import Any

from benchmarks.contestants import WATCHERS, library
from benchmarks.libraries import Library
from benchmarks.model import Answers, Case, Measure, Question
from benchmarks.programs import program
from benchmarks.questions.rate import WARM_UP, keep_starting

AT_ONCE = 64
# Time for everyone who waits to fall asleep, in seconds.
SETTLE = 0.2

# Each exit makes these ask for every child, or each child takes a thread.
DEAR = {"threaded", "multiloop", "safe"}


def answer(contestant: str, living: int, singles: int) -> Answers:
    """Start `living` children, end some of them one by one, and then all others at once."""
    tool = library(contestant)

    async def main() -> Answers:
        await keep_starting(tool, WARM_UP, AT_ONCE, False)
        gate, keeper = os.pipe()
        before = _resident()
        processes = await _start(tool, living, gate)
        memory = _resident() - before
        one_by_one = await _end_singly(tool, processes[:singles])
        all_at_once = await _end_all(tool, processes[singles:], keeper)
        os.close(gate)
        return {"memory": memory / living, **one_by_one, **all_at_once}

    return tool.run(main)


async def _start(tool: Library, count: int, stdin: int) -> list[Any]:
    processes: list[Any] = []
    command = [program("idle")]
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            processes.append(await tool.start(command, stdin))

    await tool.together([one_after_another] * AT_ONCE)
    return processes


async def _end_singly(tool: Library, processes: list[Any]) -> Answers:
    latencies: list[float] = []
    cpu = 0.0
    for process in processes:
        await tool.sleep(0.001)
        wall, before = time.perf_counter(), time.process_time()
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        latencies.append(time.perf_counter() - wall)
        cpu += time.process_time() - before
    return {"latency": statistics.median(latencies), "cpu_of_one": cpu / len(processes)}


async def _end_all(tool: Library, processes: list[Any], keeper: int) -> Answers:
    async def open_the_gate() -> tuple[float, float]:
        nonlocal wall, cpu
        await tool.sleep(SETTLE)
        wall, cpu = time.perf_counter(), time.process_time()
        os.close(keeper)

    wall = cpu = 0.0
    await tool.together([*(process.wait for process in processes), open_the_gate])
    return {
        "cpu_of_all": (time.process_time() - cpu) / len(processes),
        "time_of_all": (time.perf_counter() - wall) / len(processes),
    }


def _resident() -> int:
    gc.collect()
    with contextlib.closing(open("/proc/self/statm")) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cases(quick: bool) -> list[Case]:
    """100, 1,000 and 10,000, as far as a watcher gets in reasonable time."""
    return [
        Case(f"{living:,} living", {"living": living, "singles": 20 if quick else 50}, _contestants(living))
        for living in ((100,) if quick else (100, 1000, 10_000))
    ]


def _contestants(living: int) -> tuple[str, ...]:
    """Leave out the dear ones at 10,000; asyncio's multiloop, which its own signals interrupt, hangs at 1,000."""
    watchers = [watcher for watcher in WATCHERS if living <= 1000 or watcher not in DEAR]
    asyncios = [watcher for watcher in watchers if living <= 100 or watcher != "multiloop"]
    return (
        *(f"governess + {watcher}" for watcher in watchers),
        "governess + uvloop",
        *(f"asyncio + {watcher}" for watcher in asyncios),
        "uvloop",
        "trio",
    )


QUESTION = Question(
    name="crowd",
    title="Many living children",
    base="asyncio + pidfd",
    measures=(
        Measure("cpu_of_one", "one exits: CPU, µs", scale=1e6),
        Measure("latency", "seen after, µs", scale=1e6),
        Measure("cpu_of_all", "all exit: CPU, µs a child", scale=1e6),
        Measure("time_of_all", "time, µs a child", scale=1e6),
        Measure("memory", "memory, bytes a child"),
    ),
    answer=answer,
    cases=cases,
    rounds=3,
    logarithmic=True,
)
