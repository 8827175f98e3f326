"""How a loop becomes another one: by its class, or afterwards."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from governess.loops._choose import LoopFactory
from governess.loops._watched import inherits_from_the_bridge, make_watched, watched

__all__ = ["WATCHED", "LoopChange", "make_loop"]


class LoopChange:
    """What one of the functions of this package does to a loop.

    Attributes:
        derive: returns a changed subclass of a loop class; None if it leaves loops of that class as they are.
        convert: changes an existing loop, by assigning its `__class__`, and returns it.
    """

    __slots__ = ("convert", "derive")

    def __init__(self, derive: Callable[[type[Any]], type[Any]], convert: Callable[[Any], Any]) -> None:
        self.derive = derive
        self.convert = convert


def make_loop(factory: LoopFactory, changes: Sequence[LoopChange]) -> asyncio.AbstractEventLoop:
    """Return a loop of the factory with all changes, the first one innermost.

    If the factory is a class, the loop is made of the derived class: it is then as fast as a stock loop. To assign the
    class of an existing object slows each access to its attributes (CPython moves them to a separate dictionary).

    Raises:
        TypeError: the factory does not return an event loop, or the class of the loop cannot be changed.
    """
    if isinstance(factory, type) and issubclass(factory, asyncio.AbstractEventLoop):
        try:
            bridged = hasattr(asyncio.SelectorEventLoop, "governess_policy")
            derived = _derived(factory, tuple(changes), bridged)  # type: ignore[arg-type]
        except TypeError:  # the class is closed to subclassing
            pass
        else:
            factory = derived
            changes = ()
    loop = factory()
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"the loop factory {factory!r} has made {loop!r}, which is no event loop")
    try:
        for change in changes:
            loop = change.convert(loop)
    except BaseException:
        loop.close()
        raise
    return loop


@functools.lru_cache(maxsize=64)
def _derived(loop_class: type[Any], changes: tuple[LoopChange, ...], bridged: bool) -> type[Any]:
    """Return the class with all changes; these depend on whether the bridge is installed."""
    for change in changes:
        loop_class = change.derive(loop_class)
    return loop_class


def _watched(loop_class: type[Any]) -> type[Any]:
    return loop_class if _starts_children(loop_class) or inherits_from_the_bridge(loop_class) else watched(loop_class)


def _make_watched(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    return loop if _starts_children(type(loop)) else make_watched(loop)


def _starts_children(loop_class: type[Any]) -> bool:
    """Return whether the class needs no watcher, as asyncio's proactor loop on Windows."""
    return sys.platform == "win32" and issubclass(loop_class, asyncio.ProactorEventLoop)


WATCHED = LoopChange(_watched, _make_watched)
