"""What came of a job, and of a run."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from governess.jobs._job import Command
from governess.jobs._states import State

if sys.platform != "win32":
    import resource

__all__ = ["JobResult", "Summary"]


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of one job.

    Attributes:
        number: the number of the job in the plan, from 1.
        command: the command.
        code: the exit status; the negative number of the signal; or 126 or 127 for a command that could not start.
        duration: the duration of the last try in seconds.
        cpu: seconds of processor time, user and system; None if the system does not report it.
        peak: the peak of the memory in use, in bytes; None if the system does not report it.
        peak_is_bound: whether `peak` is only an upper bound: on Linux a child begins with the peak of its parent.
        timed_out: whether the job was ended because its timeout was over.
        lacked_terminal: whether the job was ended because it used the terminal without having it.
        remark: a word to show beside the code, such as `lost` or `core`.
        name: the name of the job; ``""`` for none.
        state: the final state of the job.
        tries: the number of tries that were started.
        started: when the last try was started, in seconds since the epoch; 0 if none was started.
        slot: the number of the slot that ran the job, from 1; 0 for none.
        reason: why the job failed or was skipped, in a few words; ``""`` where the code is the reason.
        stdout: the file with the standard output, if the run has a journal; else None.
        stderr: the file with the standard error, if the run has a journal; else None.
        host: the name that the engine gives to the host of the job; ``""`` for this machine.
        from_journal: whether the result comes from an earlier run of the journal; this run did not run the job.
    """

    number: int
    command: Command
    code: int
    duration: float = 0.0
    cpu: float | None = None
    peak: int | None = None
    peak_is_bound: bool = False
    timed_out: bool = False
    lacked_terminal: bool = False
    remark: str = ""
    name: str = ""
    state: State = State.DONE
    tries: int = 1
    started: float = 0.0
    slot: int = 0
    reason: str = ""
    stdout: Path | None = None
    stderr: Path | None = None
    host: str = ""
    from_journal: bool = False

    @property
    def failed(self) -> bool:
        """Whether the job counts as failed."""
        if self.state is State.SKIPPED:
            return False
        return self.code != 0 or self.timed_out or self.lacked_terminal or self.state is State.MEMORY

    @property
    def status(self) -> str:
        """The exit status, or the name of the signal, as a short text."""
        if self.state is State.SKIPPED:
            return "skipped"
        if self.timed_out:
            return "timed out"
        if self.state is State.MEMORY:
            return "memory"
        if self.lacked_terminal:
            return "no terminal"
        if self.remark == "lost":
            return "lost"
        if self.code < 0:
            return signal_name(-self.code) + (f" ({self.remark})" if self.remark else "")
        text = str(self.code) if self.code < 0x8000_0000 else f"{self.code:#x}"  # as Windows shows exception codes
        return f"{text} ({self.remark})" if self.remark else text

    @property
    def exit_status(self) -> int:
        """The exit status as in a shell, at most 255; after a signal, 128 plus the number of the signal."""
        return 128 - self.code if self.code < 0 else min(self.code, 255)


def usage_of_exit(code: int) -> dict[str, Any]:
    """Return what an exit tells of the use of resources and of its kind, as attributes of a `JobResult`."""
    lost, dumped = getattr(code, "lost", False), getattr(code, "core_dumped", False)
    found: dict[str, Any] = {"remark": "lost" if lost else "core" if dumped else ""}
    usage: Any = getattr(code, "rusage", None)
    if usage is not None:
        found["cpu"] = usage.ru_utime + usage.ru_stime
        found["peak"], found["peak_is_bound"] = _peak(usage)
    return found


def _peak(usage: Any) -> tuple[int, bool]:
    """Return the peak of memory in bytes, and whether it may be the peak of this process instead.

    Linux counts what a process had mapped before exec: with vfork, that is the memory of its parent (`exec_mmap()` in
    fs/exec.c takes over the old peak).
    """
    if sys.platform == "darwin":
        return usage.ru_maxrss, False
    return usage.ru_maxrss * 1024, sys.platform == "linux" and usage.ru_maxrss <= _our_peak(usage.ru_maxrss)


def _our_peak(least: int) -> int:
    """Return the peak of this process in KiB; it never falls, so the kernel is asked only if it must have grown."""
    global _peak_before
    if _peak_before < least:
        _peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _peak_before


_peak_before = -1


def signal_name(number: int) -> str:
    """Return the name of a signal, as `kill -l` has it."""
    if sys.platform != "win32" and signal.SIGRTMIN < number <= signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(slots=True)
class Summary:
    """The counts and times of a run so far.

    Attributes:
        total: the number of jobs in the plan; None if unknown.
        succeeded: the number of jobs that have succeeded, in this run or in an earlier run of the journal.
        failed: the number of jobs that have failed.
        skipped: the number of jobs that were skipped because a job that they wait for did not succeed.
        cancelled: the number of failed jobs that the run itself ended, through `end` or the rule of `halt`.
        started: the number of jobs that this run started.
        from_journal: the number of jobs that an earlier run of the journal finished.
        retries: the number of tries after which the job was tried again.
        duration: the duration of the run in seconds.
        cpu: seconds of processor time of all jobs; None if the system does not report it.
        exit_status: the exit status of a command after this run, as in GNU parallel.
        by_state: the number of jobs in each final state.
    """

    total: int | None = None
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    started: int = 0
    from_journal: int = 0
    retries: int = 0
    duration: float = 0.0
    cpu: float | None = None
    exit_status: int = 0
    by_state: dict[State, int] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """The number of jobs that have ended or were skipped."""
        return self.succeeded + self.failed + self.skipped

    @property
    def not_started(self) -> int:
        """The number of jobs that have neither ended nor been skipped; 0 if the total is unknown."""
        return 0 if self.total is None else max(self.total - self.finished, 0)

    def add(self, result: JobResult) -> None:
        """Count one more result."""
        if result.state is State.SKIPPED:
            self.skipped += 1
        elif result.failed:
            self.failed += 1
            self.cancelled += result.state is State.CANCELLED
        else:
            self.succeeded += 1
        self.from_journal += result.from_journal
        self.by_state[result.state] = self.by_state.get(result.state, 0) + 1
        if result.cpu is not None:
            self.cpu = (self.cpu or 0.0) + result.cpu
