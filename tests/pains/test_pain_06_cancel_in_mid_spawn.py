"""Pain 6: Cancel in mid-spawn hangs or leaks the child.

Told in cpython#103847, cpython#125502, cpython#133536.
"""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pains.processes import end, own_children
from pains.verdict import Hurts

#: One that lives, and one that is gone before its pipes are connected.
PROGRAMS = (["sleep", "30"], ["true"])
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

#: After how many turns of the loop, or else how many seconds, the start is cancelled.
TURNS = range(12)
DELAYS = [number * 0.0002 for number in range(12)]


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    return await cancel_each(lambda command: create_subprocess_exec(*command, **PIPES))


async def on_asyncio() -> str:
    return await cancel_each(lambda command: asyncio.create_subprocess_exec(*command, **PIPES))


async def on_trio() -> str:
    import trio

    before = there_is()

    async def start(command: list[str]) -> None:
        process = await trio.lowlevel.open_process(command, **PIPES)
        with trio.CancelScope(shield=True):  # it was not cut off: it is the caller's
            process.kill()
            await process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                assert pipe is not None
                await pipe.aclose()

    async def cancel(command: list[str], pause: Callable[[], Awaitable[None]]) -> None:
        with trio.move_on_after(2) as patience:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(start, command)
                await pause()
                nursery.cancel_scope.cancel()
        if patience.cancelled_caught:
            raise late()

    async def turn(turns: int) -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()

    for command in PROGRAMS:
        for turns in TURNS:
            await cancel(command, partial(turn, turns))
        for seconds in DELAYS:
            await cancel(command, partial(trio.sleep, seconds))
    return judge(before)


async def on_anyio() -> str:
    import anyio

    return await cancel_each(lambda command: anyio.open_process(command))


async def cancel_each(start: Callable[[list[str]], Awaitable[Any]]) -> str:
    before = there_is()
    for command in PROGRAMS:
        for turns in TURNS:
            await cancel(start(command), turn(turns))
        for seconds in DELAYS:
            await cancel(start(command), asyncio.sleep(seconds))
    for _ in range(100):
        if there_is() <= before:
            break
        await asyncio.sleep(0.005)
    return judge(before)


async def cancel(starting: Awaitable[Any], pause: Awaitable[None]) -> None:
    task = asyncio.ensure_future(starting)
    await pause
    for each in asyncio.all_tasks() - {asyncio.current_task()}:  # as asyncio.run does at its end
        each.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    if not done:
        raise late()
    if not task.cancelled():  # it was not cut off: it is the caller's
        process = task.result()
        if process.returncode is None:
            process.kill()
        await (process.aclose() if hasattr(process, "aclose") else process.communicate())


async def turn(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def there_is() -> set[str]:
    """Descriptors with what they lead to, and children."""
    found = {f"child {pid}" for pid in own_children()}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # that of the listing itself
            continue
        if target.startswith("pipe:"):
            found.add(target)
    return found


def late() -> Hurts:
    end(own_children())
    return Hurts("the cancelled start has not ended in 2 s")


def judge(before: set[str]) -> str:
    left = there_is() - before
    children = own_children()
    end(children)
    if left:
        pipes = len([thing for thing in left if thing.startswith("pipe:")])
        starts = len(PROGRAMS) * (len(TURNS) + len(DELAYS))
        raise Hurts(f"{len(children)} children and {pipes} pipes are left of {starts} starts")
    return "nothing is left"


def test_pain_06_cancel_in_mid_spawn(relief: Callable[..., str]) -> None:
    """A cancelled start ends at once: governess kills and reaps the child, and closes its pipes."""
    relief(on_governess)
