"""Tens of thousands of starts leave nothing."""

import asyncio
import os
from pathlib import Path

import pytest

from spawning import WAYS, command, needs_extension, spawner_by

STARTS = 100_000
AT_ONCE = 16


@needs_extension
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_stays_flat() -> None:
    """100,000 starts, of which some fail and some are cancelled, leave memory and descriptors as they were."""

    async def one(number: int) -> None:
        if number % 10 == 0:
            with pytest.raises(FileNotFoundError):
                await native.spawn(command(["/missing/program"], stdin=-1))
            return
        if number % 10 == 1:
            task = asyncio.create_task(native.spawn(command(["/bin/true"], stdout=-1)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return
        born = (await native.spawn(command(["/bin/true"], stdout=-1 if number % 2 else None))).claim()
        for descriptor in born.pipes.values():
            os.close(descriptor)
        while born.child.reap() is None:
            await asyncio.sleep(0.0005)

    async def worker(numbers) -> None:
        for number in numbers:
            await one(number)

    async def many(count: int) -> None:
        numbers = iter(range(count))
        await asyncio.gather(*(worker(numbers) for _ in range(AT_ONCE)))

    with spawner_by(WAYS[0]) as native, asyncio.Runner() as runner:
        runner.run(many(5_000))
        before = resident(), len(os.listdir("/proc/self/fd"))
        runner.run(many(STARTS))
        after = resident(), len(os.listdir("/proc/self/fd"))
    print(f"{before[0]} kB before, {after[0]} kB after")
    assert after[1] <= before[1] + 4  # children of the last moment that wait for the reaper
    assert after[0] < before[0] + 2_000


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
