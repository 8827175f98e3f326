"""What does it cost to run a program to its end and have its output, by the function that each library has for that?"""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.contestants import library
from benchmarks.libraries import Library
from benchmarks.model import Answers, Case, Measure, Question

COMMAND = ["/bin/echo", "hello"]
WARM_UP = 20
CONTESTANTS = ("governess", "governess + uvloop", "asyncio", "uvloop", "trio", "anyio", "thread pool")
POOL = "governess's pool"


def answer(contestant: str, count: int, at_once: int) -> Answers:
    """Run `count` programs, `at_once` at a time, and check what they have written."""
    tool = library("governess" if contestant == POOL else contestant)

    async def main() -> Answers:
        run_all = _in_a_pool if contestant == POOL else by_functions(tool, runner(contestant, tool))
        await run_all(WARM_UP, at_once)
        wall, cpu = time.perf_counter(), time.process_time()
        await run_all(count, at_once)
        return {"seconds": (time.perf_counter() - wall) / count, "cpu": (time.process_time() - cpu) / count}

    return tool.run(main)


def runner(contestant: str, tool: Any) -> Callable[[], Awaitable[bytes]]:
    """Return what runs one program, and returns what it has written."""
    kind = contestant.partition(" + ")[0]

    async def by_governess() -> bytes:
        done = await importlib.import_module("governess.subprocess").run(*COMMAND)
        return done.stdout  # type: ignore[no-any-return]

    async def by_asyncio() -> bytes:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        return (await process.communicate())[0]

    async def by_trio() -> bytes:
        trio = importlib.import_module("trio")
        return (await trio.run_process(COMMAND, capture_stdout=True, capture_stderr=True)).stdout  # type: ignore[no-any-return]

    async def by_anyio() -> bytes:
        return (await importlib.import_module("anyio").run_process(COMMAND)).stdout  # type: ignore[no-any-return]

    async def in_thread() -> bytes:
        return await tool._in_thread(lambda: subprocess.run(COMMAND, capture_output=True).stdout)  # type: ignore[no-any-return]

    runners = {"governess": by_governess, "trio": by_trio, "anyio": by_anyio, "thread pool": in_thread}
    return runners.get(kind, by_asyncio)


def by_functions(tool: Library, run_one: Callable[[], Awaitable[bytes]]) -> Callable[[int, int], Awaitable[None]]:
    async def run_all(count: int, at_once: int) -> None:
        left = iter(range(count))

        async def one_after_another() -> None:
            for _ in left:
                assert await run_one() == b"hello\n"

        await tool.together([one_after_another] * at_once)

    return run_all


async def _in_a_pool(count: int, at_once: int) -> None:
    pool_class = importlib.import_module("governess.subprocess").ProcessPool
    async with pool_class(at_once) as pool:
        async for _, done in pool.map((COMMAND for _ in range(count)), ordered=False):
            assert done.stdout == b"hello\n"


def cases(quick: bool) -> list[Case]:
    """One at a time, and 16 at once."""
    return [
        Case(
            f"{at_once} at once",
            {"count": 100 if quick else 400, "at_once": at_once},
            (*CONTESTANTS, *([POOL] if at_once > 1 else [])),
        )
        for at_once in (1, 16)
    ]


QUESTION = Question(
    name="runs",
    title="Programs run to their end",
    base="asyncio",
    measures=(
        Measure("seconds", "time a call, µs", scale=1e6),
        Measure("cpu", "parent's CPU, µs a call", scale=1e6),
    ),
    answer=answer,
    cases=cases,
)
