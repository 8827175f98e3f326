"""Closing loops wherever they run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from governess.loops.threaded import ThreadedLoop
from governess.policies.winding import wind_up

__all__ = ["close_loops", "refuse_inside"]

# How long loops that run elsewhere have to stop, in seconds.
PATIENCE = 5.0
STEP = 0.001


def close_loops(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Close the loops; those that run in another thread are stopped first.

    The tasks of those that run by themselves are cancelled before that: nobody else would do it.

    Raises:
        RuntimeError: one does not stop, and only the others are closed.
    """
    deadline = time.monotonic() + PATIENCE
    wind_up([loop for loop in loops if _runs_by_itself(loop)], deadline)
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
        if _runs_here(loop):
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
            raise RuntimeError(f"{loop!r} runs in another thread and has not stopped within {PATIENCE:g} s")
        time.sleep(STEP)


def _runs_by_itself(loop: asyncio.AbstractEventLoop) -> TypeGuard[ThreadedLoop]:
    return isinstance(loop, ThreadedLoop) and loop.runs_by_itself


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
