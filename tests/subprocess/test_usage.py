"""What a child uses can be asked while it runs, with all of its group."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import Any

import pytest

from governess.subprocess import Usage, create_subprocess_exec, start

pytestmark = [
    pytest.mark.usefixtures("_reach"),
    pytest.mark.skipif(sys.platform != "linux", reason="it is read from Linux's /proc"),
]

#: Holds 50 MB, and has computed for several clock ticks; so does the member of its group that it starts.
BIG = """
import os, sys, time
os.fork()
ballast = bytearray(50_000_000)
while time.process_time() < 0.05: pass
os.write(1, b".")
time.sleep(60)
"""

#: Computes for a minute at most. A short start alone may take less than two of the clock ticks that /proc counts in.
BUSY = "import time\nwhile time.process_time() < 60: pass"


def test_of_a_tree(run: Callable) -> None:
    """Memory and processes are those of the group, and of nobody when it is gone."""

    async def main() -> None:
        async with start(sys.executable, "-c", BIG, stdout=PIPE) as process:
            await process.stdout.readexactly(2)
            usage = process.usage()
            assert usage.processes == 2
            assert 100_000_000 < usage.memory < 1_000_000_000
            assert usage.cpu > 0.05
        assert process.usage() == Usage(0, 0, 0)

    run(main)


def test_of_a_child_alone(run: Callable) -> None:
    """A child without a group of its own is measured alone."""

    async def main() -> None:
        process = await create_subprocess_exec("sleep", "60")
        assert process.usage().processes == 1
        process.kill()
        await process.wait()
        assert process.usage() == Usage(0, 0, 0)

    run(main)


@pytest.mark.parametrize(("program", "bound"), [(BIG, {"memory": 100_000_000}), (BUSY, {"cpu": 0.01})])
def test_on_usage(run: Callable, program: str, bound: dict[str, float]) -> None:
    """Somebody is told, once, when it uses more than it should, and can end it."""

    async def main() -> list[Usage]:
        told: list[Usage] = []

        def end(usage: Usage) -> None:
            told.append(usage)
            process.signal_tree(signal.SIGKILL)

        async with start(sys.executable, "-c", program, stdout=PIPE) as process:
            process.on_usage(end, interval=0.01, **bound)
            assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        return told

    (usage,) = run(main)
    assert usage.memory > bound.get("memory", 0)
    assert usage.cpu > bound.get("cpu", 0)


@pytest.mark.parametrize("nonsense", [{}, {"memory": 1, "interval": 0}, {"cpu": 1.0, "interval": -1}])
def test_nonsense(run: Callable, nonsense: dict[str, Any]) -> None:
    """Without a bound, or a pause between two looks, nothing can be watched."""

    async def main() -> None:
        async with start("sleep", "60") as process:
            with pytest.raises(ValueError, match=r"memory= or cpu=|above 0 seconds"):
                process.on_usage(print, **nonsense)

    run(main)


def test_cancel(run: Callable) -> None:
    """What was asked for can be taken back, and ends by itself with the child."""

    async def main() -> None:
        told: list[Usage] = []
        async with start("sleep", "60") as process:
            process.on_usage(told.append, memory=0, interval=0.001).cancel()
            process.on_usage(told.append, memory=1 << 60, interval=0.001)
            await asyncio.sleep(0.01)
        assert told == []

    run(main)


def test_coroutine_function(run: Callable) -> None:
    """A coroutine function, which nobody would await, is refused."""

    async def tell(usage: Any) -> None:
        pass

    async def main() -> None:
        async with start("sleep", "60") as process:
            with pytest.raises(TypeError, match="plain function"):
                process.on_usage(tell, memory=1)

    run(main)
