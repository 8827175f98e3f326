"""One try of one job, as an engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from governess.jobs._job import Command, Job, JobOptions
from governess.jobs._pools import Grant

if TYPE_CHECKING:
    from governess.jobs._schedule import Entry

__all__ = ["Attempt", "ClusterEngine", "Engine", "Files", "Inherited", "Output", "RunningJob", "Sink"]


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


@runtime_checkable
class ClusterEngine(Engine, Protocol):
    """An engine that runs jobs on other machines: it is opened before the first job and closed after the last one.

    A try that it starts has its `Attempt.host`, and `Attempt.lost` if the worker that runs it is lost.
    """

    @property
    def slots(self) -> int:
        """How many jobs are started at once if nothing is said, with those that wait for a place over there."""
        ...

    async def open(self, on_failure: Callable[[Exception], None]) -> Mapping[str, float]:
        """Be ready for jobs; return the sizes of the pools where nothing else is said: `cpus`, `memory`, tokens.

        Args:
            on_failure: called, once, if it cannot run jobs any more.

        Raises:
            EngineError: it cannot be used.
        """
        ...

    def stop(self) -> None:
        """Start nothing more: a `start` that has not begun raises `OSError` with EAGAIN."""
        ...

    async def close(self) -> None:
        """Run no more jobs; those that run are ended."""
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
        host: where it runs; "" for this machine.
        lost: why it is not known how it has ended, since the worker that ran it is lost; "" if that is not so.
        usage: what it has used, as attributes of a `JobResult`, if that was found out elsewhere; None otherwise.
    """

    __slots__ = (
        "command",
        "entry",
        "env",
        "grant",
        "host",
        "is_adopted",
        "is_cancelled",
        "job",
        "lost",
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
        "usage",
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
        self.host = ""
        self.lost = ""
        self.usage: Mapping[str, Any] | None = None

    def end(self, grace: float) -> bool:
        """End it, if it has been started: `RunningJob.end`."""
        return self.running is not None and self.running.end(grace)
