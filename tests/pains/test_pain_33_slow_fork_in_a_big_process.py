"""Pain 33: Slow fork in a big process.

Told in home-assistant/core#87958, libuv/libuv#2133.
"""

import asyncio
import math
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
FEW, MANY = 4, 30

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
        big = {name: await duration(run, OPTIONS[name], enough=limit(before)) for name, before in small.items()}
    slow = [
        f"a child{name} takes {big[name] * 1000:.0f} ms, {before * 1000:.0f} without the memory"
        for name, before in small.items()
        if big[name] > limit(before)
    ]
    if slow:
        raise Hurts(", ".join(slow))
    return "a child takes as long with 1 GB as without, with user= too"


def limit(before: float) -> float:
    """Return how long a child may take in a big process; a fork of a gigabyte takes some ten milliseconds more."""
    return 4 * before + 0.002


async def duration(run: Run, options: dict[str, Any], enough: float = math.inf) -> float:
    """Return the shortest time that a child took, since a busy machine makes times longer; 0 if it is refused.

    A few children are started if one was quick enough, and else so many that one must have been undisturbed.
    """
    times: list[float] = []
    while len(times) < FEW or (min(times) > enough and len(times) < MANY):
        started = time.perf_counter()
        try:
            await run("true", **options)
        except (TypeError, ValueError):  # uvloop knows no such option
            return 0.0
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
    """A start takes as long in a large process as in a small one, on every loop, with every option: nothing forks."""
    relief(on_governess)
