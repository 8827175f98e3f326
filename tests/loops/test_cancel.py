"""Cancelling a start at whichever point leaves no child, no descriptor and no task behind."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import governess
from governess.children import children
from settings import run_in


class CancelAt:
    """Awaits a coroutine; cancels its task at the n-th await, while that waits or when it has just been woken."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int, moment: str) -> None:
        self.coroutine = coroutine
        self.number = number
        self.moment = moment
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        steps = self.coroutine.__await__()
        count = 0
        send, value = steps.send, None
        while True:
            try:
                future = send(value)
            except StopIteration as end:
                return end.value
            if count == self.number:
                self.reached = True
                if self.moment == "while it waits" or future is None:
                    task.cancel()
                else:
                    future.add_done_callback(lambda _: task.cancel())
                    # What Task would do by itself, had it got the future first.
                    future._asyncio_future_blocking = True
            count += 1
            try:
                value = yield future
                send = steps.send
            except BaseException as error:
                send, value = steps.throw, error


async def attempt(number: int, moment: str) -> bool:
    """Start a child and cancel that at its n-th await; return whether there was one."""
    start = CancelAt(
        asyncio.create_subprocess_exec("sleep", "60", stdin=PIPE, stdout=PIPE, stderr=PIPE), number, moment
    )

    async def body() -> Any:
        return await start

    task = asyncio.create_task(body())
    try:
        process = await task
    except asyncio.CancelledError:
        assert start.reached
        return True
    process.kill()
    await process.communicate()
    return start.reached


@pytest.mark.parametrize("moment", ["while it waits", "when it is woken"])
def test_cancelled_start_leaves_nothing(loop_factory: Callable[[], asyncio.AbstractEventLoop], moment: str) -> None:
    """At every await of a start, and at both ends of it, cancelling leaves nothing behind."""
    died = []

    async def main() -> int:
        tasks = asyncio.all_tasks()
        number = 0
        while await attempt(number, moment):
            number += 1
            assert asyncio.all_tasks() == tasks
        # The reaper, and not a loop, may be the one who sees the end of them.
        while children():
            await asyncio.sleep(0.001)
        return number

    with governess.observe(on_exit=lambda child, exit: died.append(exit)):
        awaits = run_in(loop_factory, main)
    assert awaits >= 2  # the spawn, and standard input
    assert set(died) == {-signal.SIGKILL}


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """Where a child that is to open it stays, before its program runs, until the test is over."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    yield path
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # lets a thread that stays there go on


def test_timeout_during_a_slow_start(loop_factory: Callable[[], asyncio.AbstractEventLoop], fifo: Path) -> None:
    """A start that takes too long is cancelled at once; its child is killed."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.create_subprocess_exec("sleep", "60", stdin=fifo, stdout=PIPE), 0.05)

    run_in(loop_factory, main)
    assert children() == []


def test_loop_closed_in_mid_start(loop_factory: Callable[[], asyncio.AbstractEventLoop], fifo: Path) -> None:
    """A child whose loop is closed before its program runs is killed and reaped."""
    with governess.DefaultEventLoopPolicy(loop_factory) as policy:
        loop = policy.new_event_loop()
        task = loop.create_task(loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "60", stdin=fifo))
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
    assert children() == []
    task._log_destroy_pending = False  # nobody can finish it in a closed loop
