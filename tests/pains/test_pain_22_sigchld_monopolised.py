"""Pain 22: The loop takes SIGCHLD over.

Told in MagicStack/uvloop#409, MagicStack/uvloop#582, gevent/gevent#857.
"""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

from pains.verdict import Hurts

PATIENCE = 2.0

Sleep = Callable[[float], Awaitable[Any]]


async def on_governess() -> str:
    from governess.subprocess import run

    with own_handler() as calls:
        await run("true")
        return await judge(calls, asyncio.sleep)


async def on_asyncio() -> str:
    with own_handler() as calls:
        await (await asyncio.create_subprocess_exec("true")).wait()
        return await judge(calls, asyncio.sleep)


async def on_trio() -> str:
    import trio

    with own_handler() as calls:
        await trio.run_process(["true"])
        return await judge(calls, trio.sleep)


async def on_anyio() -> str:
    import anyio

    with own_handler() as calls:
        await anyio.run_process(["true"])
        return await judge(calls, anyio.sleep)


@contextlib.contextmanager
def own_handler() -> Iterator[list[int]]:
    """Have a handler of SIGCHLD of the program's own, as one has who reaps other children by it."""
    calls: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        calls.append(number)

    before = signal.signal(signal.SIGCHLD, handler)
    try:
        yield calls
    finally:
        signal.signal(signal.SIGCHLD, before)


async def judge(calls: list[int], sleep: Sleep) -> str:
    """Let a child of the program's own exit too, and see whether the program is told; the loop goes on meanwhile."""
    is_told_of_the_librarys = await are_made(calls, sleep)
    calls.clear()
    with subprocess.Popen(["true"]):
        pass
    if not await are_made(calls, sleep):
        raise Hurts("the program's handler is not called any more, for its own children neither")
    if not is_told_of_the_librarys:
        raise Hurts("the program's handler is not called for the library's child")
    return "the program's handler is called for every child"


async def are_made(calls: list[int], sleep: Sleep) -> bool:
    patience_ends = time.monotonic() + PATIENCE
    while not calls and time.monotonic() < patience_ends:
        await sleep(0.005)
    return bool(calls)


def test_pain_22_sigchld_monopolised(relief: Callable[..., str]) -> None:
    """governess does not handle SIGCHLD: the program's own handler is still called, also on uvloop."""
    relief(on_governess)
