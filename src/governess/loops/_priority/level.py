"""The priority of a context, and `governess.priority`, which sets it."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, SupportsIndex, TypeVar

__all__ = ["AGING_STEP", "LEAST_URGENT", "MOST_URGENT", "checked", "current_priority", "priority"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

# The limits of nice(1).
MOST_URGENT, LEAST_URGENT = -20, 19

# A waiting callback becomes more urgent by one level after this many callbacks have run.
AGING_STEP = 100

current_priority: ContextVar[int] = ContextVar("governess.priority", default=0)


class priority:  # it is used as a function
    """Set the priority of callbacks and tasks created in the `with` block, and of this task inside the block.

    The priority belongs to the `contextvars` context, so a task inherits it from its creator. Only `prioritized` loops
    use it. As a decorator of a function, it sets the priority of each call. As a decorator of an async function, it
    sets the priority of the coroutine from its first step on.
    """

    __slots__ = ("_level", "_tokens")

    def __init__(self, level: SupportsIndex) -> None:
        """Store the priority for the block or the function.

        Args:
            level: from -20 (most urgent) to 19, as for nice(1). The default of every context is 0.

        Raises:
            TypeError: `level` is not an integer.
            ValueError: `level` is not in this range.
        """
        self._level = checked(level)
        self._tokens: list[Token[int]] = []

    def __enter__(self) -> None:
        self._tokens.append(current_priority.set(self._level))

    def __exit__(self, *_: object) -> None:
        current_priority.reset(self._tokens.pop())

    def __call__(self, function: FunctionT) -> FunctionT:
        """Return the function, or the async function, with this priority.

        Raises:
            TypeError: it is a generator function, whose steps belong to different callers.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"priority() cannot decorate a generator function such as {function!r}")
        level = self._level

        async def await_it(*args: Any, **options: Any) -> Any:
            with priority(level):
                return await function(*args, **options)

        def call_it(*args: Any, **options: Any) -> Any:
            with priority(level):
                return function(*args, **options)

        decorated: Any = await_it if inspect.iscoroutinefunction(function) else call_it
        functools.update_wrapper(decorated, function)
        return decorated  # type: ignore[no-any-return]


def checked(level: SupportsIndex) -> int:
    """Return the priority as an int; raise an error if it is not a priority."""
    try:
        number = operator.index(level)
    except TypeError:
        raise TypeError(f"a priority is an integer, not {level!r}") from None
    if not MOST_URGENT <= number <= LEAST_URGENT:
        raise ValueError(f"a priority is from {MOST_URGENT}, the most urgent, to {LEAST_URGENT}, not {number}")
    return number
