"""Telling whoever wants to know of every birth and every death."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governess.children.child import Child
    from governess.children.exit import Exit

__all__ = ["observe"]

logger = logging.getLogger("governess")


@contextlib.contextmanager
def observe(
    *,
    on_spawn: Callable[[Child], object] | None = None,
    on_exit: Callable[[Child, Exit], object] | None = None,
) -> Iterator[None]:
    """Tell of each child that is born or dies inside this block.

    Both are called in the thread where it happened, so they must be thread-safe and quick; what they raise is logged.

    Args:
        on_spawn: called with the Child that was started or adopted.
        on_exit: called with the Child that was reaped and its Exit.
    """
    observer = (on_spawn, on_exit)
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


_Observer = tuple["Callable[[Child], object] | None", "Callable[[Child, Exit], object] | None"]
_observers: list[_Observer] = []


def tell_of_spawn(child: Child) -> None:
    """Tell the observers that the child is there."""
    for on_spawn, _ in tuple(_observers):
        if on_spawn is not None:
            with _logged(on_spawn):
                on_spawn(child)


def tell_of_exit(child: Child, exit: Exit) -> None:
    """Tell the observers that the child is reaped."""
    for _, on_exit in tuple(_observers):
        if on_exit is not None:
            with _logged(on_exit):
                on_exit(child, exit)


@contextlib.contextmanager
def _logged(observer: Callable[..., object]) -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("the observer %r failed", observer)
