"""Pain 23: Subprocess outside the main thread.

Told in cpython#79802, ikalchev/HAP-python#169.
"""

import asyncio
import threading
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pains.verdict import Hurts

PATIENCE = 3.0

Child = Callable[[str], Awaitable[int]]
LoopFactory = Callable[[], AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    from governess.subprocess import create_subprocess_exec

    return in_asyncio(create_subprocess_exec, loop_factory)


def on_asyncio(loop_factory: LoopFactory) -> str:
    return in_asyncio(asyncio.create_subprocess_exec, loop_factory)


def in_asyncio(create: Callable[..., Awaitable[Any]], loop_factory: LoopFactory) -> str:
    async def main(line: str) -> int:
        async with asyncio.timeout(PATIENCE):
            return await (await create("sh", "-c", line)).wait()

    def run(line: str) -> int:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main(line))

    return see(run)


def on_trio() -> str:
    import trio

    async def main(line: str) -> int:
        with trio.fail_after(PATIENCE):
            return (await trio.run_process(["sh", "-c", line], check=False)).returncode

    return see(partial(trio.run, main))


def on_anyio() -> str:
    import anyio

    async def main(line: str) -> int:
        with anyio.fail_after(PATIENCE):
            return (await anyio.run_process(["sh", "-c", line], check=False)).returncode

    return see(partial(anyio.run, main))


def see(run: Callable[[str], int]) -> str:
    """Have a loop in another thread wait for a child, while the main thread has no loop and only waits."""
    assert threading.current_thread() is threading.main_thread()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, "sleep 0.1; exit 7")
    if (error := waiting.exception()) is not None:
        raise Hurts(f"{type(error).__name__} {error}".strip())
    if waiting.result() != 7:
        raise Hurts(f"{waiting.result()} instead of 7")
    return "its exit is known, with no loop in the main thread"


def test_pain_23_outside_the_main_thread(relief: Callable[..., str]) -> None:
    """A loop in any thread can start children and wait for them; the main thread needs no loop."""
    relief(on_governess)
