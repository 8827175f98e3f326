"""The children that are not reaped yet, and the observers of starts and ends."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from governess.children._callbacks import refuse_coroutine_function

if TYPE_CHECKING:
    from governess.children._child import Child
    from governess.children._exit import Exit

__all__ = ["children", "get", "living", "observe", "observers", "tell_of_exit", "tell_of_spawn"]

#: The children by their pids.
living: dict[int, Child] = {}


def children() -> list[Child]:
    """Return the children that are not reaped yet; governess has started or adopted them."""
    return list(living.values())


def get(pid: int) -> Child | None:
    """Return the Child of `pid` if it is one of `children()`."""
    return living.get(pid)


logger = logging.getLogger("governess")


@contextlib.contextmanager
def observe(
    *,
    on_spawn: Callable[[Child], object] | None = None,
    on_exit: Callable[[Child, Exit], object] | None = None,
) -> Iterator[None]:
    """Call observers for each child that is started or reaped inside this block.

    The observers run in the thread that starts or reaps the child, so they must be thread-safe and fast. Their
    exceptions are logged.

    Args:
        on_spawn: called with the Child that was started or adopted.
        on_exit: called with the Child that was reaped, and with its Exit.

    Raises:
        TypeError: an observer is a coroutine function.
    """
    refuse_coroutine_function("on_spawn", on_spawn)
    refuse_coroutine_function("on_exit", on_exit)
    observer = (on_spawn, on_exit)
    observers.append(observer)
    try:
        yield
    finally:
        observers.remove(observer)


_Observer = tuple["Callable[[Child], object] | None", "Callable[[Child, Exit], object] | None"]
observers: list[_Observer] = []


def tell_of_spawn(child: Child) -> None:
    """Call the observers of starts."""
    for on_spawn, _ in tuple(observers):
        if on_spawn is not None:
            with _logged(on_spawn):
                on_spawn(child)


def tell_of_exit(child: Child, exit: Exit) -> None:
    """Call the observers of exits."""
    for _, on_exit in tuple(observers):
        if on_exit is not None:
            with _logged(on_exit):
                on_exit(child, exit)


@contextlib.contextmanager
def _logged(observer: Callable[..., object]) -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("the observer %r failed", observer)
