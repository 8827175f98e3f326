"""A table of states and events, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = ["TransitionError", "Transitions"]

StateT = TypeVar("StateT", bound=StrEnum)
EventT = TypeVar("EventT", bound=StrEnum)


class TransitionError(ValueError):
    """The event cannot happen in this state."""


class Transitions(Generic[StateT, EventT]):
    """What can happen in which state, and what comes of it."""

    def __init__(self, noun: str, table: Mapping[tuple[StateT, EventT], StateT]) -> None:
        """Have a table of the states of what `noun` names."""
        self._noun = noun
        self._table = table

    def __call__(self, state: StateT, event: EventT) -> StateT:
        """Return the state after an event.

        Raises:
            TransitionError: the event cannot happen in this state.
        """
        try:
            return self._table[state, event]
        except KeyError:
            raise TransitionError(f"a {self._noun} that is {state} cannot {event}") from None
