"""Running all jobs of a plan: slots that take one job after the other, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from governess.jobs._attempt import Attempt, ClusterEngine, Engine
from governess.jobs._bounds import Bounds
from governess.jobs._ends import Ends
from governess.jobs._feed import Feed
from governess.jobs._local import LocalEngine
from governess.jobs._observer import Observer, Recorder, RunSettings
from governess.jobs._outcome import command_of_entry, is_shortage, judge, unstarted
from governess.jobs._pools import Grant
from governess.jobs._result import Summary
from governess.jobs._schedule import Entry, Schedule
from governess.jobs._slots import Slots
from governess.jobs._starter import Starter
from governess.jobs._states import Event
from governess.jobs._survivors import Survivor

__all__ = ["Observer", "Recorder", "RunSettings", "Runner"]


class Runner:
    """One run of a plan.

    Attributes:
        summary: what came of it so far.
        running: the tries that run now.
        adopted: how many jobs an earlier run has started that still ran when this one began.
    """

    def __init__(
        self,
        schedule: Schedule,
        total: int | None,
        settings: RunSettings,
        observer: Observer,
        *,
        engine: Engine | None = None,
        uses_pools: bool = False,
        adopted: Sequence[tuple[Entry, Survivor]] = (),
        settled: Mapping[int, bool] = MappingProxyType({}),
    ) -> None:
        """Be ready to run, in the running loop, what a schedule gives.

        Args:
            schedule: the jobs.
            total: how many jobs there are; None if that is not known.
            settings: how they are run.
            observer: is told what happens.
            engine: runs them; None for this machine.
            uses_pools: whether any job takes something from the pools.
            adopted: jobs that an earlier run has started, and that still run.
            settled: which jobs an earlier run has finished, by number, and whether they have succeeded.
        """
        self._loop = asyncio.get_running_loop()
        self._schedule = schedule
        self._settings = settings
        self._observer = observer
        self._cluster = engine if isinstance(engine, ClusterEngine) else None
        self._starter = Starter(self._loop, engine if engine is not None else LocalEngine())
        self._slots = Slots(self._loop, settings.slots, self._work)
        self._adopted = deque(adopted)
        self.adopted = len(adopted)
        self._settled = settled
        self._needs_pools = uses_pools
        self._is_ending = False
        self._ending_grace = 0.0
        self._failure: Exception | None = None
        self.running: set[Attempt] = set()
        self._bounds = Bounds(self._loop, self.running)
        self._feed = Feed(self._loop, schedule, settings, self._slots, self.running, uses_pools=uses_pools)
        succeeded = sum(settled.values())
        self.summary = Summary(total, succeeded, len(settled) - succeeded, from_journal=len(settled))
        self._ends = Ends(schedule, settings, observer, self.summary, self._bounds, self._slots.wake, self._halt)

    @property
    def recorder(self) -> Recorder | None:
        """What records what happens; None for nothing."""
        return self._ends.recorder

    @recorder.setter
    def recorder(self, recorder: Recorder) -> None:
        self._ends.recorder = recorder

    @property
    def starting(self) -> int:
        """How many tries are being started."""
        return self._starter.starting

    @property
    def is_stopped(self) -> bool:
        """Whether no more jobs are started."""
        return self._feed.is_stopped

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL when the run is ended."""
        return self._settings.options.grace

    async def run(self) -> Summary:
        """Run all jobs, and return what came of them."""
        began = self._loop.time()
        for number, succeeded in self._settled.items():
            self._observer.already(number, succeeded)
        for entry in self._schedule.skipped:
            self._ends.skip(entry)
        self._slots.grow()
        try:
            await self._slots.finish()
        finally:
            await self._clean_up()
        for entry in self._schedule.delayed():
            if entry.last is not None:  # the run was stopped before its next try
                self._ends.count(entry.last, None)
        if self._failure is not None:
            raise self._failure
        self.summary.duration = self._loop.time() - began
        self.summary.exit_status = self._ends.exit_status
        return self.summary

    async def _clean_up(self) -> None:
        """Leave no child behind, should a slot have failed while others start or wait for theirs."""
        if self._slots.is_anyone_left or self.running:
            self.end()
        await self._slots.leave(self.grace + 10)
        if self._cluster is not None:
            await self._cluster.close()
        self._bounds.cancel()
        self._feed.cancel()
        if self.recorder is not None:
            await self.recorder.close(self._ends.exit_status if self._slots.has_finished else None)

    def abort(self, error: Exception) -> None:
        """End the run, which raises the error then."""
        self._failure = self._failure or error
        self.end()

    def stop(self) -> None:
        """Start no more jobs."""
        self._feed.stop()
        self._starter.stop()
        if self._cluster is not None:
            self._cluster.stop()

    def end(self) -> None:
        """Start no more jobs, and end those that run: TERM, a grace, KILL; the second call kills them."""
        self.stop()
        self._ending_grace = 0.0 if self._is_ending else self.grace  # for those too that are just being started
        self._is_ending = True
        for attempt in self.running:
            if attempt.end(self._ending_grace):
                attempt.is_cancelled = True

    def _halt(self, at_once: bool) -> bool:
        if self.is_stopped:
            return False
        if at_once:
            self.end()
        else:
            self.stop()
        return True

    def hold(self) -> None:
        """Start no more jobs until `release`."""
        self._feed.hold()

    def release(self) -> None:
        """Go on starting jobs."""
        self._feed.release()

    async def _work(self, slot: int) -> None:
        while self._adopted:
            entry, survivor = self._adopted.popleft()
            self._slots.grow()
            await self._adopt(entry, survivor, slot)
        while (taken := await self._feed.take()) is not None:
            entry, grant = taken
            if not self.is_stopped:
                self._slots.grow()
            try:
                await self._run(entry, slot, grant)
            finally:
                self._give_back(grant)

    def _give_back(self, grant: Grant | None) -> None:
        if grant is not None:
            self._settings.pools.give_back(grant)
        self._slots.wake()

    async def _run(self, entry: Entry, slot: int, grant: Grant | None) -> None:
        options = entry.job.options or self._settings.options
        before = entry.progress
        entry.progress = before.after(Event.START, options.tries)
        command, error = command_of_entry(entry, slot)
        attempt = Attempt(entry, options, slot, command, grant)
        if grant is not None and grant.tokens:
            attempt.env = {**(attempt.env or {}), **grant.variables()}
        if entry.progress.tries > 1:
            attempt.env = {**(attempt.env or {}), "GOVERNESS_TRY": str(entry.progress.tries)}
        if self.recorder is not None:
            self.recorder.prepare(attempt)
        else:
            attempt.output = self._observer.output(attempt)
        attempt.on_stop = self._stopped_by_terminal
        if error is None:
            error = await self._starter.start(attempt, self.running)
        if error is not None and is_shortage(error) and self.is_stopped:
            entry.progress = before
            self._schedule.give_back(entry)
            self._observer.abandoned(attempt)
            return
        self.summary.started += 1
        if error is not None:
            self._observer.could_not_start(attempt, error)
            self._starter.ended()
            self._ends.ended(attempt, Event.FAIL, unstarted(attempt, error))
            return
        if self.recorder is not None:
            self.recorder.started(attempt)
        await self._finish(attempt)

    async def _adopt(self, entry: Entry, survivor: Survivor, slot: int) -> None:
        options = entry.job.options or self._settings.options
        grant = None
        if self._needs_pools:
            grant = self._settings.pools.adopt(options, survivor.environment)
        attempt = Attempt(entry, options, slot, command_of_entry(entry, slot)[0], grant)
        attempt.is_adopted = True
        attempt.running = survivor
        age = max(time.time() - survivor.started_at, 0.0) if survivor.started_at else 0.0
        attempt.started, attempt.started_at = self._loop.time() - age, time.time() - age
        if self.recorder is not None:
            self.recorder.prepare(attempt)
            self.recorder.started(attempt)
        try:
            await self._finish(attempt)
        finally:
            self._give_back(grant)

    async def _finish(self, attempt: Attempt) -> None:
        """Wait until a try that was started has ended, and note how."""
        running = attempt.running
        assert running is not None
        self.running.add(attempt)
        self._observer.started(attempt)
        timer = self._bounds.begin(attempt)
        if self._is_ending:
            attempt.is_cancelled = attempt.end(self._ending_grace)
        try:
            code = await running.wait()
        finally:
            self.running.discard(attempt)
            self._bounds.end(attempt, timer)
        event, result = judge(attempt, code)
        if event is Event.INTERRUPT:
            self._ends.interrupted(attempt, result)
        else:
            self._starter.ended()
            self._ends.ended(attempt, event, result)

    def _stopped_by_terminal(self, attempt: Attempt) -> None:
        self._observer.lacks_terminal(attempt)
        attempt.end(self.grace)
