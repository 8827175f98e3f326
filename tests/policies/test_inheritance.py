"""Priority inheritance: a task that a more urgent one waits for, in whatever way, runs with that priority meanwhile."""

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from governess import prioritized, priority

pytestmark = pytest.mark.windows

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def run(loop_factory: type[AbstractEventLoop]) -> Run:
    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        async def limited() -> Any:
            return await asyncio.wait_for(main(), 30)

        with asyncio.Runner(loop_factory=prioritized(loop_factory)) as runner:
            return runner.run(limited())

    return run


async def steps(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def turns_while(critical: Callable[[], Awaitable[Any]]) -> int:
    """Return how many steps normal tasks make until the critical one, of priority -10, has ended."""
    turns, stop = 0, False

    async def normal() -> None:
        nonlocal turns
        while not stop:
            turns += 1
            await asyncio.sleep(0)

    async def body() -> None:
        await critical()

    crowd = [asyncio.create_task(normal()) for _ in range(20)]
    await asyncio.sleep(0)
    with priority(-10):
        task = asyncio.create_task(body())
    before = turns
    await task
    stop = True
    await asyncio.gather(*crowd)
    return turns - before


# Ten steps of the low task, at its own priority, would take more than ten times a hundred steps of the crowd.
FEW = 100


def low(coroutine: Any) -> asyncio.Task[Any]:
    with priority(10):
        return asyncio.create_task(coroutine)


WAITS: dict[str, Callable[[list[asyncio.Task[Any]]], Awaitable[Any]]] = {
    "gather": lambda tasks: asyncio.gather(*tasks),
    "gather of gathers": lambda tasks: asyncio.gather(asyncio.gather(*tasks[:1]), asyncio.gather(*tasks[1:])),
    "shield": lambda tasks: asyncio.shield(asyncio.gather(*tasks)),
    "wait": lambda tasks: asyncio.wait(tasks),
    "wait_for": lambda tasks: asyncio.wait_for(tasks[0], 20),
    "as_completed": lambda tasks: next(iter(asyncio.as_completed(tasks[:1]))),
}


@pytest.mark.parametrize("how", WAITS)
def test_ways_to_wait(run: Run, how: str) -> None:
    """The tasks that a critical one waits for do not wait behind normal ones."""
    if how == "as_completed" and sys.version_info < (3, 13):
        pytest.skip("it tells nobody what it waits for before 3.13")

    async def main() -> None:
        tasks = [low(steps()) for _ in range(2)]
        await steps(2)

        async def critical() -> None:
            await WAITS[how](tasks)

        assert await turns_while(critical) < FEW
        await asyncio.gather(*tasks)

    run(main)


def test_await_and_task_group(run: Run) -> None:
    """The same for a task that is awaited directly, or is in a group."""

    async def main() -> None:
        slow = low(steps())

        async def critical() -> None:
            await slow

        assert await turns_while(critical) < FEW

        async def group() -> None:
            async with asyncio.TaskGroup() as tasks:
                with priority(10):
                    tasks.create_task(steps())

        assert await turns_while(group) < FEW

    run(main)


def test_own_priority_is_enough(run: Run) -> None:
    """Where nothing urgent waits for it, a low task waits behind the normal ones."""

    async def main() -> None:
        slow = low(steps())
        assert await turns_while(lambda: steps(3)) < FEW
        stop = asyncio.Event()
        turns = 0

        async def normal() -> None:
            nonlocal turns
            while not stop.is_set():
                turns += 1
                await asyncio.sleep(0)

        crowd = [asyncio.create_task(normal()) for _ in range(20)]
        slow.add_done_callback(lambda _: stop.set())
        await asyncio.gather(*crowd)
        assert turns > 10 * FEW

    run(main)


def test_chain(run: Run) -> None:
    """Who waits for a critical task's sake hands its priority on, also to what it waits for later."""

    async def main() -> None:
        last, later = low(steps()), low(steps())

        async def middle() -> None:
            await last
            await later

        between = low(middle())
        await steps(2)

        async def critical() -> None:
            await between

        assert await turns_while(critical) < FEW

    run(main)


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Semaphore, asyncio.BoundedSemaphore, asyncio.Condition])
def test_held(run: Run, kind: Callable[[], Any]) -> None:
    """Who holds a lock that a critical task asks for runs with its priority until it has released it."""

    async def main() -> None:
        lock, has_it = kind(), asyncio.Event()

        async def hold() -> None:
            async with lock:
                has_it.set()
                await steps()

        holder = low(hold())
        await has_it.wait()

        async def critical() -> None:
            async with lock:
                pass

        assert await turns_while(critical) < FEW
        await holder

    run(main)


def test_held_in_a_context_manager(run: Run) -> None:
    """The wait is found in the frames of an asynchronous generator too."""

    async def main() -> None:
        lock, has_it = asyncio.Lock(), asyncio.Event()

        @asynccontextmanager
        async def connection() -> AsyncIterator[None]:
            async with lock:
                yield

        async def hold() -> None:
            async with connection():
                has_it.set()
                await steps()

        holder = low(hold())
        await has_it.wait()

        async def critical() -> None:
            async with connection():
                pass

        assert await turns_while(critical) < FEW
        await holder

    run(main)


@pytest.mark.parametrize("how", ["put", "join", "get"])
def test_queue(run: Run, how: str) -> None:
    """Who takes from a queue makes room in it, and who puts into it fills it."""

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(1)

        async def take() -> None:
            while True:
                await queue.get()
                await steps(5)
                queue.task_done()

        async def give() -> None:
            while True:
                await queue.put(1)
                await steps(5)

        await queue.put(1)
        server = low(give() if how == "get" else take())
        if how == "get":
            queue.get_nowait()
        while queue.full() if how != "get" else queue.empty():  # until it has taken, or put, for the first time
            await asyncio.sleep(0.001)
        if how != "get":
            await queue.put(1)
        elif not queue.empty():
            queue.get_nowait()

        async def critical() -> None:
            await (queue.put(1) if how == "put" else queue.join() if how == "join" else queue.get())

        assert await turns_while(critical) < FEW
        server.cancel()

    run(main)


def test_back_to_its_own(run: Run) -> None:
    """When the urgent task waits no longer, the other one has its own priority again."""

    async def main() -> None:
        slow = low(steps(50))
        await steps(2)

        async def impatient() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(slow), 0)
            await asyncio.wait([slow], timeout=0)

        await turns_while(impatient)
        assert await turns_while(lambda: steps(3)) < FEW
        assert not slow.done()
        queue = asyncio.get_running_loop()._ready_queue  # type: ignore[attr-defined]
        waiting = [task for task in queue.waits if task is not asyncio.current_task()]
        assert all(not task.done() for task in waiting)
        await slow
        await asyncio.sleep(0)
        assert not [task for task in queue.waiters if task.done()]

    run(main)


def test_decorator(run: Run) -> None:
    """`@priority` on an async function holds while its coroutine runs; on a generator function it is an error."""

    async def main() -> list[str]:
        order: list[str] = []

        @priority(-10)
        async def urgent(name: str) -> str:
            for _ in range(3):
                await asyncio.sleep(0)
                order.append(name)
            return name

        async def normal() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                order.append("normal")

        assert urgent.__name__ == "urgent"
        assert (await asyncio.gather(normal(), urgent("urgent")))[1] == "urgent"
        return order

    assert run(main) == ["urgent"] * 3 + ["normal"] * 3

    def generator() -> Any:
        yield

    async def asynchronous() -> Any:
        yield

    for function in generator, asynchronous:
        with pytest.raises(TypeError, match="generator"):
            priority(1)(function)

    @priority(-3)
    def plain(number: int) -> Any:
        from governess.loops._priority.ready import current_priority

        return number, current_priority.get()

    assert plain(2) == (2, -3)
