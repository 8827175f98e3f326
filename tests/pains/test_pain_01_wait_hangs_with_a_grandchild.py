"""Pain 1: `wait()` hangs while a grandchild holds the pipes.

Told in cpython#119710, agronholm/anyio#1174.
"""

import asyncio
import subprocess
from collections.abc import Callable

from pains.held import holding
from pains.processes import end
from pains.verdict import Hurts

#: It ends with its standard input, at the soonest when it is waited for; what it has started goes on, and has its pipe.
PROGRAM = ["sh", "-c", "sleep 30 & echo $!; read line; exit 7"]


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec
    from governess.subprocess._end import output_ended

    with holding() as (stdin, let_exit):
        process = await create_subprocess_exec(*PROGRAM, stdin=stdin, stdout=subprocess.PIPE)
        assert process.stdout is not None
        grandchild = int(await process.stdout.readline())
        asyncio.get_running_loop().call_later(0.1, let_exit)
        try:
            async with asyncio.timeout(2):
                status = await process.wait()
            assert not await output_ended(process, 0.1)
        except TimeoutError:
            raise late() from None
        finally:
            process.stdout.close()
            end([grandchild])
    return judge(status)


async def on_asyncio() -> str:
    with holding() as (stdin, let_exit):
        process = await asyncio.create_subprocess_exec(*PROGRAM, stdin=stdin, stdout=subprocess.PIPE)
        assert process.stdout is not None
        grandchild = int(await process.stdout.readline())
        asyncio.get_running_loop().call_later(0.1, let_exit)
        try:
            return judge(await asyncio.wait_for(process.wait(), 2))
        except TimeoutError:
            raise late() from None
        finally:
            end([grandchild])


async def on_trio() -> str:
    import trio

    with holding() as (stdin, let_exit):
        process = await trio.lowlevel.open_process(PROGRAM, stdin=stdin, stdout=subprocess.PIPE)
        assert process.stdout is not None
        grandchild = int(await process.stdout.receive_some())
        try:
            with trio.fail_after(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(process.wait)
                    await trio.sleep(0.1)
                    let_exit()
                return judge(await process.wait())
        except trio.TooSlowError:
            raise late() from None
        finally:
            end([grandchild])


async def on_anyio() -> str:
    import anyio

    with holding() as (stdin, let_exit):
        process = await anyio.open_process(PROGRAM, stdin=stdin, stderr=None)
        assert process.stdout is not None
        grandchild = int(await process.stdout.receive())
        asyncio.get_running_loop().call_later(0.1, let_exit)
        try:
            with anyio.fail_after(2):
                return judge(await process.wait())
        except TimeoutError:
            raise late() from None
        finally:
            end([grandchild])


def late() -> Hurts:
    return Hurts("wait() has not returned 2 s after the exit")


def judge(status: int) -> str:
    assert status == 7
    return "wait() returns at the exit"


def test_pain_01_wait_hangs_with_a_grandchild(relief: Callable[..., str]) -> None:
    """`wait()` returns at the exit, even if another process holds the pipes; the reading has a limit of its own."""
    relief(on_governess)
