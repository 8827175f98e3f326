"""What came of a try: the event for the table of states, and the result."""

from __future__ import annotations

import asyncio
import errno

from governess.jobs._attempt import Attempt, Files
from governess.jobs._job import Command
from governess.jobs._result import JobResult, usage_of_exit
from governess.jobs._schedule import Entry
from governess.jobs._states import Event, State

__all__ = ["command_of_entry", "is_shortage", "judge", "skipped", "unstarted"]

MOST_LOSSES = 3
"""A job that has lost this number of workers in a row has failed, since it is likely that it ends them."""


def judge(attempt: Attempt, code: int | None) -> tuple[Event, JobResult]:
    """Return what has happened to a try that was started.

    Args:
        attempt: the try.
        code: how it ended, as an `Exit`; None if it could not be ended.
    """
    assert attempt.running is not None
    ended = attempt.running.ended or asyncio.get_running_loop().time()
    duration = ended - attempt.started
    if code is None:
        return Event.FAIL, _result(attempt, State.FAILED, 255, duration, reason="not ended", remark="not ended")
    stop = bool(attempt.running.stop)
    event, state = _event(attempt, code, stop)
    usage = usage_of_exit(code) if attempt.usage is None else attempt.usage
    return event, _result(attempt, state, int(code), duration, lacked_terminal=stop, reason=_reason(attempt), **usage)


def _reason(attempt: Attempt) -> str:
    losses = attempt.entry.losses
    if attempt.lost and losses >= MOST_LOSSES:
        return f"{losses} workers in a row were lost while they ran it; the last one: {attempt.lost}"
    return attempt.lost


def _event(attempt: Attempt, code: int, stop: bool) -> tuple[Event, State]:
    if attempt.over_memory:
        return Event.EXCEED_MEMORY, State.MEMORY
    if attempt.timed_out:
        return Event.TIME_OUT, State.TIMEOUT
    if attempt.lost and attempt.entry.losses < MOST_LOSSES and not attempt.is_cancelled:
        return Event.INTERRUPT, State.INTERRUPTED
    if attempt.is_adopted and getattr(code, "lost", False):
        return Event.INTERRUPT, State.INTERRUPTED
    if code == 0 and not stop:
        return Event.SUCCEED, State.DONE
    if attempt.is_cancelled and not stop:
        return Event.CANCEL, State.CANCELLED
    return Event.FAIL, State.FAILED


def unstarted(attempt: Attempt, error: OSError | ValueError) -> JobResult:
    """Return the result of a try that could not be started: 127 if there is no such program, else 126."""
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return _result(attempt, State.FAILED, 127 if isinstance(error, FileNotFoundError) else 126, reason=reason)


def skipped(entry: Entry) -> JobResult:
    """Return the result of a job that never runs."""
    return JobResult(
        *(entry.number, command_of_entry(entry, 0)[0], 0),
        name=entry.job.name,
        state=State.SKIPPED,
        tries=entry.progress.tries,
        reason=f"{entry.blocker} has not succeeded",
    )


def _result(attempt: Attempt, state: State, code: int, duration: float = 0.0, **more: object) -> JobResult:
    files = attempt.output if isinstance(attempt.output, Files) else None
    return JobResult(
        attempt.number,
        attempt.command,
        code,
        duration,
        timed_out=state is State.TIMEOUT,
        name=attempt.job.name,
        state=state,
        tries=attempt.try_number,
        started=attempt.started_at,
        slot=attempt.slot,
        host=attempt.host,
        stdout=files.stdout if files else None,
        stderr=files.stderr if files else None,
        **more,  # type: ignore[arg-type]
    )


def command_of_entry(entry: Entry, slot: int) -> tuple[Command, ValueError | OSError | None]:
    """Return the command of a job, or what stands for it, and why it cannot be made."""
    try:
        return entry.job.in_slot(slot), None
    except ValueError as error:
        return (entry.job.name or f"job {entry.number}",), error


def is_shortage(error: OSError | ValueError) -> bool:
    """Return whether starting may work later, when other commands have ended."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
