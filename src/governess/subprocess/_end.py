"""How a child is ended: TERM and CONT, a grace, KILL, and what is left in its pipes; each step is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal as signals
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from governess.subprocess._together import run_both

if TYPE_CHECKING:
    from governess.subprocess._process import Process

__all__ = ["EndBounds", "end_process", "output_ended", "terminate"]

logger = logging.getLogger("governess")


class EndBounds(NamedTuple):
    """How long each step of an end may take, in seconds; `Process.end` says what the steps are.

    `request` is the signal that asks to end, in place of TERM.
    """

    grace: float = 5.0
    kill_timeout: float = 5.0
    drain: float = 1.0
    request: int | None = None


async def end_process(process: Process, bounds: EndBounds) -> None:
    """Take the steps of `Process.end`; cancelled, go on to the next step."""
    await run_both(terminate(process, bounds.grace, bounds.request), _await_last_words(process, bounds))


async def output_ended(process: Process, timeout: float) -> bool:
    """Wait until its outputs have ended, and collect what no caller reads; False after `timeout` seconds."""
    if process._streams.is_finished:
        return True
    try:
        async with asyncio.timeout(timeout):
            await process._streams.finish()
    except TimeoutError:
        return False
    return True


async def terminate(process: Process, grace: float, request: int | None = None) -> None:
    """Send TERM (or `request`) and CONT to the process and its group, and after the grace KILL; cancelled, at once."""
    if process._group is not None:
        await process._group.end(grace=grace, request=request)
        return
    try:
        _try(process._child.terminate if request is None else partial(process._child.signal, request))
        if sys.platform != "win32":
            _try(process._child.signal, signals.SIGCONT)  # a stopped process takes the TERM only when it continues
        await _ended(process, grace)
    finally:
        _try(process._child.kill)


async def _await_last_words(process: Process, bounds: EndBounds) -> None:
    await _await_exit(process, bounds.kill_timeout)
    await output_ended(process, bounds.drain)


async def _await_exit(process: Process, kill_timeout: float) -> None:
    started = time.monotonic()
    has_ended = await _ended(process, kill_timeout)
    if process._group is not None and has_ended:
        has_ended = await process._group.emptied(kill_timeout - (time.monotonic() - started))
    if not has_ended:
        logger.warning("%r is not gone %g seconds after a KILL, and is left to the reaper", process, kill_timeout)


async def _ended(process: Process, timeout: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await process.wait()
    return process.exit is not None


def _try(signal: Callable[..., None], *args: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal(*args)
