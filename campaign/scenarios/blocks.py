"""Programs for the length of a block: start(), lines, pools, sessions."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import PIPE

from campaign.case import Case, Wrong
from governess.subprocess import Completed, ProcessPool, start

__all__ = ["SCENARIOS"]


async def leave_a_block(case: Case) -> None:
    """It runs when the block is left, and gets TERM."""
    async with start(*case.child("sleep", 60_000, 0), grace=5, session=case.rng.random() < 0.3) as process:
        await asyncio.sleep(case.rng.random() * 0.01)
    case.check(process.exit, -signal.SIGTERM)


async def leave_a_stubborn_one(case: Case) -> None:
    """It ignores TERM, and gets KILL."""
    async with start(*case.child("stubborn", 60_000, 0), stdout=PIPE, grace=0.02) as process:
        assert process.stdout is not None
        case.check_equal("first line", await process.stdout.readline(), b"ready\n")
    case.check(process.exit, -signal.SIGKILL)


async def leave_a_stopped_one(case: Case) -> None:
    """It is stopped when the block is left."""
    async with start(*case.child("sleep", 60_000, 0), grace=5) as process:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(case.rng.random() * 0.01)
    case.check(process.exit, -signal.SIGTERM)


async def leave_a_group(case: Case) -> None:
    """It has started another process."""
    async with start("sh", "-c", "sleep 60 & echo ready; wait", stdout=PIPE, grace=5) as process:
        assert process.stdout is not None
        case.check_equal("first line", await process.stdout.readline(), b"ready\n")
    case.check(process.exit, -signal.SIGTERM)


async def stop_and_continue(case: Case) -> None:
    """It is stopped for a moment, and ends by itself."""
    code = case.code()
    async with start(*case.child("sleep", 5, code)) as process:
        try:
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(case.rng.random() * 0.01)
            process.send_signal(signal.SIGCONT)
        except ProcessLookupError:
            pass  # it has ended by itself
        case.check(await process.wait(), code)


async def kill_at_random(case: Case) -> None:
    """It is killed, or ends by itself."""
    code = case.code()
    async with start(*case.child("sleep", case.rng.randint(0, 8), code)) as process:
        await asyncio.sleep(case.rng.random() * 0.008)
        try:
            if case.rng.random() < 0.5:
                process.signal_tree(signal.SIGKILL)
            else:
                process.kill()
        except ProcessLookupError:
            pass
        case.check(await process.wait(), code, -signal.SIGKILL)


async def read_lines(case: Case) -> None:
    """Its lines as they come, of one output or of both."""
    code = case.code()
    merged = case.rng.random() < 0.5
    async with start(*case.child("say", "word", code), stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        lines = process.merged_lines("ascii") if merged else process.stdout.lines("ascii")
        found = [line.text if merged else line async for line in lines]  # type: ignore[union-attr]
        case.check(await process.wait(), code)
    case.check_equal("lines", found, ["word"] * (2 if merged else 1))


async def let_it_go(case: Case) -> None:
    """It runs on after the block, and is reaped at its end."""
    code = case.code()
    async with start(*case.child("sleep", case.rng.randint(0, 20), code), stdout=PIPE) as process:
        process.detach()
    if case.rng.random() < 0.5:
        case.check(await process.wait(), code)


async def use_a_pool(case: Case) -> None:
    """A few children, some at a time."""
    codes = [case.code() for _ in range(6)]
    commands = [case.child("exit", code) for code in codes]
    async with ProcessPool(2) as pool:
        results = [each async for each in pool.map(commands, ordered=case.rng.random() < 0.5, return_exceptions=True)]
    errors = [result for _, result in results if isinstance(result, BaseException)]
    if len(results) != len(codes):
        raise Wrong(f"{len(results)} results of {len(codes)} children")
    for command, result in results:
        if isinstance(result, Completed):
            case.check(result.exit, int(command[-1]))
    if errors:
        raise errors[0]


async def leave_a_pool(case: Case) -> None:
    """Its children run when it is closed."""
    pool = ProcessPool(4)
    async with contextlib.AsyncExitStack() as stack:
        starts = [pool.start(*case.child("sleep", 60_000, 0)) for _ in range(3)]
        processes = [await stack.enter_async_context(start) for start in starts]
        closing = asyncio.ensure_future(pool.close())
    await closing
    for process in processes:
        case.check(process.exit, -signal.SIGTERM)


SCENARIOS = (
    (leave_a_block, 6),
    (leave_a_stubborn_one, 2),
    (leave_a_stopped_one, 2),
    (leave_a_group, 2),
    (stop_and_continue, 3),
    (kill_at_random, 6),
    (read_lines, 5),
    (let_it_go, 3),
    (use_a_pool, 2),
    (leave_a_pool, 1),
)
