"""Starts a few hundred children in each way of the native spawner; for memcheck, which is slow."""

import asyncio
import os

from governess.children._spawn import _native, spawner
from governess.children._spawn.command import Command

# Not "clone": memcheck knows clone() as a thread's, and as what fork and vfork do.
WAYS = ("vfork with a pidfd", "vfork")


async def one(number: int) -> None:
    """Start a child, or fail to, or give it up."""
    command = Command(
        ["/bin/true" if number % 5 else "/missing"], False, -1, -1, -3, {"env": {"A": "b"}, "pass_fds": [1]}
    )
    task = asyncio.create_task(spawner().spawn(command))
    if number % 7 == 0:
        await asyncio.sleep(0)
        task.cancel()
    try:
        spawned = (await task).claim()
    except (FileNotFoundError, asyncio.CancelledError):
        return
    for descriptor in spawned.pipes.values():
        os.close(descriptor)
    while spawned.child.reap() is None:
        await asyncio.sleep(0.01)


async def main() -> None:
    """Start them, ten at once."""
    for way in WAYS:
        _native.set_way(way)
        for first in range(0, 100, 10):
            await asyncio.gather(*(one(number) for number in range(first, first + 10)))
        print(way, "ended as", _native.get_way())


asyncio.run(main())
