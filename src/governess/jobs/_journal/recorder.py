"""Recording in a journal what happens in a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from governess.children._procfs import read_stat
from governess.jobs._attempt import Attempt, Files
from governess.jobs._journal.journal import Journal
from governess.jobs._journal.writer import Change, JobRow, TryRow
from governess.jobs._result import JobResult
from governess.jobs._schedule import Entry
from governess.jobs._states import State
from governess.jobs._survivors import MARK, Survivor, mark_of

__all__ = ["JournalRecorder"]


class JournalRecorder:
    """Puts what happens into a journal.

    Args:
        journal: the journal, which is open.
        has_order: whether jobs wait for others, for which each commit has to be quick.
        on_error: called in the loop, once, if nothing can be written any more.
    """

    def __init__(self, journal: Journal, has_order: bool, on_error: Callable[[Exception], None]) -> None:
        self._journal = journal
        self._writer = journal.start_writing(has_order, on_error)

    def prepare(self, attempt: Attempt) -> None:
        """Have a try write into files, and mark its processes."""
        entry, journal = attempt.entry, self._journal
        if not attempt.is_adopted:
            entry.starts += 1
        name = f"{entry.row}.{entry.starts}"
        attempt.output = Files(journal.outputs / f"{name}.out", journal.outputs / f"{name}.err")
        attempt.survives = True
        attempt.env = {
            **(attempt.env or {}),
            MARK: mark_of(journal.id, entry.row, entry.starts),
            "GOVERNESS_TRY": str(attempt.try_number),
        }

    def started(self, attempt: Attempt) -> None:
        """Record that a try has been started."""
        entry = attempt.entry
        job = JobRow("running", entry.progress.tries, entry.starts, None, entry.duration, "", entry.row)
        self._writer.put(Change(job, partial(self._running, attempt, entry.starts), None))

    def ended(self, attempt: Attempt, result: JobResult, not_before: float | None, then: Callable[[], None]) -> None:
        """Record how a try has ended; `then` as `Recorder.ended` says."""
        entry = attempt.entry
        if result.state is State.DONE:
            entry.duration = result.duration
        state = result.state if not_before is None else State.WAITING
        job = JobRow(state, entry.progress.tries, entry.starts, not_before, entry.duration, result.reason, entry.row)
        self._writer.put(Change(job, partial(self._finished, attempt, entry.starts, result, time.time()), then))

    def skipped(self, entry: Entry, result: JobResult, then: Callable[[], None]) -> None:
        """Record that a job never will run; `then` as `Recorder.skipped` says."""
        job = JobRow("skipped", entry.progress.tries, entry.starts, None, entry.duration, result.reason, entry.row)
        self._writer.put(Change(job, None, then))

    async def close(self, exit_status: int | None) -> None:
        """Wait until everything is recorded, and close the journal."""
        await self._writer.flush()
        self._journal.close(exit_status)

    def _running(self, attempt: Attempt, start: int) -> TryRow:
        pid, pid_started = _identity(attempt)
        return TryRow(
            *(attempt.entry.row, start, self._journal.run, attempt.slot, "running", attempt.started_at, None, None, ""),
            *(None, None, pid, pid_started, attempt.host),
        )

    def _finished(self, attempt: Attempt, start: int, result: JobResult, ended: float) -> TryRow:
        pid = 0 if attempt.running is None else attempt.running.pid
        return TryRow(
            *(attempt.entry.row, start, self._journal.run, attempt.slot, str(result.state), attempt.started_at, ended),
            *(result.code, result.remark, result.cpu, result.peak, pid or None, None, attempt.host),
        )


def _identity(attempt: Attempt) -> tuple[int | None, int | None]:
    """Return the number of the process of a try, and when that was started, as /proc tells; runs in the writer."""
    running = attempt.running
    if isinstance(running, Survivor):  # which may be closed by now
        return running.pid, running.pid_started
    if running is None or not running.pid or not running.is_alive:
        return None, None
    stat = read_stat(running.pid)
    # As long as it is not reaped, its number is not another process's.
    return running.pid, None if stat is None or not running.is_alive else stat.started
