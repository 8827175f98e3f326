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
    """Receives the output of a job while the job runs."""

    def feed(self, fd: int, data: bytes) -> None:
        """Receive bytes of standard output (1) or standard error (2); empty bytes mean the end of that stream."""
        ...


class Files(NamedTuple):
    """Two files, which the job has open as its standard output and standard error."""

    stdout: Path
    stderr: Path


class Inherited(NamedTuple):
    """The outputs of this process, which the job inherits.

    With `foreground`, the job also gets the terminal of this process; one job has it at a time.
    """

    foreground: bool = False


Output = Sink | Files | Inherited
"""Where the output of a job goes."""


class RunningJob(Protocol):
    """A job that an engine has started."""

    @property
    def pid(self) -> int:
        """The number of the job's process; 0 if the job has no process on this machine."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether the job still runs, as far as the engine knows."""
        ...

    @property
    def ended(self) -> float:
        """When the job ended, in seconds of the loop's clock; 0 before its end."""
        ...

    @property
    def stop(self) -> int:
        """The signal that stopped the job because it used the terminal without having it; 0 if none did."""
        ...

    async def wait(self) -> int | None:
        """Wait until the job has ended and its output is read.

        Returns:
            The `Exit` of the job; None if the job could not be ended.
        """
        ...

    def end(self, grace: float) -> bool:
        """End the job and all processes that it has started: TERM, then KILL after the grace.

        A second call sends the KILL at once.

        Args:
            grace: seconds between TERM and KILL.

        Returns:
            False if the job had already ended by itself.
        """
        ...

    def signal(self, number: int) -> None:
        """Send a signal to the job and to all processes that it has started."""
        ...

    def pause_output(self) -> None:
        """Stop reading the output of the job; the job blocks when its pipes are full."""
        ...

    def resume_output(self) -> None:
        """Read the output of the job again."""
        ...


class Engine(Protocol):
    """Runs jobs; `LocalEngine` runs them on this machine."""

    async def start(self, attempt: Attempt) -> RunningJob:
        """Start a job.

        Raises:
            OSError: the job cannot be started.
            ValueError: the arguments of the job cannot be passed to a process.
        """
        ...


@runtime_checkable
class ClusterEngine(Engine, Protocol):
    """An engine that runs jobs on other machines. It is opened before the first job and closed after the last one.

    The engine sets `Attempt.host` of each try that it starts, and `Attempt.lost` if the worker of that try is lost.
    """

    @property
    def slots(self) -> int:
        """The default number of slots; it includes the jobs that wait on the workers."""
        ...

    async def open(self, on_failure: Callable[[Exception], None]) -> Mapping[str, float]:
        """Get ready for jobs.

        Args:
            on_failure: called once if the engine can run no more jobs.

        Returns:
            The default sizes of the pools ``cpus``, ``memory`` (in bytes) and of the tokens, by name.

        Raises:
            EngineError: the engine cannot be used.
        """
        ...

    def stop(self) -> None:
        """Start no more jobs: a `start` that has not begun raises `OSError` with EAGAIN."""
        ...

    async def close(self) -> None:
        """Close the engine; jobs that still run are ended."""
        ...


class Attempt:
    """One try of one job.

    Attributes:
        number: the place of the job in the plan, from 1.
        job: the job.
        options: the options of the job, or those of the run.
        slot: the number of the slot, from 1.
        try_number: the number of this try among the tries of the job, from 1.
        command: the command as it runs in this slot.
        env: variables that are added to the environment.
        output: where the output of the job goes.
        grant: what the job has taken from the pools; None if the job needs nothing.
        survives: whether the job keeps running if this process ends.
        on_stop: called if the kernel stops the job because it uses the terminal without having it.
        running: the started job; None before the start.
        started: when the try was started, in seconds of the loop's clock.
        started_at: when the try was started, in seconds since the epoch.
        timed_out: whether the job was ended because its timeout was over.
        over_memory: whether the job was ended because it used more memory than it had declared.
        is_cancelled: whether the job was ended because the run ends.
        is_adopted: whether an earlier run started the job.
        host: the host on which the job runs; ``""`` for this machine.
        lost: why the worker of the job was lost, so that its exit status is unknown; ``""`` if no worker was lost.
        usage: the resources that the job used, as attributes of a `JobResult`, if the engine measured them; else None.
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
        """End the job as `RunningJob.end` does, if the job was started."""
        return self.running is not None and self.running.end(grace)
