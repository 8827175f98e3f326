"""Which job is next, when to stop, and in which order output is written; all without I/O.

| halt  | failure: waiting jobs     | failure: running jobs    |
|-------|---------------------------|--------------------------|
| never | start                     | go on                    |
| soon  | do not start              | go on                    |
| now   | do not start              | are ended                |
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = ["Halt", "InOrder", "Schedule"]

Value = TypeVar("Value")


class Halt(StrEnum):
    """What happens to the other jobs after a failure."""

    NEVER = "never"
    SOON = "soon"
    NOW = "now"


class Schedule(Generic[Value]):
    """Returns the jobs one by one, until none are left or the run is stopped."""

    def __init__(self, jobs: Iterable[Value], total: int, halt: Halt = Halt.NEVER) -> None:
        self._jobs = iter(jobs)
        self._total = total
        self._halt = halt
        self.started = 0
        """How many jobs `take` has returned."""
        self.finished = 0
        """How many of these have ended."""
        self.failed = 0
        """How many of these have failed."""
        self.stopped = False
        """Whether `take` returns no more jobs."""

    @property
    def not_started(self) -> int:
        """How many jobs `take` has not returned."""
        return self._total - self.started

    def take(self) -> tuple[int, Value] | None:
        """Return the number (from 1) and the arguments of the next job; None if there is none."""
        if self.stopped or self.started == self._total:
            return None
        self.started += 1
        return self.started, next(self._jobs)

    def give_back(self) -> None:
        """Take back a job that could not be started before the run was stopped."""
        self.started -= 1

    def finish(self, failed: bool) -> bool:
        """Note that a job has ended.

        Args:
            failed: whether it counts as failed.

        Returns:
            Whether the running jobs have to be ended now.
        """
        self.finished += 1
        if not failed:
            return False
        self.failed += 1
        if self._halt is Halt.NEVER:
            return False
        self.stopped = True
        return self._halt is Halt.NOW

    def stop(self) -> None:
        """Stop the run: `take` returns no more jobs."""
        self.stopped = True


class InOrder(Generic[Value]):
    """Puts numbered values, which arrive in any order, into the order of their numbers."""

    def __init__(self) -> None:
        self._next = 1
        self._waiting: dict[int, Value] = {}

    def is_next(self, number: int) -> bool:
        """Return whether the value with this number is due."""
        return number == self._next

    def add(self, number: int, value: Value) -> Iterator[Value]:
        """Add a value; yield the values that are due now: none, or this one and those that waited for it."""
        self._waiting[number] = value
        while self._next in self._waiting:
            yield self._waiting.pop(self._next)
            self._next += 1
