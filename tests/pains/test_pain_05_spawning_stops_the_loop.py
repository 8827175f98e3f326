"""Pain 5: Spawning stops the loop for seconds.

Told in cpython#146181, MagicStack/uvloop#118.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pains.native import needs_native
from pains.slow_exec import slow_program
from pains.verdict import Hurts

EXEC = 0.8  # seconds
TICK = 0.001


async def on_governess() -> str:
    from governess.subprocess import run

    return await in_asyncio(lambda program: run(program))


async def on_asyncio() -> str:
    async def run(program: str) -> None:
        await (await asyncio.create_subprocess_exec(program)).wait()

    return await in_asyncio(run)


async def in_asyncio(run: Callable[[str], Awaitable[Any]]) -> str:
    with slow_program(EXEC) as program:
        running = asyncio.ensure_future(run(program))
        worst = await worst_lag(asyncio.sleep, running.done)
        await running
    return judge(worst)


async def on_trio() -> str:
    import trio

    ended = trio.Event()

    async def run(program: str) -> None:
        await trio.run_process([program])
        ended.set()

    with slow_program(EXEC) as program:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, program)
            worst = await worst_lag(trio.sleep, ended.is_set)
    return judge(worst)


async def on_anyio() -> str:
    import anyio

    ended = anyio.Event()

    async def run(program: str) -> None:
        await anyio.run_process([program])
        ended.set()

    with slow_program(EXEC) as program:
        async with anyio.create_task_group() as group:
            group.start_soon(run, program)
            worst = await worst_lag(anyio.sleep, ended.is_set)
    return judge(worst)


async def worst_lag(sleep: Callable[[float], Awaitable[Any]], is_over: Callable[[], bool]) -> float:
    """Return by how much the loop was late, at the worst, for what fell due at every tick."""
    worst = 0.0
    while not is_over():
        due = time.perf_counter() + TICK
        await sleep(TICK)
        worst = max(worst, time.perf_counter() - due)
    return worst


def judge(worst: float) -> str:
    if worst > 0.75 * EXEC:  # a busy machine is late as well
        raise Hurts(f"the loop is blocked for {worst:.1f} s while an exec takes {EXEC} s")
    return f"the loop keeps running while an exec takes {EXEC} s"


@needs_native
def test_pain_05_spawning_stops_the_loop(relief: Callable[..., str]) -> None:
    """The loop keeps running while a child starts, however long its exec takes: no thread holds the GIL for it."""
    relief(on_governess)
