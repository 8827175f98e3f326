"""`watched`, `limited` and `prioritized`, in every order, over each loop."""

import asyncio
import itertools
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import governess
from governess import DefaultEventLoopPolicy, LimitedEventLoopPolicy, PriorityEventLoopPolicy, limited, prioritized
from governess.loops._priority.ready import current_priority

Change = Callable[[Any], Any]

CHANGES: dict[str, Change] = {"limited": partial(limited, max_tasks=2), "prioritized": prioritized}
if sys.platform != "win32":
    CHANGES["watched"] = governess.watched

ORDERS = [order for count in range(1, 4) for order in itertools.permutations(CHANGES, count)]


@pytest.mark.parametrize("order", ORDERS, ids="(".join)
def test_class(order: tuple[str, ...], loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """Each does its part in a loop of the class, whatever stands before or after it."""
    loop_class: Any = loop_factory
    for name in reversed(order):
        loop_class = CHANGES[name](loop_class)
    assert issubclass(loop_class, loop_factory)  # type: ignore[arg-type]
    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(use_all(limit=2 if "limited" in order else None, ordered="prioritized" in order))


@pytest.mark.parametrize("policy_class", [DefaultEventLoopPolicy, LimitedEventLoopPolicy, PriorityEventLoopPolicy])
@pytest.mark.parametrize("order", ORDERS, ids="(".join)
def test_policy(
    policy_class: type[DefaultEventLoopPolicy], order: tuple[str, ...], loop_factory: Callable[[], AbstractEventLoop]
) -> None:
    """A policy takes the class as it is, and adds its own part."""
    loop_class: Any = loop_factory
    for name in reversed(order):
        loop_class = CHANGES[name](loop_class)
    ordered = "prioritized" in order or policy_class is PriorityEventLoopPolicy
    limit = 2 if "limited" in order else None
    if policy_class is LimitedEventLoopPolicy:
        limit = 10  # the policy's own holds
    with policy_class(loop_class) as policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        runner.run(use_all(limit, ordered))


async def use_all(limit: int | None, ordered: bool) -> None:
    async with asyncio.timeout(20):
        assert await most_in_progress() == (20 if limit is None else limit)
        assert await order_of_priorities() == ([-3, 0, 3] if ordered else [3, 0, -3])
        if sys.platform != "win32":
            assert await asyncio.create_task(exit_of_a_child()) == 3


async def most_in_progress() -> int:
    in_progress = most = 0

    async def work() -> None:
        nonlocal in_progress, most
        in_progress += 1
        most = max(most, in_progress)
        for _ in range(3):
            await asyncio.sleep(0)
        in_progress -= 1

    await asyncio.gather(*(asyncio.create_task(work()) for _ in range(20)))
    return most


async def order_of_priorities() -> list[int]:
    called: list[int] = []
    loop = asyncio.get_running_loop()
    for level in (3, 0, -3):
        with governess.priority(level):
            loop.call_soon(called.append, level)
    while len(called) < 3:
        await asyncio.sleep(0)
    return called


async def exit_of_a_child() -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", "read x; exit $x", stdin=asyncio.subprocess.PIPE)
    await process.communicate(b"3\n")
    code = process.returncode
    assert code is not None
    return code


def test_limit_by_priority(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """In a loop that has both, the more urgent task is the first queued."""

    async def main() -> list[str]:
        started: list[str] = []

        async def work(name: str) -> None:
            started.append(name)
            await asyncio.sleep(0)

        tasks = [asyncio.create_task(work("normal")) for _ in range(3)]
        with governess.priority(-1):
            tasks.append(asyncio.create_task(work("urgent")))
        await asyncio.gather(*tasks)
        return started

    with asyncio.Runner(loop_factory=prioritized(limited(loop_factory, 1))) as runner:
        assert runner.run(main()) == ["urgent", "normal", "normal", "normal"]


@pytest.mark.skipif(sys.platform == "win32", reason="asks for sh")
def test_children_are_nobodys(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """What governess has the loop watch for all children does not take the priority of who starts the first."""
    priorities: list[int] = []

    class Loop(prioritized(loop_factory)):  # type: ignore[misc]
        def add_reader(self, *args: Any) -> None:
            priorities.append(current_priority.get())
            super().add_reader(*args)

    async def main() -> None:
        with governess.priority(19):
            assert await exit_of_a_child() == 3

    with DefaultEventLoopPolicy(Loop) as policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        runner.run(main())
    assert set(priorities) <= {0}


def test_where_a_callback_was_scheduled(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """In debug mode, a callback of a prioritized loop in a thread of its own is told to be from the caller's line."""
    loop: Any = governess.threaded(prioritized(loop_factory))()  # type: ignore[arg-type]
    loop.set_debug(True)

    async def main() -> str:
        return repr(loop.call_soon(print))

    try:
        assert f"created at {__file__}" in loop.run_until_complete(main())
    finally:
        loop.close()
