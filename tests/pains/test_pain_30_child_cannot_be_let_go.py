"""Pain 30: A child cannot be detached.

Told in cpython#67728, cpython#140997.
"""

import asyncio
import gc
import os
import signal
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable

from pains.processes import end, ended_within, own_children
from pains.verdict import Hurts

PROGRAM = ["sleep", "30"]


def on_governess(loop_factory: Callable[[], AbstractEventLoop]) -> str:
    from governess.subprocess import create_subprocess_exec

    async def main() -> int:
        process = await create_subprocess_exec(*PROGRAM)
        process.detach()
        return process.pid

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        pid = runner.run(main())
    seen = judge(pid)
    if seen != REAPED:
        raise Hurts(seen)
    return seen


def on_asyncio(loop_factory: Callable[[], AbstractEventLoop]) -> str:
    async def main() -> int:
        process = await asyncio.create_subprocess_exec(*PROGRAM)
        assert not hasattr(process, "detach")
        return process.pid

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        pid = runner.run(main())
    return judge(pid)


def on_trio() -> str:
    import trio

    async def main() -> int:
        process = await trio.lowlevel.open_process(PROGRAM)
        return process.pid

    return judge(trio.run(main))


def on_anyio() -> str:
    import anyio

    async def main() -> int:
        process = await anyio.open_process(PROGRAM, stdin=None, stdout=None, stderr=None)
        assert not hasattr(process, "detach")
        return process.pid

    return judge(anyio.run(main))


REAPED = "it keeps running, and is reaped when it ends"


def judge(pid: int) -> str:
    """Look at the child when its loop is closed and nobody holds its process object."""
    gc.collect()
    try:
        if ended_within(pid, 0.2):
            raise Hurts("it is killed when its process object is deleted")
        os.kill(pid, signal.SIGKILL)
        return REAPED if is_reaped_within(pid, 1) else "it keeps running, and is a zombie after its end"
    finally:
        if pid in own_children():
            end([pid])


def is_reaped_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while pid in own_children():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_pain_30_child_cannot_be_let_go(relief: Callable[..., str]) -> None:
    """After `detach()` the child outlives its loop, and is reaped when it ends."""
    relief(on_governess)
