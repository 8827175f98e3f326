"""Closing the loops of a policy, also those that run in other threads."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeGuard

from governess.children._per_loop import running_loop
from governess.loops._threaded.calls import JOIN_TIMEOUT, LoopFuture
from governess.loops._threaded.loop import ThreadedLoop

__all__ = ["close_at_exit", "close_loops", "refuse_inside", "shutdown"]


class _Closable(Protocol):
    def close(self) -> None: ...


def shutdown(loops: Sequence[ThreadedLoop], deadline: float) -> None:
    """Cancel all tasks of the loops, and shut down their async generators and executors; all loops at the same time.

    What has not ended at the deadline (by `time.monotonic()`) is left running.
    """
    ends: list[LoopFuture[None]] = []
    for loop in loops:
        with contextlib.suppress(RuntimeError):  # another thread has closed it
            ends.append(loop.submit(_end_all()))
    concurrent.futures.wait(ends, deadline - time.monotonic())
    for end in ends:
        end.cancel()


def close_at_exit(policy: _Closable) -> None:
    """Close the policy, if it still exists, when the interpreter exits; its threads do not delay that."""
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


# Seconds between two looks at whether a loop has stopped.
POLL_INTERVAL = 0.001

# Seconds before the deadline, kept for the loops that can stop after others have used up the rest.
TIME_TO_STOP = 0.5


def close_loops(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Close the loops; a loop that runs in another thread is stopped first.

    If the loop runs continuously, its tasks are cancelled before that, because no caller would do it. All of this ends
    within `JOIN_TIMEOUT` seconds, however many loops there are.

    Raises:
        RuntimeError: a loop does not stop; the others are closed.
    """
    deadline = time.monotonic() + JOIN_TIMEOUT
    continuous = [loop for loop in loops if _runs_continuously(loop)]
    shutdown(continuous, deadline - TIME_TO_STOP)
    for each in continuous:
        each.begin_close()
    for loop in loops:
        _ask_to_stop(loop)
    with contextlib.ExitStack() as each_even_if_one_fails:
        for loop in loops:
            each_even_if_one_fails.callback(_close, loop, deadline)


def refuse_inside(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Check that none of the loops runs in this thread, where it cannot be closed.

    Raises:
        RuntimeError: one of them runs in this thread.
    """
    for loop in loops:
        if running_loop() is loop:
            raise RuntimeError(f"a policy cannot be closed from inside its own loop, {loop!r}")


def _close(loop: asyncio.AbstractEventLoop, deadline: float) -> None:
    with _closable_here_only(loop):
        while not loop.is_closed():
            _ask_to_stop(loop)
            _wait_until_stopped(loop, deadline)
            try:
                if isinstance(loop, ThreadedLoop):
                    loop.close_within(max(deadline - time.monotonic(), 0))
                else:
                    type(loop).close(loop)
            except Exception:
                # Another thread may have started or closed it just before.
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_INTERVAL)


@contextlib.contextmanager
def _closable_here_only(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Keep other threads from starting or closing the loop meanwhile.

    asyncio.Runner, in its thread, does both to clean up. A proactor loop that starts during its `close` stays half
    closed for ever.
    """

    def start() -> None:
        raise RuntimeError(f"{loop!r} is being closed by its policy")

    def close() -> None:
        """Do nothing: this thread closes the loop."""

    attributes: Any = loop
    try:
        attributes.run_forever, attributes.close = start, close
    except AttributeError:  # the loop has slots alone
        yield
        return
    try:
        yield
    finally:
        for name in ("run_forever", "close"):
            vars(attributes).pop(name, None)  # absent if another thread has closed the loop too


def _ask_to_stop(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_running() and not _runs_continuously(loop):  # whose `close` stops it
        with contextlib.suppress(RuntimeError):  # it has been closed meanwhile
            loop.call_soon_threadsafe(loop.stop)


def _wait_until_stopped(loop: asyncio.AbstractEventLoop, deadline: float) -> None:
    while loop.is_running() and not _runs_continuously(loop):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{loop!r} runs in another thread and has not stopped within {JOIN_TIMEOUT:g} s")
        time.sleep(POLL_INTERVAL)


def _runs_continuously(loop: asyncio.AbstractEventLoop) -> TypeGuard[ThreadedLoop]:
    return isinstance(loop, ThreadedLoop) and loop.runs_continuously
