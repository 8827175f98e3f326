"""Pain 33: Slow fork in a big process.

Told in home-assistant/core#87958, libuv/libuv#2133.
"""

import asyncio
import mmap
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pains.native import needs_native
from pains.verdict import Hurts

GIGABYTE = 2**30
CHILDREN = 4

#: How a child is started: as it comes, and as a certain user, for which many fork who do not otherwise.
OPTIONS: dict[str, dict[str, Any]] = {"": {}, " with user=": {"user": os.getuid()}}

Run = Callable[..., Awaitable[Any]]


async def on_governess() -> str:
    from governess.subprocess import run

    return await compare(run)


async def on_asyncio() -> str:
    async def run(program: str, **options: Any) -> None:
        await (await asyncio.create_subprocess_exec(program, **options)).wait()

    return await compare(run)


async def on_trio() -> str:
    import trio

    return await compare(lambda program, **options: trio.run_process([program], **options))


async def on_anyio() -> str:
    import anyio

    return await compare(lambda program, **options: anyio.run_process([program], **options))


async def compare(run: Run) -> str:
    """Judge by the time that a child takes, in a small process and then in one with a gigabyte."""
    small = {name: await duration(run, options) for name, options in OPTIONS.items()}
    with one_gigabyte():
        big = {name: await duration(run, options) for name, options in OPTIONS.items()}
    slow = [
        f"a child{name} takes {after * 1000:.0f} ms, {before * 1000:.0f} without the memory"
        for (name, before), after in zip(small.items(), big.values(), strict=True)
        if before is not None and after is not None and after > 4 * before + 0.002
    ]
    if slow:
        raise Hurts(", ".join(slow))
    return "a child takes as long with 1 GB as without, with user= too"


async def duration(run: Run, options: dict[str, Any]) -> float | None:
    """Return the shortest time that a child took, which says most; None if such a one cannot be started."""
    times = []
    for _ in range(CHILDREN):
        started = time.perf_counter()
        try:
            await run("true", **options)
        except (TypeError, ValueError):  # uvloop knows no such option
            return None
        times.append(time.perf_counter() - started)
    return min(times)


@contextmanager
def one_gigabyte() -> Iterator[None]:
    """Occupy that much memory, in pages of the usual size."""
    with mmap.mmap(-1, GIGABYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        with memoryview(memory) as bytes_of_it:
            bytes_of_it[:: mmap.PAGESIZE] = bytes(GIGABYTE // mmap.PAGESIZE)
        yield


@needs_native
@pytest.mark.skipif(
    os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE < 2 * GIGABYTE, reason="needs a free gigabyte, and some more"
)
def test_pain_33_slow_fork_in_a_big_process(relief: Callable[..., str]) -> None:
    """A start takes as long in a big process as in a small one, on every loop and with every option: nothing forks."""
    relief(on_governess)
