"""The two loops of asyncio on Windows; elsewhere, subclasses that lack what each of these lacks."""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, NoReturn

from pains.choice import class_of

__all__ = ["PLACE", "windows_loops"]

#: Where a story is played, for its words.
PLACE = "on Windows" if sys.platform == "win32" else "on a stand-in for Windows's loop"


def windows_loops(loop_factory: Callable[[], AbstractEventLoop] | None = None) -> dict[str, type[Any]]:
    """Return the classes by name.

    Args:
        loop_factory: makes the loops that are subclassed elsewhere; by default asyncio's.
    """
    if sys.platform == "win32":
        return {"ProactorEventLoop": asyncio.ProactorEventLoop, "SelectorEventLoop": asyncio.SelectorEventLoop}
    base = class_of(loop_factory or asyncio.SelectorEventLoop)
    return {
        "ProactorEventLoop": _without(base, "add_reader", "add_writer"),
        "SelectorEventLoop": _without(base, "subprocess_exec", "connect_read_pipe", "connect_write_pipe"),
    }


def _without(base: type[Any], *names: str) -> type[Any]:
    def not_there(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    return type(base.__name__, (base,), dict.fromkeys(names, not_there))
