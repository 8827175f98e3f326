"""Pain 21: uvloop: socket stdio, fork hooks, racing loops.

Told in MagicStack/uvloop#505, MagicStack/uvloop#749, MagicStack/uvloop#508.
"""

import asyncio
import functools
import os
import subprocess
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pains.verdict import Hurts

#: What a child with sockets in place of pipes cannot do.
OPEN_BY_NAME = "cat /dev/stdin > /dev/stdout"

LOOPS, CHILDREN = 4, 8

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def on_governess(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> str:
    from governess.subprocess import create_subprocess_exec

    return in_asyncio(create_subprocess_exec, loop_factory)


def on_asyncio(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> str:
    return in_asyncio(asyncio.create_subprocess_exec, loop_factory)


def in_asyncio(create: Callable[..., Awaitable[Any]], loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> str:
    async def copy() -> bytes:
        process = await create("sh", "-c", OPEN_BY_NAME, **PIPES)
        output, _ = await process.communicate(b"word")
        return bytes(output)

    async def crowd() -> None:
        processes = await asyncio.gather(*(create("true") for _ in range(CHILDREN)))
        await asyncio.gather(*(process.wait() for process in processes))

    def run(main: Callable[[], Any]) -> Any:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main())

    return see(run, copy, crowd)


def on_trio() -> str:
    import trio

    async def copy() -> bytes:
        done = await trio.run_process(["sh", "-c", OPEN_BY_NAME], stdin=b"word", capture_stdout=True, check=False)
        return done.stdout

    async def crowd() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(CHILDREN):
                nursery.start_soon(trio.run_process, ["true"])

    return see(trio.run, copy, crowd)


def on_anyio() -> str:
    import anyio

    async def copy() -> bytes:
        done = await anyio.run_process(["sh", "-c", OPEN_BY_NAME], input=b"word", check=False)
        return done.stdout

    async def crowd() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(CHILDREN):
                group.start_soon(anyio.run_process, ["true"])

    return see(anyio.run, copy, crowd)


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}


def see(run: Run, copy: Callable[[], Awaitable[bytes]], crowd: Callable[[], Awaitable[None]]) -> str:
    pains = []
    forks = forks_seen()
    before = len(forks)
    if run(copy) != b"word":
        pains.append("a child cannot open its /dev/stdin")
    if len(forks) > before:
        pains.append("each start runs the fork hooks")
    with ThreadPoolExecutor(LOOPS) as pool:
        racing = [pool.submit(run, crowd) for _ in range(LOOPS)]
    if errors := [str(error) for loop in racing if (error := loop.exception()) is not None]:
        pains.append(f"loops in {LOOPS} threads fail ({errors[0].rstrip('.')})")
    if pains:
        raise Hurts("; ".join(pains))
    return f"real pipes, no fork hook, {LOOPS} loops at once"


@functools.cache
def forks_seen() -> list[None]:
    """Return a list that grows by one with each fork of Python's; there is no way to take such a hook back."""
    seen: list[None] = []
    os.register_at_fork(before=lambda: seen.append(None))
    return seen


def test_pain_21_not_as_popen_does(relief: Callable[..., str]) -> None:
    """A child has real pipes, no fork hook runs for it, and loops in many threads may start children at once."""
    relief(on_governess)
