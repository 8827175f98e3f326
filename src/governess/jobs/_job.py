"""What is to be run: a job, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from governess._programs.backoff import Backoff
from governess.jobs._retry import RetryOn

__all__ = ["Command", "Job", "JobOptions"]

Command = tuple[str, ...] | str
"""A command: an argv, which is executed without a shell, or a string, which a shell runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a job.

    Attributes:
        tries: the largest number of tries.
        backoff: the pauses between the tries.
        retry_on: the failures after which the job is run again.
        timeout: seconds that a try may take; None for no limit.
        timeout_factor: a second limit for a try, as a multiple of the median duration of the succeeded jobs; None for
            no such limit.
        grace: seconds between TERM and KILL when the job is ended.
        cpus: the number of processors that the job takes from the pool.
        memory: bytes that the processes of the job may use together. The job takes them from the pool, and is ended if
            it uses more.
        tokens: the number of tokens that the job takes from each pool of tokens, by name.
        nice: a number that is added to the niceness.
    """

    tries: int = 1
    backoff: Backoff = field(default_factory=Backoff)
    retry_on: RetryOn = field(default_factory=RetryOn)
    timeout: float | None = None
    timeout_factor: float | None = None
    grace: float = 5.0
    cpus: float = 0
    memory: int | None = None
    tokens: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    nice: int = 0

    def __post_init__(self) -> None:
        if type(self.tries) is not int or self.tries < 1:
            raise ValueError(f"a job has at least one try, not {self.tries!r}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"a timeout is more than 0 seconds, not {self.timeout!r}")
        if not self.grace >= 0:
            raise ValueError(f"a grace is not below 0 seconds, as {self.grace!r} is")
        if not self.cpus >= 0:
            raise ValueError(f"a job takes no negative number of processors: {self.cpus!r}")
        if self.memory is not None and not self.memory > 0:
            raise ValueError(f"a job needs more than 0 bytes of memory, not {self.memory!r}")

    @property
    def needs(self) -> bool:
        """Whether it takes anything from a pool."""
        return bool(self.cpus or self.memory or self.tokens)


@dataclass(frozen=True, slots=True)
class Job:
    """One command to run.

    Attributes:
        command: an argv, or a string for the shell; or a function that takes the number of the slot (from 1) and
            returns the command. The number is 0 where the command is only shown or compared.
        name: a name that is unique in the plan; ``""`` for none.
        cwd: the working directory; None for that of this process.
        env: variables that are added to the environment of this process.
        stdin: the standard input: bytes, or the path of a file; None for an empty input.
        after: the names of the jobs that must succeed before this job starts.
        outputs: files that the job makes, relative to `cwd`. They are removed if the job does not succeed.
        options: the options of the job; None for those of the run.
    """

    command: Command | Callable[[int], Command]
    name: str = ""
    cwd: str | None = None
    env: Mapping[str, str] | None = None
    stdin: bytes | Path | None = None
    after: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    options: JobOptions | None = None

    def in_slot(self, slot: int) -> Command:
        """Return the command as it runs in a slot."""
        command = self.command
        return command(slot) if callable(command) else command
