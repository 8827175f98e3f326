"""Whether anything is left of jobs whose worker is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from governess._programs.marks import mark_in
from governess.children._procfs import process_numbers, read_stat
from governess.jobs._survivors import MARK

__all__ = ["any_living", "until_gone"]

_INTERVAL = 0.1
# Looks that find nothing: a process that has just been started shows its mark only when it has exec'ed.
_LOOKS = 2


def any_living(marks: Collection[str], groups: Collection[int]) -> bool:
    """Return whether a process of this machine has one of these marks, or is in one of these process groups."""
    for pid in process_numbers():
        stat = read_stat(pid)
        if stat is not None and stat.is_alive and (stat.group in groups or mark_in(pid, MARK) in marks):
            return True
    return False


async def until_gone(look: Callable[[], Awaitable[bool | None]], timeout: float) -> bool:
    """Wait until nothing is left; return whether that is known.

    Args:
        look: returns, as a coroutine function, whether something is left; None if that cannot be told.
        timeout: how many seconds to wait at most.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    clean = 0
    while loop.time() < until:
        found = await look()
        clean = clean + 1 if found is False else 0
        if clean >= _LOOKS:
            return True
        await asyncio.sleep(_INTERVAL)
    return False
