"""Waiting for several endings, each of which must come to its own end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["wait_for_all"]


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
