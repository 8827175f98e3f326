"""What becomes of a job whose try has ended: it is tried again, or it has ended for good and is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from governess.jobs._attempt import Attempt
from governess.jobs._bounds import Bounds
from governess.jobs._observer import Observer, Recorder, RunSettings
from governess.jobs._outcome import skipped
from governess.jobs._outputs import remove_outputs
from governess.jobs._result import JobResult, Summary
from governess.jobs._schedule import Entry, Schedule
from governess.jobs._states import Event, State

__all__ = ["Ends"]


class Ends:
    """Notes the ends of tries and of jobs.

    Args:
        schedule: the jobs.
        settings: how they are run.
        observer: is told of each end.
        summary: what is known of an earlier run of the journal; all ends are counted in it.
        bounds: is told how long jobs took that have succeeded.
        wake: called when a slot may have something to do.
        halt: called when the rule of the settings ends the run; it gets whether what runs is ended, too, and returns
            whether the run had not been stopped before.

    Attributes:
        recorder: records the ends; None for nothing.
    """

    def __init__(
        self,
        schedule: Schedule,
        settings: RunSettings,
        observer: Observer,
        summary: Summary,
        bounds: Bounds,
        wake: Callable[[], None],
        halt: Callable[[bool], bool],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._schedule = schedule
        self._settings = settings
        self._observer = observer
        self._summary = summary
        self._before = summary.succeeded, summary.failed
        self._bounds = bounds
        self._wake = wake
        self._halt = halt
        self._ending_status: int | None = None
        self.recorder: Recorder | None = None

    @property
    def exit_status(self) -> int:
        """What a command exits with after this run, as it is now."""
        found = self._summary
        return self._settings.halt.exit_status(found.failed, found.started, found.total, self._ending_status)

    def ended(self, attempt: Attempt, event: Event, result: JobResult) -> None:
        """Note the end of a try: the job is tried again, or it has ended for good."""
        entry, options = attempt.entry, attempt.options
        entry.progress = entry.progress.after(event, options.tries)
        if result.state is not State.DONE and entry.job.outputs:
            remove_outputs(entry.job)
        if (
            result.state.is_failure
            and not attempt.lost
            and entry.progress.tries < options.tries
            and options.retry_on.includes(result.state, result.code, lost=result.remark == "lost")
        ):
            self._retry(attempt, result)
        elif self.recorder is not None:
            self.recorder.ended(attempt, result, None, partial(self._settle, attempt, result))
        else:
            self._settle(attempt, result)

    def interrupted(self, attempt: Attempt, result: JobResult) -> None:
        """Have a job run once more whose exit status is lost: it was an earlier run's, or was lost with its worker."""
        entry, options = attempt.entry, attempt.options
        entry.progress = entry.progress.after(Event.INTERRUPT, options.tries)
        remove_outputs(entry.job)
        if self.recorder is not None:
            self.recorder.ended(attempt, result, None, self._wake)
        entry.progress = entry.progress.after(Event.RESUME, options.tries)
        self._schedule.retry(entry, 0.0)
        if not attempt.is_adopted:
            self._observer.retrying(attempt, result, 0.0)
            self._wake()

    def skip(self, entry: Entry) -> None:
        """Note that a job never runs."""
        options = entry.job.options or self._settings.options
        entry.progress = entry.progress.after(Event.SKIP, options.tries)
        result = skipped(entry)
        if self.recorder is not None:
            self.recorder.skipped(entry, result, partial(self.count, result, None))
        else:
            self.count(result, None)

    def count(self, result: JobResult, attempt: Attempt | None) -> None:
        """Count a job that has ended for good."""
        summary, halt = self._summary, self._settings.halt
        summary.add(result)
        succeeded, failed = summary.succeeded - self._before[0], summary.failed - self._before[1]
        if halt.is_reached(succeeded, failed, summary.total) and self._halt(halt.when == "now"):
            self._ending_status = result.exit_status
        self._observer.finished(result, attempt)

    def _retry(self, attempt: Attempt, result: JobResult) -> None:
        entry, options = attempt.entry, attempt.options
        pause = options.backoff.pause(entry.progress.tries)
        entry.progress = entry.progress.after(Event.RETRY, options.tries)
        entry.last = result
        self._summary.retries += 1
        self._schedule.retry(entry, self._loop.time() + pause)
        tell = partial(self._observer.retrying, attempt, result, pause)
        if self.recorder is not None:
            self.recorder.ended(attempt, result, time.time() + pause, tell)
        else:
            tell()

    def _settle(self, attempt: Attempt, result: JobResult) -> None:
        never = self._schedule.settle(attempt.entry, result.state is State.DONE)
        if result.state is State.DONE:
            self._bounds.succeeded(result.duration)
        self.count(result, attempt)
        for later in never:
            self.skip(later)
        self._wake()
