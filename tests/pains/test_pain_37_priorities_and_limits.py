"""Pain 37: Priorities, task limits.

Told in kristjanvalur/py-asynkit#30, cpython#74965.
"""

import asyncio
import contextlib
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

from pains.verdict import Hurts, lacks

LoopFactory = Callable[[], AbstractEventLoop]

TASKS, LIMIT = 100, 10


class Work:
    """Tasks that are told apart by name; it knows in which order they began, and how many were there at once."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.most = self._now = 0

    async def do(self, name: str, pause: Callable[[float], Any] = asyncio.sleep) -> None:
        self.order.append(name)
        self._now += 1
        self.most = max(self.most, self._now)
        await pause(0.001)
        self._now -= 1


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    ranked, counted = Work(), Work()

    async def with_an_urgent_one() -> None:
        ordinary = [asyncio.create_task(ranked.do("ordinary")) for _ in range(TASKS)]
        with governess.priority(-5):
            urgent = asyncio.create_task(ranked.do("urgent"))
        await asyncio.gather(urgent, *ordinary)

    async def many() -> None:
        await asyncio.gather(*(counted.do("ordinary") for _ in range(TASKS)))

    with (
        governess.PriorityEventLoopPolicy(loop_factory) as prioritizing,
        governess.LimitedEventLoopPolicy(loop_factory, max_tasks=LIMIT) as limiting,
    ):
        for policy, main in (prioritizing, with_an_urgent_one), (limiting, many):
            with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
                runner.run(main())
    return judge(ranked, counted)


async def on_asyncio() -> str:
    counted, slots = Work(), asyncio.Semaphore(LIMIT)

    async def one() -> None:
        async with slots:
            await counted.do("ordinary")

    await asyncio.gather(*(one() for _ in range(TASKS)))
    start: Any = asyncio.create_task
    with no_priorities("Semaphore", counted), contextlib.closing(one()) as coroutine:
        await start(coroutine, priority=-5)
    raise AssertionError("it takes a priority")


async def on_trio() -> str:
    import trio

    counted, slots = Work(), trio.CapacityLimiter(LIMIT)

    async def one() -> None:
        async with slots:
            await counted.do("ordinary", trio.sleep)

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(one)
    start: Any = nursery.start_soon
    with no_priorities("CapacityLimiter", counted):
        start(one, priority=-5)
    raise AssertionError("it takes a priority")


async def on_anyio() -> str:
    import anyio

    counted, slots = Work(), anyio.CapacityLimiter(LIMIT)

    async def one() -> None:
        async with slots:
            await counted.do("ordinary", anyio.sleep)

    async with anyio.create_task_group() as group:
        for _ in range(TASKS):
            group.start_soon(one)
    start: Any = group.start_soon
    with no_priorities("CapacityLimiter", counted):
        start(one, priority=-5)
    raise AssertionError("it takes a priority")


@contextlib.contextmanager
def no_priorities(limiter: str, counted: Work) -> Iterator[None]:
    """Expect that a priority is refused; the limit that code can keep itself was tried before."""
    assert counted.most == LIMIT
    try:
        yield
    except TypeError:
        raise lacks(f"priorities; {limiter} limits the code that asks for it") from None


def judge(ranked: Work, counted: Work) -> str:
    if ranked.order[0] != "urgent" or len(ranked.order) != TASKS + 1:
        raise Hurts(f"the urgent task is number {ranked.order.index('urgent') + 1}")
    if counted.most != LIMIT or len(counted.order) != TASKS:
        raise Hurts(f"{counted.most} tasks at once")
    return f"the urgent task comes first of {TASKS + 1}; {LIMIT} of {TASKS} tasks at once, whatever code made them"


def test_pain_37_priorities_and_limits(relief: Callable[..., str]) -> None:
    """One policy runs urgent tasks first, another one limits the tasks in progress; their code does not change."""
    relief(on_governess)
