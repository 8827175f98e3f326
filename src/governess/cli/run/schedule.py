"""Which job comes next, when to stop, and in which order output is written: all without I/O.

| halt  | a failure: jobs that wait | a failure: jobs that run |
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
    """What a failed job means for the others."""

    NEVER = "never"
    SOON = "soon"
    NOW = "now"


class Schedule(Generic[Value]):
    """Returns the jobs one by one, until there are none left or the run is stopped."""

    def __init__(self, jobs: Iterable[Value], total: int, halt: Halt = Halt.NEVER) -> None:
        self._jobs = iter(jobs)
        self._total = total
        self._halt = halt
        self.started = 0
        """How many were handed out."""
        self.finished = 0
        """How many of these have come to their end."""
        self.failed = 0
        """How many of these ended badly."""
        self.stopped = False
        """Whether no further job is returned."""

    @property
    def not_started(self) -> int:
        """How many were never handed out."""
        return self._total - self.started

    def take(self) -> tuple[int, Value] | None:
        """Hand out the next job and its number, from 1; None if there is none for you."""
        if self.stopped or self.started == self._total:
            return None
        self.started += 1
        return self.started, next(self._jobs)

    def give_back(self) -> None:
        """Take a job back that could not be started before the others were stopped."""
        self.started -= 1

    def finish(self, failed: bool) -> bool:
        """Note a job's end.

        Returns:
            Whether the jobs that run shall be ended now.
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
        """Return no further job."""
        self.stopped = True


class InOrder(Generic[Value]):
    """Puts numbered values, which come in any order, into the order of their numbers."""

    def __init__(self) -> None:
        self._next = 1
        self._waiting: dict[int, Value] = {}

    def is_next(self, number: int) -> bool:
        """Tell whether a value of this number need not wait."""
        return number == self._next

    def add(self, number: int, value: Value) -> Iterator[Value]:
        """Give the values that are now due: none, this one, or this one and those that waited for it."""
        self._waiting[number] = value
        while self._next in self._waiting:
            yield self._waiting.pop(self._next)
            self._next += 1
