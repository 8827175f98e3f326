"""Starting the tries of jobs, also while descriptors or processes are short."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from governess.children._per_loop import set_unless_done
from governess.jobs._attempt import Attempt, Engine
from governess.jobs._outcome import is_shortage

__all__ = ["Starter"]


class Starter:
    """Starts tries by an engine.

    Args:
        loop: the loop.
        engine: what starts them.

    Attributes:
        starting: how many are being started.
        is_stopped: whether no more are started, where that has to wait for others to end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
        self._loop = loop
        self._engine = engine
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.starting = 0
        self.is_stopped = False

    async def start(self, attempt: Attempt, running: set[Attempt]) -> OSError | ValueError | None:
        """Start a try; while descriptors or processes are short, wait for others to end.

        Returns:
            Why it could not be started; None if it was.
        """
        while True:
            self.starting += 1
            attempt.started, attempt.started_at = self._loop.time(), time.time()
            try:
                attempt.running = await self._engine.start(attempt)
                return None
            except (OSError, ValueError) as error:
                others = self.starting > 1 or running
                if not (is_shortage(error) and others) or self.is_stopped:
                    return error
            finally:
                self.starting -= 1
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def stop(self) -> None:
        """Wait no longer for others to end."""
        self.is_stopped = True
        self._relieve(len(self._waiters))

    def ended(self) -> None:
        """Note that a try has ended, so that another one may have what it had."""
        self._relieve(1)

    def _relieve(self, count: int) -> None:
        while self._waiters and count:
            set_unless_done(self._waiters.popleft(), None)
            count -= 1
