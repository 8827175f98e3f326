"""Pain 8: An unread full pipe deadlocks wait or close.

Told in agronholm/anyio#1166, cpython#130929.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable

from pains.verdict import Hurts, lacks

#: Writes until its pipe is full, and waits then.
TALKER = ["yes"]

#: Seconds in which the pipe and the buffers of the library are full: nothing tells when that is so.
FILLS_UP = 0.1


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    process = await create_subprocess_exec(*TALKER, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await asyncio.sleep(FILLS_UP)
    process.stdout.close()
    async with asyncio.timeout(2):
        await process.wait()
    await leave_with_a_foreign_writer()
    return "closing the reader ends it"


async def leave_with_a_foreign_writer() -> None:
    """Leave a block while somebody who has left the tree goes on writing."""
    from governess.subprocess import start

    async with start("sh", "-c", "setsid yes & sleep 30", stdout=subprocess.PIPE, grace=0.2, drain=0.1):
        await asyncio.sleep(FILLS_UP)
        left = time.monotonic()
    assert time.monotonic() - left < 2


async def on_asyncio() -> str:
    process = await asyncio.create_subprocess_exec(*TALKER, stdout=subprocess.PIPE)
    await asyncio.sleep(FILLS_UP)
    if hasattr(process.stdout, "close"):
        raise AssertionError("a reader can be closed: use that")
    process.kill()
    try:
        await asyncio.wait_for(process.wait(), 2)
    except TimeoutError:
        raise Hurts("wait() has not returned 2 s after a kill()") from None
    raise lacks("way to close a reader: the child waits until it is killed")


async def on_trio() -> str:
    import trio

    process = await trio.lowlevel.open_process(TALKER, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await trio.sleep(FILLS_UP)
    await process.stdout.aclose()
    try:
        with trio.fail_after(2):
            await process.wait()
    except trio.TooSlowError:
        process.kill()
        raise late() from None
    return "closing the reader ends it"


async def on_anyio() -> str:
    import anyio

    process = await anyio.open_process(TALKER)
    await anyio.sleep(FILLS_UP)
    try:
        with anyio.fail_after(2):
            await process.aclose()
    except TimeoutError:
        raise late() from None
    return "closing the process ends it"


def late() -> Hurts:
    return Hurts("the child is still there 2 s after the close")


def test_pain_08_full_pipe_deadlocks(relief: Callable[..., str]) -> None:
    """A reader can be closed; then a child that writes more ends. The end of a block takes a limited time."""
    relief(on_governess)
