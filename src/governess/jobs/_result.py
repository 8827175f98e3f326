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
    """How one job ended.

    Attributes:
        number: its place in the plan, from 1.
        command: what was run.
        code: the exit status, the negative number of the signal, or 126 and 127 for a command that could not start.
        wall: seconds that its last try took.
        cpu: seconds of processor time, user and system; None if the system does not report it.
        peak: the peak of the memory in use, in bytes; None if the system does not report it.
        peak_is_bound: whether the peak may be lower: on Linux a child starts with the peak of what started it.
        timed_out: whether it was ended because its time was over.
        lacked_terminal: whether it was ended because it used the terminal, and did not have it.
        remark: a word to show beside the code, such as `lost` or `core`.
        name: its name; "" for none.
        state: what became of it.
        tries: how often it was started.
        started: when its last try was started, in seconds since the epoch; 0 if it was not.
        slot: the number of the slot that ran it, from 1; 0 for none.
        reason: why it has failed or was skipped, in a few words; "" where the code says it.
        stdout: the file with its standard output, in a journal; None elsewhere.
        stderr: likewise.
        host: where it ran, as its engine calls it; "" for this machine.
        from_journal: whether an earlier run of the journal has it, and this one did not run it.
    """

    number: int
    command: Command
    code: int
    wall: float = 0.0
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
        """Whether it counts as failed."""
        if self.state is State.SKIPPED:
            return False
        return self.code != 0 or self.timed_out or self.lacked_terminal or self.state is State.MEMORY

    @property
    def status(self) -> str:
        """The exit status or the signal's name, in a few characters."""
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
        """What a shell would tell, 128 and the number for a signal; at most 255."""
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
    """What came of a run so far.

    Attributes:
        total: how many jobs the plan has; None if that is not known.
        succeeded: how many have succeeded, in this run or an earlier one of the journal.
        failed: how many have failed.
        skipped: how many were skipped, since a job before them has not succeeded.
        cancelled: how many of the failed ones were ended by the run itself: by `end`, or by the rule of `halt`.
        started: how many were started by this run.
        from_journal: how many an earlier run of the journal has finished.
        retries: how many tries were followed by another one.
        wall: seconds that the run took.
        cpu: seconds of processor time of all jobs; None if the system reports none.
        exit_status: what a command exits with after such a run, as GNU parallel does.
        by_state: how many jobs came to each state.
    """

    total: int | None = None
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    started: int = 0
    from_journal: int = 0
    retries: int = 0
    wall: float = 0.0
    cpu: float | None = None
    exit_status: int = 0
    by_state: dict[State, int] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """How many jobs have ended or were skipped."""
        return self.succeeded + self.failed + self.skipped

    @property
    def not_started(self) -> int:
        """How many jobs have neither ended nor been skipped; 0 if the total is not known."""
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
