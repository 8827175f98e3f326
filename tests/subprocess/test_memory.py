"""A child that lives takes little memory."""

import asyncio
import gc
import sys
import tracemalloc

import pytest

from governess.subprocess import create_subprocess_exec

COUNT = 20


@pytest.mark.skipif(sys.platform != "linux", reason="the figure is of the watcher with pidfds")
def test_memory_of_a_living_child() -> None:
    """A living child without pipes takes less than 3,000 bytes of Python's memory."""

    async def main() -> float:
        processes = [await create_subprocess_exec("sleep", "600") for _ in range(2)]
        gc.collect()
        tracemalloc.start()
        try:
            processes += [await create_subprocess_exec("sleep", "600") for _ in range(COUNT)]
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for process in processes:
            process.kill()
        await asyncio.gather(*(process.wait() for process in processes))
        return taken / COUNT

    assert asyncio.run(main()) < 3000
