"""What serves the children of a loop stays open while more of them are started, and is closed after the last start."""

import asyncio
import os
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from governess.children import _pidfd
from governess.children._spawn import describe
from governess.subprocess import run

pytestmark = pytest.mark.skipif(_pidfd.unavailable() is not None, reason="needs pidfds")

CHILDREN = 50


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that a loop of asyncio's was asked to read, one after the other."""
    asked: list[int] = []
    add_reader = BaseSelectorEventLoop._add_reader

    def note(self: Any, descriptor: int, *arguments: Any) -> Any:
        asked.append(descriptor)
        return add_reader(self, descriptor, *arguments)

    monkeypatch.setattr(BaseSelectorEventLoop, "_add_reader", note)
    return asked


@pytest.mark.skipif(describe()[0] != "native", reason="the native spawner alone has its starts in a queue")
def test_readers_are_added_once(readers: list[int]) -> None:
    """Of 50 children that are started together, each kind of reader is added for the first and the last alone."""

    async def main() -> None:
        await asyncio.gather(*(run("true", timeout=None) for _ in range(CHILDREN)))

    asyncio.run(main())
    # The starts, the exits and the pipes; of the last two again for a child that lives when no other is started.
    assert 3 <= len(readers) <= 6


def test_nothing_is_left_open(loop_factory: Callable) -> None:
    """When the last of the children has ended, the loop has no descriptor that it had not before the first one."""

    async def main() -> None:
        await run("true")  # what is opened once
        before = set(os.listdir("/proc/self/fd"))
        await asyncio.gather(*(run("true") for _ in range(CHILDREN)))
        await asyncio.sleep(0)
        assert set(os.listdir("/proc/self/fd")) == before

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@pytest.mark.parametrize("end", ["missing program", "cancelled start"])
def test_a_start_that_fails_last(loop_factory: Callable, end: str) -> None:
    """The same if the last start has no child: its program is missing, or it is cancelled."""

    async def main() -> None:
        await run("true")
        before = set(os.listdir("/proc/self/fd"))
        last = asyncio.create_task(fail(end))
        await asyncio.gather(run("true"), last)
        await asyncio.sleep(0)
        assert set(os.listdir("/proc/self/fd")) == before

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def fail(end: str) -> None:
    if end == "missing program":
        with pytest.raises(FileNotFoundError):
            await run("/nowhere/program")
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run("true"), 0)
