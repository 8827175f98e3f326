"""Pain 28: No rusage per child.

Told in RagnarGrootKoerkamp/BAPCtools#41, amoffat/sh#484.
"""

import asyncio
import resource
import subprocess
from collections.abc import Callable

from pains.verdict import Hurts

BUSY = ["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done"]

#: It lives as long as the busy one, and does nothing.
IDLE = ["cat"]


async def on_governess() -> str:
    from governess.subprocess import PIPE, start

    async with start(*BUSY) as busy, start(*IDLE, stdin=PIPE) as idle:
        busy_end = await busy.wait()
        idle._streams.feed()
        idle_end = await idle.wait()
    return judge(cpu(busy_end.rusage), cpu(idle_end.rusage))


async def on_asyncio() -> str:
    before = cpu_of_all_children()
    idle = await asyncio.create_subprocess_exec(*IDLE, stdin=subprocess.PIPE)
    busy = await asyncio.create_subprocess_exec(*BUSY)
    await busy.wait()
    of_busy = cpu_of_all_children() - before
    assert idle.stdin is not None
    idle.stdin.close()
    await idle.wait()
    return judge(of_busy, cpu_of_all_children() - before)


async def on_trio() -> str:
    import trio

    before = cpu_of_all_children()
    idle = await trio.lowlevel.open_process(IDLE, stdin=subprocess.PIPE)
    await trio.run_process(BUSY)
    of_busy = cpu_of_all_children() - before
    assert idle.stdin is not None
    await idle.stdin.aclose()
    await idle.wait()
    return judge(of_busy, cpu_of_all_children() - before)


async def on_anyio() -> str:
    import anyio

    before = cpu_of_all_children()
    async with await anyio.open_process(IDLE) as idle:
        await anyio.run_process(BUSY)
        of_busy = cpu_of_all_children() - before
        assert idle.stdin is not None
        await idle.stdin.aclose()
        await idle.wait()
    return judge(of_busy, cpu_of_all_children() - before)


def cpu_of_all_children() -> float:
    """What there is where a library reaps the child itself, and throws its rusage away."""
    return cpu(resource.getrusage(resource.RUSAGE_CHILDREN))


def cpu(usage: resource.struct_rusage | None) -> float:
    assert usage is not None
    return usage.ru_utime + usage.ru_stime


def judge(of_busy: float, of_idle: float) -> str:
    if of_idle > of_busy / 2:
        raise Hurts("no more than the sum of all children is known")
    return "each exit has its own"


def test_pain_28_no_rusage_per_child(relief: Callable[..., str]) -> None:
    """Each exit has the resources that its own child has used, even if others run at the same time."""
    relief(on_governess)
