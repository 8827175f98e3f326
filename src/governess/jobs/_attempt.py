"""One try of one job, as an engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from governess.jobs._job import Command, Job, JobOptions
from governess.jobs._pools import Grant

if TYPE_CHECKING:
    from governess.jobs._schedule import Entry

__all__ = ["Attempt", "Engine", "Files", "Inherited", "Output", "RunningJob", "Sink"]


class Sink(Protocol):
    """Takes what a job writes while it runs."""

    def feed(self, fd: int, data: bytes) -> None:
        """Take bytes of standard output (1) or standard error (2); no bytes mean that this stream has ended."""
        ...


class Files(NamedTuple):
    """Files that a job writes to itself."""

    stdout: Path
    stderr: Path


class Inherited(NamedTuple):
    """The outputs of this process; with `foreground` also its terminal, one job after the other."""

    foreground: bool = False


Output = Sink | Files | Inherited
"""Where the output of a job goes."""


class RunningJob(Protocol):
    """A job that an engine has started."""

    @property
    def pid(self) -> int:
        """The number of its process; 0 if it has none on this machine."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        ...

    @property
    def ended(self) -> float:
        """When it has ended, by the clock of the loop; 0 before."""
        ...

    @property
    def stop(self) -> int:
        """The signal by which the terminal has stopped it, since it used that without having it; 0 otherwise."""
        ...

    async def wait(self) -> int | None:
        """Wait until it has ended and its output is read; return how, as an `Exit`; None if it could not be ended."""
        ...

    def end(self, grace: float) -> bool:
        """End it with all that it has started: TERM, a grace, KILL; the second call does not wait for the grace.

        Returns:
            Whether it has not ended before by itself.
        """
        ...

    def signal(self, number: int) -> None:
        """Send a signal to it and all that it has started."""
        ...

    def pause_output(self) -> None:
        """Read no more of its output, so that it waits when its pipes are full."""
        ...

    def resume_output(self) -> None:
        """Read its output again."""
        ...


class Engine(Protocol):
    """Runs jobs; `local` runs them on this machine."""

    async def start(self, attempt: Attempt) -> RunningJob:
        """Start a job.

        Raises:
            OSError: it cannot be started.
            ValueError: its words cannot be passed to a process.
        """
        ...


class Attempt:
    """One try of one job.

    Attributes:
        number: the place of the job in the plan, from 1.
        job: what is run.
        options: how it is run.
        slot: the number of its slot, from 1.
        try_number: which of its tries this is, from 1.
        command: what is run in this slot.
        env: variables that are added to the environment.
        output: where its output goes.
        grant: what it has taken from the pools; None if it needs nothing.
        survives: whether it goes on if this process dies.
        on_stop: called if the terminal stops it, since it uses that without having it.
        running: the started job; None before.
        started: when it was started, by the clock of the loop.
        started_at: likewise, in seconds since the epoch.
        timed_out: whether it was ended because its time was over.
        over_memory: whether it was ended because it used more memory than it had declared.
        is_cancelled: whether it was ended because the run ends.
        is_adopted: whether an earlier run has started it.
    """

    __slots__ = (
        "command",
        "entry",
        "env",
        "grant",
        "is_adopted",
        "is_cancelled",
        "job",
        "number",
        "on_stop",
        "options",
        "output",
        "over_memory",
        "running",
        "slot",
        "started",
        "started_at",
        "survives",
        "timed_out",
        "try_number",
    )

    def __init__(
        self, entry: Entry, options: JobOptions, slot: int, command: Command, grant: Grant | None = None
    ) -> None:
        self.entry = entry
        self.number = entry.number
        self.job: Job = entry.job
        self.options = options
        self.slot = slot
        self.try_number = entry.progress.tries
        self.command = command
        self.env: Mapping[str, str] | None = self.job.env
        self.output: Output = Inherited()
        self.grant = grant
        self.survives = False
        self.on_stop: Callable[[Attempt], None] | None = None
        self.running: RunningJob | None = None
        self.started = 0.0
        self.started_at = 0.0
        self.timed_out = False
        self.over_memory = False
        self.is_cancelled = False
        self.is_adopted = False

    def end(self, grace: float) -> bool:
        """End it, if it has been started: `RunningJob.end`."""
        return self.running is not None and self.running.end(grace)
