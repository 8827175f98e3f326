"""Which job a free slot takes, and when: what is ready, what is free, and what holds starts back."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from governess.jobs._attempt import Attempt
from governess.jobs._observer import RunSettings
from governess.jobs._plan import JobSource
from governess.jobs._pools import Grant
from governess.jobs._schedule import Entry, Schedule
from governess.jobs._slots import Slots

__all__ = ["Feed"]

# Seconds between two looks whether a run that is held may go on.
_HELD = 0.1


class Feed:
    """Gives the slots of a run their jobs.

    Args:
        loop: the loop.
        schedule: the jobs.
        settings: how they are run.
        slots: what takes them.
        running: all tries that run.
        uses_pools: whether any job takes something from the pools.

    Attributes:
        is_stopped: whether there are no more jobs for the slots.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        schedule: Schedule,
        settings: RunSettings,
        slots: Slots,
        running: Collection[Attempt],
        *,
        uses_pools: bool,
    ) -> None:
        self._loop = loop
        self._schedule = schedule
        self._settings = settings
        self._slots = slots
        self._running = running
        self._may_take = self._take_grant if uses_pools else None
        self._grant: Grant | None = None
        self._input: asyncio.Task[None] | None = None
        self._held = False
        self.is_stopped = False

    async def take(self) -> tuple[Entry, Grant | None] | None:
        """Wait until a job may be started, and return it with what it has taken; None if there is none any more."""
        while not self.is_stopped:
            now = self._loop.time()
            if (pause := self._pause(now)) > 0:
                await self._slots.wait(pause)
                continue
            entry = self._schedule.take(now, self._may_take)
            if entry is not None:
                for gate in self._settings.gates:
                    gate.started(now)
                grant, self._grant = self._grant, None
                return entry, grant
            if self._schedule.is_over:
                return None
            if self._schedule.source is not None and self._input is None:
                self._input = self._loop.create_task(self._await_input(self._schedule.source))
            due = self._schedule.next_time()
            await self._slots.wait(None if due is None else max(due - now, 0.0))
        return None

    def stop(self) -> None:
        """Give the slots nothing more."""
        self.is_stopped = True
        self._slots.wake()

    def hold(self) -> None:
        """Give the slots nothing until `release`."""
        self._held = True

    def release(self) -> None:
        """Go on."""
        self._held = False
        self._slots.wake()

    def cancel(self) -> None:
        """Wait for no more input."""
        if self._input is not None:
            self._input.cancel()

    def _pause(self, now: float) -> float:
        """Return after how many seconds to ask again whether a job may be started; 0 if it may be now."""
        if self._held:
            return _HELD
        running = len(self._running)
        return max((gate.pause(now, running) for gate in self._settings.gates), default=0.0)

    def _take_grant(self, entry: Entry) -> bool:
        options = entry.job.options or self._settings.options
        if not options.needs:
            return True
        self._grant = self._settings.pools.take(options)
        return self._grant is not None

    async def _await_input(self, source: JobSource) -> None:
        await source.wait()
        self._input = None
        self._slots.wake()
