"""The order in which output is written, without I/O."""

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["InOrder"]

Value = TypeVar("Value")


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
