"""The watcher that a name refers to; ``auto`` is the best that works here. Each is tried; no version is compared."""

from __future__ import annotations

import select
import signal
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from governess.children._pidfd import unavailable
from governess.watchers._base import ChildWatcher

__all__ = ["WATCHERS", "WatcherChoice", "available_watchers", "choose_watcher"]

# The module and the class of each; a program imports that of the watcher which it uses.
_CLASSES = {
    "pidfd": ("_pidfd", "PidfdChildWatcher"),
    "kqueue": ("_kqueue", "KqueueChildWatcher"),
    "threaded": ("_threaded", "ThreadedChildWatcher"),
    "multiloop": ("_sigchld", "MultiLoopChildWatcher"),
    "safe": ("_sigchld", "SafeChildWatcher"),
    "fast": ("_fast", "FastChildWatcher"),
}

WATCHERS = tuple(_CLASSES)


class WatcherChoice(NamedTuple):
    """A watcher class, and why it was chosen.

    Attributes:
        name: the short name of the watcher.
        factory: a callable without arguments that makes the watcher.
        reason: why it was chosen, as text for the user.
    """

    name: str
    factory: Callable[[], ChildWatcher]
    reason: str


def choose_watcher(name: str = "auto") -> WatcherChoice:
    """Return the watcher with a short name; `auto` is pidfd, where that fails kqueue, else a thread for each child.

    Raises:
        ValueError: no watcher has this name, or the watcher does not work here; the text lists those that work.
    """
    if name == "auto":
        return _best()
    if name in available_watchers():
        return WatcherChoice(name, _class_of(name), "asked for")
    why = f"cannot work here: {_obstacle(name)}" if name in _CLASSES else "does not exist"
    raise ValueError(f"the watcher {name!r} {why}; there are auto, {', '.join(available_watchers())}")


def available_watchers() -> tuple[str, ...]:
    """Return the short names of the watchers that work in this process."""
    return tuple(name for name in WATCHERS if _obstacle(name) is None)


def _best() -> WatcherChoice:
    if (obstacle := unavailable()) is None:
        return WatcherChoice("pidfd", _class_of("pidfd"), "pidfd_open works in this process")
    if hasattr(select, "kqueue"):
        return WatcherChoice("kqueue", _class_of("kqueue"), f"{obstacle}, but a kqueue")
    return WatcherChoice("threaded", _class_of("threaded"), f"{obstacle}, and no kqueue: a thread waits for each child")


def _class_of(name: str) -> type[ChildWatcher]:
    module, class_name = _CLASSES[name]
    found: type[ChildWatcher] = getattr(import_module(f"governess.watchers.{module}"), class_name)
    return found


def _obstacle(name: str) -> str | None:
    if name == "pidfd":
        return unavailable()
    if name == "kqueue" and not hasattr(select, "kqueue"):
        return "this platform has no kqueue"
    if name in ("multiloop", "safe", "fast") and not hasattr(signal, "SIGCHLD"):
        return "this platform has no SIGCHLD"
    return None
