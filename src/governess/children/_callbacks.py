"""Callbacks that are called where nobody can await their result."""

from __future__ import annotations

import inspect
from collections.abc import Callable

__all__ = ["coroutine_refused", "refuse_coroutine_function"]


def refuse_coroutine_function(name: str, callback: Callable[..., object] | None) -> None:
    """Check that what is given as the argument `name` can be called where nobody awaits its result.

    Raises:
        TypeError: it is a coroutine function.
    """
    by_call = getattr(callback, "__call__", None)  # noqa: B004 - an object whose method it is
    if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(by_call):
        raise coroutine_refused(name, callback)


def coroutine_refused(name: str, callback: object) -> TypeError:
    """Return the error for a callback that gives a coroutine."""
    return TypeError(f"{name} takes a plain function, not the coroutine function {callback!r}: nobody awaits it")
