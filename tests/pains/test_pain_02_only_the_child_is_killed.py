"""Pain 2: A timeout or cancel kills the direct child only.

Told in cpython#127874, python-trio/trio#3237, jupyter/jupyter_client#104.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from pains.processes import end, ended_within
from pains.verdict import Hurts

#: It starts a process that TERM does not end, and waits for it.
SCRIPT = """sh -c 'trap "" TERM; echo $$ >"$0"; exec sleep 30' "$0" & wait"""


@contextlib.contextmanager
def program() -> Iterator[tuple[list[str], Path]]:
    """The command, and the file that tells the grandchild's number; in the end nobody of them lives."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pid"
        try:
            yield ["sh", "-c", SCRIPT, str(path)], path
        finally:
            end([int(path.read_text())])


async def until_begun(path: Path, sleep: Callable[[float], Awaitable[None]]) -> None:
    while not has_begun(path):
        await sleep(0.01)


def has_begun(path: Path) -> bool:
    return path.exists() and path.read_text().endswith("\n")


async def on_governess() -> str:
    await governess_with_a_cancel_in_mid_start()
    return (await asyncio.gather(governess_with_a_timeout(), governess_with_a_cancel()))[0]


async def governess_with_a_timeout() -> str:
    from governess.subprocess import ProcessTimeout, run

    with program() as (command, path):
        try:
            await run(*command, timeout=0.5, grace=0.2)
        except ProcessTimeout:
            return judge(path)
    raise AssertionError("no timeout")


async def governess_with_a_cancel() -> str:
    from governess.subprocess import run

    with program() as (command, path):
        task = asyncio.ensure_future(run(*command, grace=0.2))
        await until_begun(path, asyncio.sleep)
        task.cancel()
        await asyncio.wait([task])
        return judge(path)


async def governess_with_a_cancel_in_mid_start() -> str:
    """The loop stands still, so the grandchild is there before the start has ended."""
    from governess.subprocess import run

    with program() as (command, path):
        task = asyncio.ensure_future(run(*command))
        await asyncio.sleep(0)
        while not has_begun(path):
            time.sleep(0.002)
        task.cancel()
        await asyncio.wait([task])
        return judge(path)


async def on_asyncio() -> str:
    with program() as (command, path):
        process = await asyncio.create_subprocess_exec(*command)
        await until_begun(path, asyncio.sleep)
        try:
            await asyncio.wait_for(process.wait(), 0.1)
        except TimeoutError:
            process.kill()
            await process.wait()
        return judge(path)


async def on_trio() -> str:
    import trio

    with program() as (command, path):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.run_process, command)
            await until_begun(path, trio.sleep)
            nursery.cancel_scope.cancel()
        return judge(path)


async def on_anyio() -> str:
    import anyio

    with program() as (command, path):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.run_process, command)
            await until_begun(path, anyio.sleep)
            group.cancel_scope.cancel()
        return judge(path)


def judge(path: Path) -> str:
    if not ended_within(int(path.read_text()), 0.5):
        raise Hurts("what the child has started keeps running")
    return "all processes have ended"


def test_pain_02_only_the_child_is_killed(relief: Callable[..., str]) -> None:
    """A timeout and a cancellation end every process of the group: TERM, a grace period, KILL."""
    relief(on_governess)
