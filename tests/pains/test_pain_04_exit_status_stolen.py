"""Pain 4: Exit status stolen: 255, 0, or an endless wait.

Told in cpython#87744, aio-libs/aiohttp#7038, benoitc/gunicorn#3333.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

from pains.held import HELD, holding
from pains.verdict import Hurts


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    with holding() as (stdin, let_exit):
        process = await create_subprocess_exec(*HELD, stdin=stdin)
        steal(process.pid, let_exit)
    async with asyncio.timeout(2):
        exit = await process.wait()
    return "255, and says that it is lost" if exit.lost else judge(exit)


async def on_asyncio() -> str:
    with holding() as (stdin, let_exit):
        process = await asyncio.create_subprocess_exec(*HELD, stdin=stdin)
        steal(process.pid, let_exit)
    try:
        return judge(await asyncio.wait_for(process.wait(), 2))
    except TimeoutError:
        raise late() from None


async def on_trio() -> str:
    import trio

    with holding() as (stdin, let_exit):
        process = await trio.lowlevel.open_process(HELD, stdin=stdin)
        steal(process.pid, let_exit)
    try:
        with trio.fail_after(2):
            return judge(await process.wait())
    except trio.TooSlowError:
        raise late() from None


async def on_anyio() -> str:
    import anyio

    with holding() as (stdin, let_exit):
        process = await anyio.open_process(HELD, stdin=stdin, stdout=None, stderr=None)
        steal(process.pid, let_exit)
    try:
        with anyio.fail_after(2):
            return judge(await process.wait())
    except TimeoutError:
        raise late() from None


def steal(pid: int, let_exit: Callable[[], None]) -> None:
    """Reap the child before the loop can, which stands still meanwhile."""
    let_exit()
    with contextlib.suppress(ChildProcessError):  # the library has a thread that was faster
        os.waitpid(pid, 0)


def late() -> Hurts:
    return Hurts("wait() has not returned 2 s after the exit")


def judge(status: int | None) -> str:
    if status != 7:
        raise Hurts(f"says {status} for an exit with 7")
    return "the true status"


def test_pain_04_exit_status_stolen(relief: Callable[..., str]) -> None:
    """governess asks the kernel for the true status; if it cannot tell, `exit.lost` is true. No wait lasts for ever."""
    relief(on_governess)
