"""What `call_soon` of a prioritized loop costs beside that of the plain one: `python benchmarks/priority.py [--json]`.

Rounds of the two alternate, so that what else the machine does meets both; each ratio is of two rounds side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import governess
from governess.loops._priority import ReadyQueue, ready

ROUNDS = 40
CALLS = 5000
LEVELS = (0, -5, 5, 10)

Measure = Callable[[AbstractEventLoop], float]


class PassingOn:
    """Overrides `call_soon` and does nothing of its own: the least that any subclass written in Python costs."""

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_soon(callback, *args, context=context)  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    results = [measure(*it) for it in settings()]
    if as_json:
        print(json.dumps({"python": sys.version.split()[0], "calls": CALLS, "results": results}, indent=2))
        return
    about = f"Python {sys.version.split()[0]}, the queue in {'Python' if ReadyQueue is ready.ReadyQueue else 'C'}"
    print(f"{about}, {ROUNDS} rounds of {CALLS} calls; times the plain loop's (min-max)")
    for it in results:
        print(f"{it['loop']:8} {it['class']:12} {it['what']:32} {it['median']:.2f} ({it['min']:.2f}-{it['max']:.2f})")


def settings() -> list[tuple[str, type[Any], str, type[Any], str, Measure]]:
    """Return each combination of a loop, a class made of it, and what is measured."""
    measures: dict[str, Measure] = {
        "call_soon": call_soon,
        "call_soon and run": call_soon_and_run,
        "4 priorities, call_soon and run": four_priorities,
        "a task's 5000 steps": task_steps,
    }
    combinations = []
    for loop_name, loop_class in loops().items():
        classes = {
            "prioritized": governess.prioritized(loop_class),
            "passing on": type("Loop", (PassingOn, loop_class), {}),
        }
        for class_name, other_class in classes.items():
            for what, function in measures.items():
                if class_name == "prioritized" or function is not four_priorities:
                    combinations.append((loop_name, loop_class, class_name, other_class, what, function))
    return combinations


def loops() -> dict[str, type[Any]]:
    found: dict[str, type[Any]] = {"asyncio": asyncio.SelectorEventLoop}
    try:
        import uvloop
    except ImportError:
        return found
    return {**found, "uvloop": uvloop.Loop}


def measure(
    loop_name: str, loop_class: type[Any], class_name: str, other_class: type[Any], what: str, function: Measure
) -> dict[str, Any]:
    """Return the ratios of one combination."""
    plain, other = loop_class(), other_class()
    ratios = []
    gc.disable()
    try:
        function(plain), function(other)
        for _ in range(ROUNDS):
            before = function(plain)
            ratios.append(function(other) / before)
            gc.collect()
    finally:
        gc.enable()
        plain.close()
        other.close()
    summary = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return {"loop": loop_name, "class": class_name, "what": what, **{k: round(v, 3) for k, v in summary.items()}}


def call_soon(loop: AbstractEventLoop) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        loop.call_soon(_nothing)
    took = time.perf_counter() - start
    run_all(loop)
    return took


def call_soon_and_run(loop: AbstractEventLoop) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        loop.call_soon(_nothing)
    run_all(loop)
    return time.perf_counter() - start


def four_priorities(loop: AbstractEventLoop) -> float:
    start = time.perf_counter()
    for level in LEVELS:
        with governess.priority(level):
            for _ in range(CALLS // len(LEVELS)):
                loop.call_soon(_nothing)
    run_all(loop)
    return time.perf_counter() - start


def task_steps(loop: AbstractEventLoop) -> float:
    async def steps() -> None:
        for _ in range(CALLS):
            await asyncio.sleep(0)

    start = time.perf_counter()
    loop.run_until_complete(steps())
    return time.perf_counter() - start


def run_all(loop: AbstractEventLoop) -> None:
    loop.stop()
    loop.run_forever()


def _nothing() -> None: ...


if __name__ == "__main__":
    main()
