"""Running all jobs of a plan: slots that take one job after the other, and what ends them."""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Protocol

from governess.children._per_loop import set_unless_done
from governess.jobs._attempt import Attempt, Engine, Files, Inherited, Output
from governess.jobs._durations import Median
from governess.jobs._gates import Gate
from governess.jobs._halt import Halt
from governess.jobs._job import Command, JobOptions
from governess.jobs._local import LocalEngine
from governess.jobs._memory import MemoryWatch
from governess.jobs._outputs import remove_outputs
from governess.jobs._plan import JobSource
from governess.jobs._pools import Grant, Pools
from governess.jobs._result import JobResult, Summary, usage_of_exit
from governess.jobs._schedule import Entry, Schedule
from governess.jobs._states import Event, State
from governess.jobs._survivors import Survivor

__all__ = ["Observer", "Recorder", "RunSettings", "Runner", "is_shortage"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the jobs of a plan are run.

    Attributes:
        slots: how many jobs run at once.
        options: how a job without options of its own is run.
        halt: when the run ends before all jobs are done.
        pools: what the jobs share.
        gates: what holds starts back.
    """

    slots: int = 1
    options: JobOptions = field(default_factory=JobOptions)
    halt: Halt = field(default_factory=Halt)
    pools: Pools = field(default_factory=lambda: Pools(float("inf"), None))
    gates: Sequence[Gate] = ()


class Observer:
    """What happens in a run, told to who shows it; each method is called in the loop, and is quick."""

    def output(self, attempt: Attempt) -> Output:
        """Return where the output of a try goes, if no journal takes it."""
        return Inherited()

    def started(self, attempt: Attempt) -> None:
        """Note that a try has been started."""

    def could_not_start(self, attempt: Attempt, error: OSError | ValueError) -> None:
        """Note that a try could not be started; `finished` comes, too."""

    def lacks_terminal(self, attempt: Attempt) -> None:
        """Note that a job is ended, since it uses the terminal and does not have it."""

    def retrying(self, attempt: Attempt, result: JobResult, pause: float) -> None:
        """Note that a try has failed, and that the next one comes after a pause of so many seconds."""

    def abandoned(self, attempt: Attempt) -> None:
        """Note that a job was not started, since the run ends."""

    def already(self, number: int, succeeded: bool) -> None:
        """Note that an earlier run of the journal has finished a job, which is not run again."""

    def finished(self, result: JobResult, attempt: Attempt | None) -> None:
        """Note that a job has ended for good; there is no try of one that was skipped or that a journal has."""


class Recorder(Protocol):
    """Keeps what happens, so that another run can go on with it."""

    def prepare(self, attempt: Attempt) -> None:
        """Set the output and the environment of a try that is about to start."""
        ...

    def started(self, attempt: Attempt) -> None:
        """Record that a try has been started."""
        ...

    def ended(self, attempt: Attempt, result: JobResult, not_before: float | None, then: Callable[[], None]) -> None:
        """Record how a try has ended, and call `then` in the loop when that cannot be lost any more.

        Args:
            attempt: the try.
            result: how it has ended.
            not_before: when the next try may start, in seconds since the epoch; None if there is none.
            then: what is called.
        """
        ...

    def skipped(self, entry: Entry, result: JobResult, then: Callable[[], None]) -> None:
        """Record that a job never will run; `then` as of `ended`."""
        ...

    async def close(self, exit_status: int | None) -> None:
        """Wait until everything is recorded, and the calls of `then` are made; the run has ended."""
        ...


class Runner:
    """One run of a plan.

    Attributes:
        summary: what came of it so far.
        running: the tries that run now.
        starting: how many are being started.
        is_stopped: whether no more jobs are started.
        recorder: records what happens; None if nobody does.
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
        self._engine = engine if engine is not None else LocalEngine()
        self.recorder: Recorder | None = None
        self._adopted = deque(adopted)
        self._pools = settings.pools
        self._gates = list(settings.gates)
        self._waiters: list[asyncio.Future[None]] = []
        self._short: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._slots = 0
        self._done: asyncio.Future[None] | None = None
        self._input: asyncio.Task[None] | None = None
        self._held = False
        self._is_ending = False
        self._ending_grace = 0.0
        self._grant: Grant | None = None
        self._needs_pools = uses_pools
        self._failure: Exception | None = None
        self._median = Median()
        self._culprit: int | None = None
        self._memory = MemoryWatch(self._loop, self._over_memory)
        self._factor_timer: asyncio.TimerHandle | None = None
        self.summary = Summary(total)
        self._settled = settled
        for succeeded in settled.values():
            self.summary.from_journal += 1
            if succeeded:
                self.summary.succeeded += 1
            else:
                self.summary.failed += 1
        self._settled_before = self.summary.succeeded, self.summary.failed
        self.running: set[Attempt] = set()
        self.starting = 0
        self.is_stopped = False

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL when the run is ended."""
        return self._settings.options.grace

    async def run(self) -> Summary:
        """Run all jobs, and return what came of them."""
        began = self._loop.time()
        self._done = self._loop.create_future()
        for number, succeeded in self._settled.items():
            self._observer.already(number, succeeded)
        for entry in self._schedule.skipped:
            self._skip(entry)
        self._grow()
        try:
            await self._done
        finally:
            await self._end_what_is_left()
            self._memory.cancel()
            if self._factor_timer is not None:
                self._factor_timer.cancel()
            if self._input is not None:
                self._input.cancel()
            if self.recorder is not None:
                await self.recorder.close(self._exit_status() if self._done.done() else None)
        for entry in self._schedule.delayed():
            if entry.last is not None:  # the run was stopped before its next try
                self._count(entry.last, None)
        if self._failure is not None:
            raise self._failure
        self.summary.wall = self._loop.time() - began
        self.summary.exit_status = self._exit_status()
        return self.summary

    def abort(self, error: Exception) -> None:
        """End the run, which raises the error then."""
        self._failure = self._failure or error
        self.end()

    def _exit_status(self) -> int:
        found = self.summary
        return self._settings.halt.exit_status(found.failed, found.started, found.total, self._culprit)

    def stop(self) -> None:
        """Start no more jobs."""
        self.is_stopped = True
        self._wake()
        self._relieve(len(self._short))

    def end(self) -> None:
        """Start no more jobs, and end those that run: TERM, a grace, KILL; the second call kills them."""
        self.stop()
        self._ending_grace = 0.0 if self._is_ending else self.grace  # for those too that are just being started
        self._is_ending = True
        for attempt in self.running:
            if attempt.end(self._ending_grace):
                attempt.is_cancelled = True

    def hold(self) -> None:
        """Start no more jobs until `release`."""
        self._held = True

    def release(self) -> None:
        """Go on starting jobs."""
        self._held = False
        self._wake()

    def _grow(self) -> None:
        """Have one more slot, if there may be one, and none waits for a job."""
        if self._slots >= self._settings.slots or self._waiters or self.is_stopped:
            return
        self._slots += 1
        worker = self._loop.create_task(self._work(self._slots))
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        assert self._done is not None
        if self._done.done():
            return
        if worker.cancelled():
            self._done.cancel()
        elif (error := worker.exception()) is not None:
            self._done.set_exception(error)
        elif not self._workers:
            self._done.set_result(None)

    async def _work(self, slot: int) -> None:
        while self._adopted:
            entry, survivor = self._adopted.popleft()
            self._grow()
            await self._adopt(entry, survivor, slot)
        while (entry := await self._take()) is not None:  # type: ignore[assignment]
            grant, self._grant = self._grant, None
            self._grow()
            try:
                await self._run(entry, slot, grant)
            finally:
                if grant is not None:
                    self._pools.give_back(grant)
                self._wake()

    async def _take(self) -> Entry | None:
        """Wait until a job may be started, and return it; None if there is none any more."""
        while not self.is_stopped:
            now = self._loop.time()
            pause = (
                _HELD if self._held else max((gate.pause(now, len(self.running)) for gate in self._gates), default=0)
            )
            if pause > 0:
                await self._wait(pause)
                continue
            entry = self._schedule.take(now, self._may_take if self._needs_pools else None)
            if entry is not None:
                for gate in self._gates:
                    gate.started(now)
                return entry
            if self._schedule.is_over:
                return None
            if self._schedule.source is not None and self._input is None:
                self._input = self._loop.create_task(self._await_input(self._schedule.source))
            due = self._schedule.next_time()
            await self._wait(None if due is None else max(due - now, 0.0))
        return None

    def _pause(self, now: float) -> float:
        """Return after how many seconds to ask again whether a job may be started; 0 if it may be now."""
        if self._held:
            return _HELD
        return max((gate.pause(now, len(self.running)) for gate in self._gates), default=0.0)

    async def _await_input(self, source: JobSource) -> None:
        await source.wait()
        self._input = None
        self._wake()

    def _may_take(self, entry: Entry) -> bool:
        options = entry.job.options or self._settings.options
        if not options.needs:
            return True
        self._grant = self._pools.take(options)
        return self._grant is not None

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something has changed, or for so many seconds."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        timer = None if seconds is None else self._loop.call_later(seconds, set_unless_done, waiter, None)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                set_unless_done(waiter, None)

    async def _run(self, entry: Entry, slot: int, grant: Grant | None) -> None:
        options = entry.job.options or self._settings.options
        before = entry.progress
        entry.progress = before.after(Event.START, options.tries)
        command, error = _command(entry, slot)
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
            error = await self._start(attempt)
        if error is None:
            self.summary.started += 1
            if self.recorder is not None:
                self.recorder.started(attempt)
            await self._finish(attempt)
        elif is_shortage(error) and self.is_stopped:
            entry.progress = before
            self._schedule.give_back(entry)
            self._observer.abandoned(attempt)
        else:
            self.summary.started += 1
            self._observer.could_not_start(attempt, error)
            missing = isinstance(error, FileNotFoundError)
            result = self._result(attempt, State.FAILED, 127 if missing else 126, reason=_reason(error))
            self._ended(attempt, Event.FAIL, result)

    async def _adopt(self, entry: Entry, running: Survivor, slot: int) -> None:
        options = entry.job.options or self._settings.options
        attempt = Attempt(entry, options, slot, _command(entry, slot)[0])
        attempt.is_adopted = True
        attempt.running = running
        age = max(time.time() - running.started_at, 0.0) if running.started_at else 0.0
        attempt.started, attempt.started_at = self._loop.time() - age, time.time() - age
        if self.recorder is not None:
            self.recorder.prepare(attempt)
            self.recorder.started(attempt)
        await self._finish(attempt)

    async def _start(self, attempt: Attempt) -> OSError | ValueError | None:
        """Start a try; while descriptors or processes are short, wait for others to end."""
        while True:
            self.starting += 1
            attempt.started, attempt.started_at = self._loop.time(), time.time()
            try:
                attempt.running = await self._engine.start(attempt)
                return None
            except (OSError, ValueError) as error:
                others = self.starting > 1 or self.running
                if not (is_shortage(error) and others) or self.is_stopped:
                    return error
            finally:
                self.starting -= 1
            waiter = self._loop.create_future()
            self._short.append(waiter)
            await waiter

    def _relieve(self, count: int) -> None:
        while self._short and count:
            set_unless_done(self._short.popleft(), None)
            count -= 1

    async def _finish(self, attempt: Attempt) -> None:
        """Wait until a try that was started has ended, and note how."""
        running, options = attempt.running, attempt.options
        assert running is not None
        self.running.add(attempt)
        self._observer.started(attempt)
        timer = None
        if self._is_ending:
            attempt.is_cancelled = attempt.end(self._ending_grace)
        elif options.timeout is not None:
            timer = self._loop.call_at(attempt.started + options.timeout, self._time_out, attempt)
        if options.timeout_factor is not None and self._factor_timer is None:
            self._check_factors()
        if options.memory is not None:
            self._memory.add(attempt)
        try:
            code = await running.wait()
        finally:
            self.running.discard(attempt)
            if timer is not None:
                timer.cancel()
            if options.memory is not None:
                self._memory.discard(attempt)
        event, result = self._judge(attempt, code)
        if event is Event.INTERRUPT:
            self._run_again(attempt, result)
        else:
            self._ended(attempt, event, result)

    def _judge(self, attempt: Attempt, code: int | None) -> tuple[Event, JobResult]:
        assert attempt.running is not None
        wall = attempt.running.ended - attempt.started
        if code is None:
            return Event.FAIL, self._result(attempt, State.FAILED, 255, wall, reason="not ended", remark="not ended")
        stop = bool(attempt.running.stop)
        if attempt.is_adopted and getattr(code, "lost", False) and not attempt.timed_out and not attempt.over_memory:
            event, state = Event.INTERRUPT, State.INTERRUPTED
        elif attempt.over_memory:
            event, state = Event.EXCEED_MEMORY, State.MEMORY
        elif attempt.timed_out:
            event, state = Event.TIME_OUT, State.TIMEOUT
        elif code == 0 and not stop:
            event, state = Event.SUCCEED, State.DONE
        elif attempt.is_cancelled and not stop:
            event, state = Event.CANCEL, State.CANCELLED
        else:
            event, state = Event.FAIL, State.FAILED
        usage = usage_of_exit(code)
        return event, self._result(attempt, state, int(code), wall, lacked_terminal=stop, **usage)

    def _result(self, attempt: Attempt, state: State, code: int, wall: float = 0.0, **more: object) -> JobResult:
        files = attempt.output if isinstance(attempt.output, Files) else None
        return JobResult(
            attempt.number,
            attempt.command,
            code,
            wall,
            timed_out=state is State.TIMEOUT,
            name=attempt.job.name,
            state=state,
            tries=attempt.try_number,
            started=attempt.started_at,
            slot=attempt.slot,
            stdout=files.stdout if files else None,
            stderr=files.stderr if files else None,
            **more,  # type: ignore[arg-type]
        )

    def _ended(self, attempt: Attempt, event: Event, result: JobResult) -> None:
        """Note the end of a try: the job is tried again, or it has ended for good."""
        entry, options = attempt.entry, attempt.options
        self._relieve(len(self._short) if self.is_stopped else 1)
        entry.progress = entry.progress.after(event, options.tries)
        if result.state is not State.DONE and entry.job.outputs:
            remove_outputs(entry.job)
        if (
            result.state.is_failure
            and entry.progress.tries < options.tries
            and options.retry_on.includes(result.state, result.code, lost=result.remark == "lost")
        ):
            self._retry(attempt, result)
        elif self.recorder is not None:
            self.recorder.ended(attempt, result, None, partial(self._settle, attempt, result))
        else:
            self._settle(attempt, result)

    def _retry(self, attempt: Attempt, result: JobResult) -> None:
        entry, options = attempt.entry, attempt.options
        pause = options.backoff.pause(entry.progress.tries)
        entry.progress = entry.progress.after(Event.RETRY, options.tries)
        entry.last = result
        self.summary.retries += 1
        self._schedule.retry(entry, self._loop.time() + pause)
        tell = partial(self._observer.retrying, attempt, result, pause)
        if self.recorder is not None:
            self.recorder.ended(attempt, result, time.time() + pause, tell)
        else:
            tell()

    def _run_again(self, attempt: Attempt, result: JobResult) -> None:
        """Run a job of an earlier run once more: it has ended, and nobody knows how."""
        entry, options = attempt.entry, attempt.options
        entry.progress = entry.progress.after(Event.INTERRUPT, options.tries)
        remove_outputs(entry.job)
        if self.recorder is not None:
            self.recorder.ended(attempt, result, None, self._wake)
        entry.progress = entry.progress.after(Event.RESUME, options.tries)
        self._schedule.retry(entry, 0.0)

    def _settle(self, attempt: Attempt, result: JobResult) -> None:
        entry = attempt.entry
        never = self._schedule.settle(entry, result.state is State.DONE)
        if result.state is State.DONE:
            self._median.add(result.wall)
        self._count(result, attempt)
        for later in never:
            self._skip(later)
        self._wake()

    def _skip(self, entry: Entry) -> None:
        options = entry.job.options or self._settings.options
        entry.progress = entry.progress.after(Event.SKIP, options.tries)
        failed = " or ".join(entry.job.after)
        result = JobResult(
            *(entry.number, _command(entry, 0)[0], 0),
            name=entry.job.name,
            state=State.SKIPPED,
            tries=entry.progress.tries,
            reason=f"{failed} has not succeeded",
        )
        if self.recorder is not None:
            self.recorder.skipped(entry, result, partial(self._count, result, None))
        else:
            self._count(result, None)

    def _count(self, result: JobResult, attempt: Attempt | None) -> None:
        summary, halt = self.summary, self._settings.halt
        summary.add(result)
        succeeded, failed = self._settled_before
        if not self.is_stopped and halt.is_reached(
            summary.succeeded - succeeded, summary.failed - failed, summary.total
        ):
            self._culprit = result.exit_status
            if halt.when == "now":
                self.end()
            else:
                self.stop()
        self._observer.finished(result, attempt)

    def _time_out(self, attempt: Attempt) -> None:
        if not attempt.is_cancelled and not attempt.over_memory and attempt.end(attempt.options.grace):
            attempt.timed_out = True

    def _over_memory(self, attempt: Attempt) -> None:
        if not attempt.is_cancelled and not attempt.timed_out and attempt.end(attempt.options.grace):
            attempt.over_memory = True

    def _check_factors(self) -> None:
        """End the jobs that take more than their multiple of the median."""
        self._factor_timer = self._loop.call_later(_INTERVAL, self._check_factors)
        if len(self._median) < _LEAST_FOR_MEDIAN:
            return
        now, median = self._loop.time(), self._median.value
        for attempt in self.running:
            factor = attempt.options.timeout_factor
            if factor is not None and now - attempt.started > max(factor * median, _INTERVAL):
                self._time_out(attempt)

    def _stopped_by_terminal(self, attempt: Attempt) -> None:
        self._observer.lacks_terminal(attempt)
        attempt.end(self.grace)

    async def _end_what_is_left(self) -> None:
        """Leave no child behind, should one of the workers have failed while others start or wait for theirs."""
        if self._workers or self.running:
            self.end()
        if self._workers:
            await asyncio.wait(self._workers, timeout=self.grace + 10)


_HELD = 0.1
# Seconds between two looks at the jobs whose timeout depends on the median.
_INTERVAL = 0.1
_LEAST_FOR_MEDIAN = 3


def _command(entry: Entry, slot: int) -> tuple[Command, ValueError | OSError | None]:
    """Return the command of a job, or what stands for it, and why it cannot be made."""
    try:
        return entry.job.in_slot(slot), None
    except ValueError as error:
        return (entry.job.name or f"job {entry.number}",), error


def is_shortage(error: OSError | ValueError) -> bool:
    """Return whether starting may work later, when other commands have ended."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
