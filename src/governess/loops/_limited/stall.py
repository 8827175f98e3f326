"""The warning of debug mode when nothing can go on in a limited loop."""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any

from governess.loops._limited.limiter import Slot, SlotLimiter

__all__ = ["watch_for_stall"]

logger = logging.getLogger("governess")

# Seconds that a task must have been queued, with all slots taken by tasks that wait.
STALL_TIMEOUT = 1.0


def watch_for_stall(loop: asyncio.AbstractEventLoop, limiter: SlotLimiter) -> None:
    """Warn, once, if no task starts for `STALL_TIMEOUT` seconds while all tasks that have slots wait."""
    if limiter not in _watched:
        _watched.add(limiter)
        _look_later(loop, limiter)


_watched: weakref.WeakSet[SlotLimiter] = weakref.WeakSet()


def _look_later(loop: asyncio.AbstractEventLoop, limiter: SlotLimiter) -> None:
    loop.call_later(STALL_TIMEOUT, _look, loop, limiter, limiter.admitted)


def _look(loop: asyncio.AbstractEventLoop, limiter: SlotLimiter, admitted: int) -> None:
    if not limiter.queue or not loop.get_debug():
        _watched.discard(limiter)
    elif limiter.admitted == admitted and _all_wait(loop):
        _watched.discard(limiter)
        first = next((task for task in asyncio.all_tasks(loop) if _slot_of(task) is limiter.queue.first()), None)
        logger.warning(
            "nothing can go on in %r: all its slots are taken by tasks that wait, and no task has started for %g s; "
            "queued are %d tasks, the first one is %r",
            loop,
            STALL_TIMEOUT,
            len(limiter.queue),
            first,
        )
    else:
        _look_later(loop, limiter)


def _all_wait(loop: asyncio.AbstractEventLoop) -> bool:
    slots = [slot for task in asyncio.all_tasks(loop) if (slot := _slot_of(task)) is not None and slot.is_acquired]
    return all(slot.waits and asyncio.isfuture(slot.awaits) and not slot.awaits.done() for slot in slots)


def _slot_of(task: asyncio.Task[Any]) -> Slot | None:
    slot = task.get_coro()
    return slot if isinstance(slot, Slot) else None
