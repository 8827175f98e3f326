"""The loop that a name refers to: ``auto``, ``asyncio``, ``uvloop``, or ``module:factory``."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "LOOPS",
    "LoopChoice",
    "LoopFactory",
    "available_loops",
    "choose_loop",
    "factory_of",
    "import_callable",
    "uvloop_obstacle",
]

LOOPS = ("asyncio", "uvloop")

#: A loop class, or any other callable that returns a loop when it is called without arguments.
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class LoopChoice(NamedTuple):
    """A loop factory, and why it was chosen.

    Attributes:
        name: ``asyncio``, ``uvloop``, or ``module:factory``.
        factory: makes a loop when it is called without arguments; a policy gives the loop its child watcher.
        reason: why it was chosen, as text for the user.
    """

    name: str
    factory: Callable[[], asyncio.AbstractEventLoop]
    reason: str


def choose_loop(name: str = "auto") -> LoopChoice:
    """Return the loop factory of a name; `auto` is the fastest loop that is installed.

    Raises:
        ValueError: no loop has this name, or it cannot be imported; the text lists the names or gives the reason.
    """
    if name == "auto":
        return _fastest()
    if name == "asyncio":
        return LoopChoice("asyncio", _asyncio_loop(), "asked for")
    if name == "uvloop":
        if (obstacle := uvloop_obstacle()) is not None:
            raise ValueError(f"the loop 'uvloop' cannot be used: {obstacle}")
        return LoopChoice("uvloop", import_callable("loop", "uvloop:Loop"), "asked for")
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"the loop {name!r} does not exist; there are auto, asyncio, uvloop, and module:factory")
    return LoopChoice(name, import_callable("loop", name), "asked for")


def factory_of(factory: LoopFactory | str | None) -> LoopFactory | None:
    """Return the loop factory that is given as a callable or by its name; None stays None.

    Raises:
        TypeError: `factory` is neither.
        ValueError: no loop has this name, or it cannot be imported.
    """
    if isinstance(factory, str):
        return choose_loop(factory).factory
    if factory is not None and not callable(factory):
        raise TypeError(f"loop_factory is a callable or a name such as 'auto', not {factory!r}")
    return factory


def import_callable(kind: str, name: str) -> Any:
    """Import the callable that `name` (``module:attribute``) refers to.

    Args:
        kind: what the callable makes (``loop``, ``policy``); the error message names it.
        name: the attribute may contain dots.

    Raises:
        ValueError: it cannot be imported, or is not callable; the text says why.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module is free to raise anything when it is imported
        raise ValueError(f"the {kind} {name!r} cannot be used: {error}") from error
    if not callable(found):
        raise ValueError(f"the {kind} {name!r} cannot be used: it is not callable")
    return found


def available_loops() -> tuple[str, ...]:
    """Return the names of the loops that can be used here."""
    return tuple(name for name in LOOPS if name != "uvloop" or uvloop_obstacle() is None)


def uvloop_obstacle() -> str | None:
    """Return why uvloop cannot be used here; None if it can."""
    if sys.platform == "win32":
        return "there is none for Windows"
    import importlib.util

    if importlib.util.find_spec("uvloop") is None:
        return "not installed (pip install 'governess[uvloop]')"
    return None


def _fastest() -> LoopChoice:
    obstacle = uvloop_obstacle()
    if obstacle is None:
        try:
            return LoopChoice("uvloop", import_callable("loop", "uvloop:Loop"), "the fastest that is installed")
        except ValueError as error:
            obstacle = str(error)
    return LoopChoice("asyncio", _asyncio_loop(), f"uvloop: {obstacle}")


def _asyncio_loop() -> type[asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop
    return asyncio.SelectorEventLoop
