"""Closing a loop wherever it runs."""

from __future__ import annotations

import asyncio
import contextlib
import time

__all__ = ["close_loop"]

# How long a loop that runs elsewhere has to stop, in seconds.
PATIENCE = 5.0


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Close the loop; if it runs in another thread, stop it first.

    Raises:
        RuntimeError: this is called inside the loop, or the loop does not stop.
    """
    if loop.is_closed():
        return
    if loop.is_running():
        if _runs_here(loop):
            raise RuntimeError(f"a policy cannot be closed from inside its own loop, {loop!r}")
        _stop(loop)
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # it has closed itself meanwhile
        loop.call_soon_threadsafe(loop.stop)
    deadline = time.monotonic() + PATIENCE
    while loop.is_running():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{loop!r} runs in another thread and has not stopped within {PATIENCE:g} s")
        time.sleep(0.001)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
