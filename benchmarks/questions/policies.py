"""What does a loop of each policy cost beside the stock one: callbacks, tasks, timers, and calls from other threads?"""

from __future__ import annotations

import asyncio
import gc
import importlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.model import Answers, Case, Measure, Missing, Question

# How often one thing is done in a row, and how many such rows there are: the quickest one counts.
COUNT, ROWS = 2000, 9
CALLS = 200

POLICIES = ("default", "context", "shared", "threaded", "limited", "priority")
CLASSES = {
    "default": "DefaultEventLoopPolicy",
    "context": "ContextEventLoopPolicy",
    "shared": "SharedEventLoopPolicy",
    "threaded": "ThreadedEventLoopPolicy",
    "limited": "LimitedEventLoopPolicy",
    "priority": "PriorityEventLoopPolicy",
}

Call = Callable[[Any], Any]


def answer(contestant: str, loop: str, count: int) -> Answers:
    """Measure a loop from inside, in its own thread, and from another thread; and a whole run."""
    try:
        loop_class: Any = importlib.import_module("uvloop").Loop if loop == "uvloop" else asyncio.SelectorEventLoop
    except ImportError:
        raise Missing("uvloop is not installed") from None
    with _contestant(contestant, loop_class) as (run, call_from_outside, whole_run):
        answers = run(_from_inside(count))
        answers["call"] = min(_timed(lambda: call_from_outside(_leaf()), CALLS) for _ in range(ROWS))
        answers["run"] = min(_timed(lambda: whole_run(_leaf()), CALLS // 4) for _ in range(ROWS))
    return answers


@contextmanager
def _contestant(contestant: str, loop_class: Any) -> Iterator[tuple[Call, Call, Call]]:
    """Give three functions of a coroutine: run it, run it from another thread than the loop's, run it in a new loop."""
    if contestant == "stock":
        with _in_thread(loop_class) as call, asyncio.Runner(loop_factory=loop_class) as runner:
            yield runner.run, call, lambda it: _run_in_new(loop_class, it)
        return
    governess = importlib.import_module("governess")
    name = contestant.partition(" + ")[0]
    with getattr(governess, CLASSES[name])(loop_class) as policy:
        governess.set_event_loop_policy(policy)
        if name == "shared":
            yield policy.call, policy.call, governess.run
        elif name == "threaded":
            background = policy.new_event_loop()
            background.start()
            with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
                yield runner.run, background.call, governess.run
        else:
            with _in_thread(policy.loop_factory) as call, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
                yield runner.run, call, governess.run


def _run_in_new(loop_class: Any, coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=loop_class) as runner:
        return runner.run(coroutine)


@contextmanager
def _in_thread(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[Call]:
    """Run a loop in another thread; what is given is called there by `run_coroutine_threadsafe`."""
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _from_inside(count: int) -> Answers:
    loop = asyncio.get_running_loop()
    answers: Answers = {}
    for name, measure in _MEASURES.items():
        rows = []
        for _ in range(ROWS):
            gc.collect()
            gc.disable()
            rows.append(await measure(loop, count))
            gc.enable()
            await asyncio.sleep(0.001)
        answers[name] = min(rows) / count
    return answers


async def _call_soon(loop: asyncio.AbstractEventLoop, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        loop.call_soon(_nothing)
    await asyncio.sleep(0)
    return time.perf_counter() - began


async def _create_task(loop: asyncio.AbstractEventLoop, count: int) -> float:
    began = time.perf_counter()
    tasks = [loop.create_task(_leaf()) for _ in range(count)]
    took = time.perf_counter() - began
    await asyncio.wait(tasks)
    return took


async def _run_tasks(loop: asyncio.AbstractEventLoop, count: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(loop.create_task(_leaf()) for _ in range(count)))
    return time.perf_counter() - began


async def _sleep(_: asyncio.AbstractEventLoop, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        await asyncio.sleep(0)
    return time.perf_counter() - began


async def _call_later(loop: asyncio.AbstractEventLoop, count: int) -> float:
    began = time.perf_counter()
    timers = [loop.call_later(100, _nothing) for _ in range(count)]
    took = time.perf_counter() - began
    for timer in timers:
        timer.cancel()
    return took


async def _call_soon_threadsafe(loop: asyncio.AbstractEventLoop, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        loop.call_soon_threadsafe(_nothing)
    return time.perf_counter() - began


_MEASURES: dict[str, Callable[[asyncio.AbstractEventLoop, int], Awaitable[float]]] = {
    "call_soon": _call_soon,
    "create_task": _create_task,
    "tasks": _run_tasks,
    "sleep": _sleep,
    "call_later": _call_later,
    "call_soon_threadsafe": _call_soon_threadsafe,
}


def _timed(function: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - began) / count


def _nothing() -> None: ...


async def _leaf() -> None: ...


def cases(quick: bool) -> list[Case]:
    """Every policy over asyncio's loop and over uvloop."""
    contestants = ("stock", *POLICIES, "priority + pure")
    count = 300 if quick else COUNT
    return [Case(f"on {loop}", {"loop": loop, "count": count}, contestants) for loop in ("asyncio", "uvloop")]


QUESTION = Question(
    name="policies",
    title="What a policy's loop costs",
    base="stock",
    measures=(
        Measure("call_soon", "call_soon and the call, µs", scale=1e6),
        Measure("create_task", "create_task, µs", scale=1e6),
        Measure("tasks", "task to its end, µs", scale=1e6),
        Measure("sleep", "sleep(0), µs", scale=1e6),
        Measure("call_later", "call_later, µs", scale=1e6),
        Measure("call_soon_threadsafe", "call_soon_threadsafe, µs", scale=1e6),
        Measure("call", "call from another thread, µs", scale=1e6),
        Measure("run", "run of an empty coroutine, µs", scale=1e6),
    ),
    answer=answer,
    cases=cases,
    rounds=3,
    on_other_pages=("default", "shared", "threaded", "context", "limited", "priority"),
)
