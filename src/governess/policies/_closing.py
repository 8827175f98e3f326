"""Closing a loop: its tasks are cancelled, its generators and executor shut down."""

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
    """Cancel every task of the loops, and end their async generators and their executors, all loops at once.

    What has not ended at the deadline (of `time.monotonic()`) is left as it is.
    """
    ends: list[LoopFuture[None]] = []
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


STEP = 0.001


def close_loops(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Close the loops; those that run in another thread are stopped first.

    The tasks of those that run by themselves are cancelled before that: nobody else would do it.

    Raises:
        RuntimeError: one does not stop, and only the others are closed.
    """
    deadline = time.monotonic() + JOIN_TIMEOUT
    shutdown([loop for loop in loops if _runs_by_itself(loop)], deadline)
    for loop in loops:
        _ask_to_stop(loop)
    with contextlib.ExitStack() as each_even_if_one_fails:
        for loop in loops:
            each_even_if_one_fails.callback(_close, loop, deadline)


def refuse_inside(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Check that none of the loops runs here, where it cannot be closed.

    Raises:
        RuntimeError: one does.
    """
    for loop in loops:
        if running_loop() is loop:
            raise RuntimeError(f"a policy cannot be closed from inside its own loop, {loop!r}")


def _close(loop: asyncio.AbstractEventLoop, deadline: float) -> None:
    with _taken_from_others(loop):
        while not loop.is_closed():
            _ask_to_stop(loop)
            _wait_until_stopped(loop, deadline)
            try:
                type(loop).close(loop)
            except Exception:
                # Another thread may have begun to start or to close it before it was taken.
                if time.monotonic() > deadline:
                    raise
                time.sleep(STEP)


@contextlib.contextmanager
def _taken_from_others(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let nobody else start or close the loop meanwhile.

    asyncio.Runner, in its thread, does both to clean up. A proactor loop that starts in the middle of its `close` stays
    half closed for ever.
    """

    def start() -> None:
        raise RuntimeError(f"{loop!r} is being closed by its policy")

    def close() -> None:
        """We do."""

    theirs: Any = loop
    try:
        theirs.run_forever, theirs.close = start, close
    except AttributeError:  # an object without attributes of its own
        yield
        return
    try:
        yield
    finally:
        for name in ("run_forever", "close"):
            vars(theirs).pop(name, None)  # gone, if another thread has closed the loop too


def _ask_to_stop(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_running() and not _runs_by_itself(loop):  # which its `close` can stop
        with contextlib.suppress(RuntimeError):  # it has closed itself meanwhile
            loop.call_soon_threadsafe(loop.stop)


def _wait_until_stopped(loop: asyncio.AbstractEventLoop, deadline: float) -> None:
    while loop.is_running() and not _runs_by_itself(loop):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{loop!r} runs in another thread and has not stopped within {JOIN_TIMEOUT:g} s")
        time.sleep(STEP)


def _runs_by_itself(loop: asyncio.AbstractEventLoop) -> TypeGuard[ThreadedLoop]:
    return isinstance(loop, ThreadedLoop) and loop.runs_continuously
