"""Ending what runs in loops that run by themselves, as `asyncio.run` does it when its coroutine has ended."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import time
import weakref
from collections.abc import Sequence
from typing import Protocol

from governess.loops.submitted import Submitted
from governess.loops.threaded import ThreadedLoop

__all__ = ["close_at_exit", "wind_up"]


class _Closable(Protocol):
    def close(self) -> None: ...


def wind_up(loops: Sequence[ThreadedLoop], deadline: float) -> None:
    """Cancel every task of the loops, and end their async generators and their executors, all loops at once.

    What has not ended at the deadline (of `time.monotonic()`) is left as it is.
    """
    ends: list[Submitted[None]] = []
    for loop in loops:
        with contextlib.suppress(RuntimeError):  # somebody else has closed it
            ends.append(loop.submit(_end_all()))
    concurrent.futures.wait(ends, deadline - time.monotonic())
    for end in ends:
        end.cancel()


def close_at_exit(policy: _Closable) -> None:
    """Close the policy, if it is still there, when the interpreter ends: its threads do not keep that from ending."""
    _policies.add(policy)
    _register()


_policies: weakref.WeakSet[_Closable] = weakref.WeakSet()


@functools.cache
def _register() -> None:
    atexit.register(_close_all)


def _close_all() -> None:
    for policy in list(_policies):
        with contextlib.suppress(RuntimeError):  # a loop that does not stop ends with the process
            policy.close()


async def _end_all() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            message = "unhandled exception while the loop was being closed"
            loop.call_exception_handler({"message": message, "exception": error, "task": task})
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
