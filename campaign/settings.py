"""Where the scenarios of a round run: policy, loop class, watcher, thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import governess
from campaign.plan import Plan
from governess.watchers import choose_watcher

__all__ = ["make_policy", "run_in_place"]

POLICIES: dict[str, type[governess.DefaultEventLoopPolicy]] = {
    "default": governess.DefaultEventLoopPolicy,
    "limited": governess.LimitedEventLoopPolicy,
    "priority": governess.PriorityEventLoopPolicy,
    "threaded": governess.ThreadedEventLoopPolicy,
}

#: They work through the main thread's loop, which must run for the loops of other threads.
ATTACHED = ("safe", "fast")

Main = Callable[[int], Coroutine[Any, Any, None]]


def make_policy(plan: Plan) -> governess.DefaultEventLoopPolicy:
    """Make the policy of a round."""
    return POLICIES[plan.policy](loop_factory=plan.loop, watcher=choose_watcher(plan.watcher).factory())


def run_in_place(plan: Plan, policy: governess.DefaultEventLoopPolicy, main: Main) -> None:
    """Run `main(0)` in a new loop where the plan says; in three threads `main(0)`, `main(1)` and `main(2)`."""
    numbers = range(3) if plan.place == "three threads" else range(1)
    if plan.place == "main thread":
        _run(policy, main(0))
    elif plan.watcher in ATTACHED:
        _run(policy, _in_threads_beside_a_loop(policy, main, numbers))
    else:
        _join(_start_threads(policy, main, numbers, lambda: None))


def _run(policy: governess.DefaultEventLoopPolicy, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
        runner.run(main)


async def _in_threads_beside_a_loop(policy: governess.DefaultEventLoopPolicy, main: Main, numbers: range) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    ended: list[int] = []

    def at_end() -> None:
        ended.append(1)
        if len(ended) == len(numbers):
            loop.call_soon_threadsafe(over.set)

    threads = _start_threads(policy, main, numbers, at_end)
    await over.wait()
    _join(threads)


def _start_threads(
    policy: governess.DefaultEventLoopPolicy, main: Main, numbers: range, at_end: Callable[[], None]
) -> list[tuple[threading.Thread, list[BaseException]]]:
    def work(number: int, errors: list[BaseException]) -> None:
        try:
            _run(policy, main(number))
        except BaseException as error:
            errors.append(error)
        finally:
            at_end()

    started = []
    for number in numbers:
        errors: list[BaseException] = []
        thread = threading.Thread(target=work, args=(number, errors), name=f"place {number}")
        thread.start()
        started.append((thread, errors))
    return started


def _join(threads: list[tuple[threading.Thread, list[BaseException]]]) -> None:
    for thread, _ in threads:
        thread.join()
    for _, errors in threads:
        for error in errors:
            raise error
