"""A task that a running one has caused, in whatever way, is never stuck behind its cause; and who is next in line."""

import asyncio
import contextvars
import gc
import logging
import sys
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from governess import limited, prioritized, priority
from governess.loops._limited import stall

pytestmark = pytest.mark.windows

LoopFactory = type[AbstractEventLoop]


async def leaf() -> int:
    return 1


async def by_thread() -> int:
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(leaf(), loop).result(10))


async def by_anyio() -> int:
    anyio = pytest.importorskip("anyio")

    async def task() -> int:
        return await asyncio.create_task(leaf())

    return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(task))


async def by_timer() -> int:
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    async def work() -> None:
        done.set()

    loop.call_later(0.001, lambda: loop.create_task(work()))
    await asyncio.wait_for(done.wait(), 10)
    return 1


async def by_callback() -> int:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    first = asyncio.ensure_future(leaf())
    first.add_done_callback(lambda _: asyncio.ensure_future(work()))
    await first
    await asyncio.wait_for(done.wait(), 10)
    return 1


async def by_helpers() -> int:
    """Each helper makes the next one and ends."""
    future = asyncio.get_running_loop().create_future()

    async def helper(number: int) -> None:
        if number:
            kept.append(asyncio.ensure_future(helper(number - 1)))
        else:
            future.set_result(1)

    kept = [asyncio.ensure_future(helper(5))]
    return await asyncio.wait_for(future, 10)


async def by_continuation() -> int:
    """A task that is awaited waits for what a timer of its maker causes."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    async def work() -> None:
        done.set()

    loop.call_later(0.001, lambda: loop.create_task(work()))
    await asyncio.create_task(done.wait())
    return 1


async def by_other_loop() -> int:
    """The work comes back by way of another loop that is limited too."""
    loop = asyncio.get_running_loop()

    async def there() -> int:
        back = asyncio.create_task(asyncio.to_thread(asyncio.run_coroutine_threadsafe, leaf(), loop))
        return await asyncio.wrap_future(await back)

    def run_there() -> int:
        with asyncio.Runner(loop_factory=limited(asyncio.SelectorEventLoop, 2)) as runner:
            return runner.run(there())

    return await asyncio.to_thread(run_there)


WAYS = [by_thread, by_anyio, by_timer, by_callback, by_helpers, by_continuation, by_other_loop]


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("way", WAYS)
def test_ways_to_cause(loop_factory: LoopFactory, way: Callable[[], Awaitable[int]], number: int) -> None:
    """With all slots taken by their causes, the caused tasks start."""

    async def main() -> list[int]:
        async with asyncio.timeout(20):
            return await asyncio.gather(*(way() for _ in range(2 * number)))

    with asyncio.Runner(loop_factory=limited(loop_factory, number)) as runner:
        assert runner.run(main()) == [1] * 2 * number


def test_shared_context(loop_factory: LoopFactory) -> None:
    """Tasks that run in one context are told apart."""
    context = contextvars.copy_context()

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            return await asyncio.gather(*(loop.create_task(by_timer(), context=context) for _ in range(6)))

    with asyncio.Runner(loop_factory=limited(loop_factory, 2)) as runner:
        assert runner.run(main()) == [1] * 6


def test_causes_are_let_go(loop_factory: LoopFactory) -> None:
    """A task that makes its successor and ends, again and again, leaves nothing behind."""
    slots: list[weakref.ref[Any]] = []

    async def main() -> None:
        done = asyncio.Event()

        async def again(left: int) -> None:
            task: Any = asyncio.current_task()
            slots.append(weakref.ref(task.get_coro()))
            if left:
                kept[:] = [asyncio.create_task(again(left - 1))]
            else:
                done.set()

        kept = [asyncio.create_task(again(50))]
        await done.wait()
        kept.clear()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=limited(loop_factory, 2)) as runner:
        runner.run(main())
        gc.collect()
        assert sum(it() is not None for it in slots) <= 2


@pytest.mark.parametrize("order", ["limited outside", "prioritized outside"])
def test_most_urgent_is_next(loop_factory: LoopFactory, order: str) -> None:
    """The next free slot goes to the most urgent task in line, in either order of nesting."""
    Loop: Any
    if order == "limited outside":
        Loop = limited(prioritized(loop_factory), 5)
    else:
        Loop = prioritized(limited(loop_factory, 5))

    async def main() -> list[str]:
        ended: list[str] = []

        async def work(name: str) -> None:
            await asyncio.sleep(0.002)
            ended.append(name)

        with priority(10):
            tasks = [asyncio.ensure_future(work("bulk")) for _ in range(60)]
        await asyncio.sleep(0.005)
        with priority(-20):
            tasks.append(asyncio.ensure_future(work("urgent")))
        await asyncio.gather(*tasks)
        return ended

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(main()).index("urgent") < 40


def test_no_priorities_in_a_plain_loop(loop_factory: LoopFactory) -> None:
    """In a loop without priorities, the first in line is next."""

    async def main() -> list[int]:
        ended: list[int] = []

        async def work(number: int) -> None:
            ended.append(number)

        tasks = []
        for number in range(10):
            with priority(-number):
                tasks.append(asyncio.ensure_future(work(number)))
        await asyncio.gather(*tasks)
        return ended

    with asyncio.Runner(loop_factory=limited(loop_factory, 1)) as runner:
        assert runner.run(main()) == list(range(10))


@pytest.mark.parametrize("debug", [False, True])
def test_stall(
    loop_factory: LoopFactory, debug: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In debug mode it is logged when workers have all slots and wait for a producer that is queued behind them."""
    monkeypatch.setattr(stall, "STALL_TIMEOUT", 0.05)
    caplog.set_level(logging.WARNING, "governess")

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]

        async def producer() -> None:
            for number in range(3):
                queue.put_nowait(number)

        task = asyncio.create_task(producer(), name="the producer")
        await asyncio.sleep(0.3)
        assert not task.done()
        workers.pop().cancel()
        await asyncio.gather(task, *workers)

    with asyncio.Runner(loop_factory=limited(loop_factory, 3), debug=debug) as runner:
        runner.run(main())
    messages = [it.getMessage() for it in caplog.records if "nothing can go on" in it.getMessage()]
    assert len(messages) == (1 if debug else 0)
    assert all("the producer" in it for it in messages)


def test_busy_is_no_stall(loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """Tasks that take their time are no reason to warn, as long as one of them goes on."""
    monkeypatch.setattr(stall, "STALL_TIMEOUT", 0.02)
    caplog.set_level(logging.WARNING, "governess")

    async def main() -> None:
        async def busy() -> None:
            end = asyncio.get_running_loop().time() + 0.1
            while asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0)

        await asyncio.gather(*(busy() for _ in range(3)))

    with asyncio.Runner(loop_factory=limited(loop_factory, 1), debug=True) as runner:
        runner.run(main())
    assert "nothing can go on" not in caplog.text


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_tasks_made_directly(loop_factory: LoopFactory) -> None:
    """A task that is made without the loop does not count; what it makes by the loop does."""

    async def main() -> int:
        most = now = 0
        loop = asyncio.get_running_loop()

        async def handler() -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1

        async def connection() -> None:
            await loop.create_task(handler())

        await asyncio.gather(*(asyncio.Task(connection(), loop=loop, eager_start=True) for _ in range(20)))
        return most

    with asyncio.Runner(loop_factory=limited(loop_factory, 3)) as runner:
        assert runner.run(main()) == 3
