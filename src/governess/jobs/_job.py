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
"""An argv, which is executed without a shell; or a line, which a shell runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How a job is run.

    Attributes:
        tries: how often it is run at most.
        backoff: how long it waits between two tries.
        retry_on: after which failures it is run again.
        timeout: seconds that a try may take; None for no limit.
        timeout_factor: how many times the median duration of the jobs that succeeded a try may take; None for no limit.
        grace: seconds between TERM and KILL when it is ended.
        cpus: how many processors it takes from the pool.
        memory: bytes that its processes may use together; more ends it. They are taken from the pool.
        tokens: how many tokens of each name it takes from their pools.
        nice: what is added to the niceness.
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
    """One command that is to be run.

    Attributes:
        command: an argv, or a line for the shell; or a function that makes it from the number of the slot (from 1)
            in which it runs. The number is 0 where the command is only shown or compared.
        name: a name that no other job of the plan has; "" for none.
        cwd: its working directory; None for that of this process.
        env: variables that are added to the environment of this process.
        stdin: what it reads: bytes, or the path of a file; None for nothing.
        after: the names of the jobs that have to succeed before it starts.
        outputs: files that it makes, relative to `cwd`; they are removed if it does not succeed.
        options: how it is run; None for the options of the run.
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
