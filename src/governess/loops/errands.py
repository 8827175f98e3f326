"""Calls that one thread makes for others, which wait for what comes of them."""

from __future__ import annotations

import concurrent.futures
import contextvars
import functools
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Errands", "fulfil"]

T = TypeVar("T")


class Errands:
    """What is still to be called, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._left: deque[tuple[concurrent.futures.Future[Any], Callable[[], Any]]] = deque()

    def ask(self, function: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Have the function called, in a copy of the caller's context; return the future of what it returns."""
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._left.append((outcome, functools.partial(contextvars.copy_context().run, function)))
        return outcome

    def do(self) -> None:
        """Call all of them, but those that were cancelled meanwhile."""
        while self._left:
            outcome, function = self._left.popleft()
            if outcome.set_running_or_notify_cancel():
                fulfil(outcome, function)


def fulfil(outcome: concurrent.futures.Future[T], function: Callable[[], T]) -> None:
    """Let the future be what the function returns or raises."""
    try:
        result = function()
    except BaseException as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
