"""A loop that is closed under what runs in it: the coroutines are thrown away, and can wait for nothing."""

import asyncio
import gc
import os
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import pytest

from governess.children import _pidfd as pidfd
from governess.children import children
from governess.children._spawn import popen
from governess.children._spawn.command import Command
from governess.subprocess import ProcessPool, cmd, start

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


async def leave_a_block(ready: asyncio.Event) -> None:
    async with start("sh", "-c", STUBBORN, stdout=PIPE, grace=60) as process:
        await process.stdout.readline()
        ready.set()


async def stay_in_a_block(ready: asyncio.Event) -> None:
    async with start("sh", "-c", STUBBORN, stdout=PIPE, grace=60) as process:
        await process.stdout.readline()
        ready.set()
        await asyncio.Event().wait()


async def leave_a_pipeline(ready: asyncio.Event) -> None:
    async with (cmd("sh", "-c", STUBBORN) | cmd("cat")).start(stdout=PIPE, grace=60) as flow:
        await flow.stdout.readline()
        ready.set()


async def close_a_pool(ready: asyncio.Event) -> None:
    async with ProcessPool(1) as pool, pool.start("sh", "-c", STUBBORN, stdout=PIPE, grace=60) as process:
        await process.stdout.readline()
        ready.set()


def all_reaped() -> bool:
    patience = time.monotonic() + 10
    while children() and time.monotonic() < patience:
        gc.collect()
        time.sleep(0.005)
    return not children()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the transports that the loop did not close
@pytest.mark.parametrize("work", [leave_a_block, stay_in_a_block, leave_a_pipeline, close_a_pool])
def test_children_are_killed(loop_factory: Callable, work: Callable) -> None:
    """Whoever would have had a grace is killed at once, and reaped; no coroutine complains."""

    def run_and_close() -> None:
        async def main() -> None:
            ready = asyncio.Event()
            tasks.append(asyncio.ensure_future(work(ready)))
            await ready.wait()
            for _ in range(5):  # until the pool's own tasks have taken note
                await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()

    run_and_close()
    assert all_reaped()


@pytest.mark.skipif(bool(os.environ.get("GOVERNESS_PURE")), reason="nobody can take back what Popen has begun")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_pipeline_that_was_being_started(loop_factory: Callable, tmp_path: Path) -> None:
    """Those that had been started before are killed."""
    pytest.importorskip("governess.children._spawn._native", reason="nobody can take back what Popen has begun")
    os.mkfifo(tmp_path / "fifo")

    def run_and_close() -> None:
        async def main() -> None:
            line = cmd("sleep", "60") | cmd("cat", stderr=tmp_path / "fifo")  # whose start waits for a reader
            tasks.append(asyncio.ensure_future(line.run()))
            while not children():
                await asyncio.sleep(0.001)
            for _ in range(20):
                await asyncio.sleep(0.001)

        tasks: list[asyncio.Task[object]] = []
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()

    run_and_close()
    assert all_reaped()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_starts_that_wait_for_a_place(loop_factory: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their places are given back without an exception that nobody can catch."""
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", told.append)

    def run_and_close() -> None:
        async def main() -> None:
            pool = ProcessPool(1)
            tasks.extend(asyncio.ensure_future(pool.run("sleep", "60")) for _ in range(3))
            await asyncio.sleep(0)  # the first is being started

        tasks: list[asyncio.Task[object]] = []
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()

    run_and_close()
    assert all_reaped()
    gc.collect()
    assert told == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_group_whose_leader_has_ended(loop_factory: Callable) -> None:
    """What is left of a group is killed when the block is thrown away, though its leader has ended before."""
    members: list[int] = []

    def run_and_close() -> None:
        async def hold() -> None:
            async with start("sh", "-c", "sleep 60 & echo $!", stdout=PIPE) as process:
                members.append(os.pidfd_open(int(await process.stdout.readline())))
                await process.wait()
                await asyncio.Event().wait()

        async def main() -> None:
            tasks.extend(asyncio.ensure_future(hold()) for _ in range(20))
            while len(members) < 20 or children():
                await asyncio.sleep(0.001)

        tasks: list[asyncio.Task[None]] = []
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()

    run_and_close()
    assert all_reaped()
    gc.collect()
    alive = [member for member in members if not pidfd.has_exited(member, 5)]
    for member in members:
        os.close(member)
    assert alive == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_starts_that_wait_for_others(loop_factory: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts by Popen, of which few are made at a time, are thrown away without an exception that nobody can catch."""
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", told.append)

    def run_and_close() -> None:
        async def main() -> None:
            tasks.extend(asyncio.ensure_future(popen.spawn(Command(["true"]))) for _ in range(20))
            await asyncio.sleep(0)  # the first are being started

        tasks: list[asyncio.Task[object]] = []
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()

    run_and_close()
    gc.collect()
    assert all_reaped()
    assert told == []
