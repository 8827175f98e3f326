"""The contestants by name: a library, and behind a plus what is special about it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable

from benchmarks.libraries import Anyio, Asyncio, Library, Threads, Trio
from benchmarks.model import Missing

__all__ = ["EVERYONE", "WATCHERS", "library"]

EVERYONE = (
    "governess",
    "governess + uvloop",
    "governess + popen",
    "asyncio",
    "uvloop",
    "trio",
    "anyio",
    "thread pool",
)

WATCHERS = ("pidfd", "threaded", "multiloop", "safe", "fast")


def library(contestant: str) -> Library:
    """Return the library of a contestant.

    Raises:
        Missing: it cannot be had here.
    """
    name, _, detail = contestant.partition(" + ")
    try:
        return _MAKERS[name](detail)
    except ImportError as error:
        raise Missing(f"not installed ({error.name})") from None


def _governess(detail: str) -> Library:
    """Return asyncio's functions in a loop of governess; `detail` is a loop, a spawner or a watcher."""
    governess = importlib.import_module("governess")
    if detail != "popen":
        _insist_on_the_native_spawner()
    loop_class = importlib.import_module("uvloop").Loop if detail == "uvloop" else None
    choose_watcher = importlib.import_module("governess.watchers").choose_watcher
    watcher = choose_watcher(detail).factory if detail in WATCHERS else None
    return Asyncio(governess.DefaultEventLoopPolicy(loop_class, watcher=watcher).loop_factory)


def _insist_on_the_native_spawner() -> None:
    name, reason = importlib.import_module("governess.children._spawn").describe()
    if name != "native":
        raise Missing(reason)


def _asyncio(watcher: str) -> Library:
    """Return asyncio; `watcher` is one of those that it had up to 3.13, nothing the default."""
    if watcher:
        classes = {name.lower(): name for name in dir(asyncio)}
        if (found := classes.get(f"{watcher}childwatcher")) is None:
            raise Missing("this version of asyncio has no child watchers")
        asyncio.get_event_loop_policy().set_child_watcher(getattr(asyncio, found)())
    return Asyncio(None)


def _uvloop(_: str) -> Library:
    return Asyncio(importlib.import_module("uvloop").new_event_loop)


_MAKERS: dict[str, Callable[[str], Library]] = {
    "governess": _governess,
    "asyncio": _asyncio,
    "uvloop": _uvloop,
    "trio": lambda _: Trio(),
    "anyio": lambda _: Anyio(),
    "thread pool": lambda _: Threads(),
}
