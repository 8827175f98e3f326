"""Waiting for several endings, each of which must come to its own end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

__all__ = ["cancel_all", "own_task", "results_of", "run_both", "wait_for_all"]


def own_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Make a task of the running loop for work of this package.

    In a limited loop it needs no slot: the caller's task, which waits for it, may have the last one.
    """
    loop = asyncio.get_running_loop()
    create_task: Callable[..., asyncio.Task[Any]] = getattr(loop, "create_exempt_task", loop.create_task)
    return create_task(coroutine)


async def run_both(first: Coroutine[Any, Any, object], second: Coroutine[Any, Any, object]) -> None:
    """Wait for the first, then for the second, also if the first has failed or was cancelled.

    Thrown away meanwhile (its loop is closed, and nothing can be waited for any more), it leaves the second alone.
    """
    try:
        await first
    except GeneratorExit:
        second.close()
        raise
    except BaseException:
        await second
        raise
    await second


def cancel_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the tasks; without effect if their loop is closed."""
    for task in tasks:
        with contextlib.suppress(RuntimeError):
            task.cancel()


async def wait_for_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until all tasks are done; cancelled, cancel each of them, which takes it to its next step, and wait on."""
    running = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while running:
        try:
            _, running = await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
            running = {task for task in running if not task.done()}
            for task in running:
                task.cancel()
    if cancelled is not None:
        raise cancelled


async def results_of(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Return the results of all coroutines; none of them runs on afterwards."""
    tasks = [own_task(each) for each in coroutines]
    # Not by gather(): thrown away in a closed loop, it leaves an exception that nobody has retrieved, which is logged.
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        cancel_all(tasks)
        await wait_for_all(tasks)
        _failed(tasks)
        raise
    finally:
        cancel_all(tasks)
    for task in _failed(tasks):
        task.result()  # which raises
    return [task.result() for task in tasks]


def _failed(tasks: Iterable[asyncio.Future[Any]]) -> list[asyncio.Future[Any]]:
    """Return the tasks that have failed, whose exceptions are retrieved by that."""
    return [task for task in tasks if task.done() and not task.cancelled() and task.exception() is not None]
