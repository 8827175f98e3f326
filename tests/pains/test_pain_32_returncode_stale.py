"""Pain 32: `returncode` stale without yielding.

Told in cpython#127661.
"""

import asyncio
from collections.abc import Callable

from pains.held import HELD, holding
from pains.processes import ended_within
from pains.verdict import Hurts


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    with holding() as (stdin, let_exit):
        process = await create_subprocess_exec(*HELD, stdin=stdin)
        let_exit()
        assert ended_within(process.pid, 2)
    seen = judge(process.poll())
    assert process.exit == await process.wait() == 7
    return seen


async def on_asyncio() -> str:
    with holding() as (stdin, let_exit):
        process = await asyncio.create_subprocess_exec(*HELD, stdin=stdin)
        let_exit()
        assert ended_within(process.pid, 2)
    try:
        return judge(process.returncode)
    finally:
        await process.wait()


async def on_trio() -> str:
    import trio

    with holding() as (stdin, let_exit):
        process = await trio.lowlevel.open_process(HELD, stdin=stdin)
        let_exit()
        assert ended_within(process.pid, 2)
    return judge(process.poll())


async def on_anyio() -> str:
    import anyio

    with holding() as (stdin, let_exit):
        process = await anyio.open_process(HELD, stdin=stdin, stdout=None, stderr=None)
        let_exit()
        assert ended_within(process.pid, 2)
    try:
        return judge(process.returncode)
    finally:
        await process.wait()


def judge(status: int | None) -> str:
    if status != 7:
        raise Hurts(f"{status} after the exit, until the loop has run again")
    return "known at once"


def test_pain_32_returncode_stale(relief: Callable[..., str]) -> None:
    """`poll()` returns the exit and reaps the child, without an iteration of the loop."""
    relief(on_governess)
