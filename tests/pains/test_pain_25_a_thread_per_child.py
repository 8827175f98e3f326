"""Pain 25: A thread per child, dangling threads.

Told in home-assistant/core#87951, cpython#110205.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pains.verdict import Hurts

CHILDREN = 40
PATIENCE = 1.0

#: Threads that start children, of which there may be more on a busy machine, however many children there are.
FEW = 20


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    return await in_asyncio(create_subprocess_exec)


async def on_asyncio() -> str:
    return await in_asyncio(asyncio.create_subprocess_exec)


async def in_asyncio(create: Callable[..., Awaitable[Any]]) -> str:
    async def start() -> Any:
        return await create("cat", stdin=subprocess.PIPE)

    async def end(process: Any) -> None:
        process.stdin.close()
        await process.wait()

    return await see(start, end, asyncio.sleep)


async def on_trio() -> str:
    import trio

    async with trio.open_nursery() as nursery:

        async def start() -> Any:
            process = await trio.lowlevel.open_process(["cat"], stdin=subprocess.PIPE)
            nursery.start_soon(process.wait)
            return process

        async def end(process: Any) -> None:
            await process.stdin.aclose()
            await process.wait()

        return await see(start, end, trio.sleep)


async def on_anyio() -> str:
    import anyio

    async def start() -> Any:
        return await anyio.open_process(["cat"], stdin=subprocess.PIPE, stdout=None, stderr=None)

    async def end(process: Any) -> None:
        await process.stdin.aclose()
        await process.wait()

    return await see(start, end, anyio.sleep)


async def see(
    start: Callable[[], Awaitable[Any]],
    end: Callable[[Any], Awaitable[None]],
    sleep: Callable[[float], Awaitable[Any]],
) -> str:
    """Count the threads while children live, and when all have ended."""

    async def crowd() -> int:
        processes = [await start() for _ in range(CHILDREN)]
        await sleep(0.01)  # a waiter begins when the loop has its turn
        found = threads()
        for process in processes:
            await end(process)
        return found

    await crowd()  # whoever has threads that start children has them from here on
    before = threads()
    meanwhile = max(await crowd() - before, 0)
    if meanwhile > FEW:
        raise Hurts(f"{CHILDREN} living children take {meanwhile} threads")
    if (left := await threads_left(before, sleep)) > FEW:
        raise Hurts(f"{left} threads are left of {CHILDREN} children")
    return f"{CHILDREN} living children take {meanwhile or 'no'} thread{'s' if meanwhile != 1 else ''}"


def threads() -> int:
    """Return how many threads this process has, those outside of Python included."""
    return len(os.listdir("/proc/self/task"))


async def threads_left(before: int, sleep: Callable[[float], Awaitable[Any]]) -> int:
    patience_ends = time.monotonic() + PATIENCE
    while threads() - before > FEW and time.monotonic() < patience_ends:
        await sleep(0.005)
    return threads() - before


def test_pain_25_a_thread_per_child(relief: Callable[..., str]) -> None:
    """Running children have no thread each: a few threads start all of them."""
    relief(on_governess)
