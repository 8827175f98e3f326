"""What bounds a try: its timeout, its share of the median, and its memory."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from governess.jobs._attempt import Attempt
from governess.jobs._durations import Median
from governess.jobs._memory import MemoryWatch

__all__ = ["Bounds"]

# Seconds between two looks at the jobs whose timeout depends on the median.
_INTERVAL = 0.1
_LEAST_FOR_MEDIAN = 3


class Bounds:
    """Ends the tries that take too long, or too much memory.

    Args:
        loop: the loop.
        running: all tries that run.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, running: Collection[Attempt]) -> None:
        self._loop = loop
        self._running = running
        self._median = Median()
        self._memory = MemoryWatch(loop, self._over_memory)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, attempt: Attempt) -> asyncio.TimerHandle | None:
        """Look after a try from now on; return the timer of its timeout, if it has one."""
        options = attempt.options
        if options.timeout_factor is not None and self._timer is None:
            self._check_factors()
        if options.memory is not None:
            self._memory.add(attempt)
        if options.timeout is None:
            return None
        return self._loop.call_at(attempt.started + options.timeout, self._time_out, attempt)

    def end(self, attempt: Attempt, timer: asyncio.TimerHandle | None) -> None:
        """Look after a try no longer."""
        if timer is not None:
            timer.cancel()
        if attempt.options.memory is not None:
            self._memory.discard(attempt)

    def succeeded(self, duration: float) -> None:
        """Note how many seconds a job took that has succeeded."""
        self._median.add(duration)

    def cancel(self) -> None:
        """Look after nothing any more."""
        self._memory.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _time_out(self, attempt: Attempt) -> None:
        if not attempt.is_cancelled and not attempt.over_memory and attempt.end(attempt.options.grace):
            attempt.timed_out = True

    def _over_memory(self, attempt: Attempt) -> None:
        is_ended = attempt.is_cancelled or attempt.timed_out or attempt.over_memory
        if not is_ended and attempt.end(attempt.options.grace):
            attempt.over_memory = True

    def _check_factors(self) -> None:
        """End the jobs that take more than their multiple of the median."""
        self._timer = self._loop.call_later(_INTERVAL, self._check_factors)
        if len(self._median) < _LEAST_FOR_MEDIAN:
            return
        now, median = self._loop.time(), self._median.value
        for attempt in self._running:
            factor = attempt.options.timeout_factor
            is_too_long = factor is not None and now - attempt.started > max(factor * median, _INTERVAL)
            if is_too_long and not attempt.timed_out:
                self._time_out(attempt)
