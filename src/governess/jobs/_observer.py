"""How a run is set up, what observes it, and what records it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from governess.jobs._attempt import Attempt, Inherited, Output
from governess.jobs._gates import Gate
from governess.jobs._halt import Halt
from governess.jobs._job import JobOptions
from governess.jobs._pools import Pools
from governess.jobs._result import JobResult
from governess.jobs._schedule import Entry

__all__ = ["Observer", "Recorder", "RunSettings"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the jobs of a plan are run.

    Attributes:
        slots: how many jobs run at once; 0 for as many as an engine for other machines takes.
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
    """What happens in a run, for what shows it; each method is called in the loop, and is quick."""

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
        """Note that a try has failed, and that the next one comes after a pause, in seconds."""

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
