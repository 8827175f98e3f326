"""What is cancelled, cut off, or watched from outside."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from campaign.case import Case, Wrong
from governess.subprocess import cmd, create_subprocess_exec, run, start, watch

__all__ = ["SCENARIOS"]


async def cancel_a_start(case: Case) -> None:
    """At a random instant of a start."""

    async def begin() -> Any:
        return await create_subprocess_exec(*case.child("exit", 0), stdin=PIPE, stdout=PIPE)

    process = await _cut_off(case, begin(), 0.002)
    if process is not None:
        await process.communicate()
        case.check(process.returncode, 0)


async def cancel_a_run(case: Case) -> None:
    """At a random instant of a run."""
    code = case.code()
    done = await _cut_off(case, run(*case.child("sleep", case.rng.randint(0, 5), code), grace=1), 0.008)
    if done is not None:
        case.check(done.exit, code)


async def cancel_a_block(case: Case) -> None:
    """At a random instant of a block, and perhaps a second time while it ends."""

    async def stay() -> None:
        async with start(*case.child("stubborn", 60_000, 0), stdout=PIPE, grace=0.02):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(stay())
    for _ in range(case.rng.randint(1, 3)):
        await asyncio.sleep(case.rng.random() * 0.01)
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def cancel_a_pipeline(case: Case) -> None:
    """At a random instant of a pipeline."""
    line = cmd(*case.child("fill", 70_000, 0)) | case.child("copy", 0)
    done = await _cut_off(case, line.run(grace=1), 0.01)
    if done is not None:
        case.check(done.exit, 0)


async def cut_off_communicate(case: Case) -> None:
    """A timeout around communicate(), which is called again."""
    code = case.code()
    process = await create_subprocess_exec(*case.child("copy", code), stdin=PIPE, stdout=PIPE)
    try:
        async with asyncio.timeout(case.rng.random() * 0.002):
            output, _ = await process.communicate(b"x" * 100_000)
    except TimeoutError:
        output, _ = await process.communicate()
    case.check(process.returncode, code)
    case.check_equal("size of the output", len(output), 100_000)


async def drop(case: Case) -> None:
    """A child whose process object nobody keeps."""
    await create_subprocess_exec(*case.child("sleep", case.rng.randint(0, 5), case.code()), stdout=PIPE)


async def watch_a_stranger(case: Case) -> None:
    """A child that other code has started, and reaps."""
    code = case.code()
    pid = os.posix_spawn(case.program, case.child("sleep", case.rng.randint(0, 5), code), {})
    try:
        case.check(await watch(pid), code, *([255] if case.may_lose else []))
    except ProcessLookupError:
        if not case.may_lose:
            raise
    finally:
        with suppress(ChildProcessError):
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status != code:
                raise Wrong(f"its own parent sees {status}")


async def _cut_off(case: Case, coroutine: Coroutine[Any, Any, Any], longest: float) -> Any:
    """Cancel it at a random instant; return its result if it was faster."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(case.rng.randint(0, 5)):
        await asyncio.sleep(0)
    await asyncio.sleep(case.rng.random() * longest)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


SCENARIOS = (
    (cancel_a_start, 6),
    (cancel_a_run, 6),
    (cancel_a_block, 2),
    (cancel_a_pipeline, 2),
    (cut_off_communicate, 3),
    (drop, 3),
    (watch_a_stranger, 2),
)
