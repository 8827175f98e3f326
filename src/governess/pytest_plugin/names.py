"""What names mean: of policies (a kind, ``kind+loop``, a loop, or ``module:factory``) and of watchers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import governess.policies
from governess.abc import AbstractChildWatcher
from governess.loops.choose import available, choose_loop

if sys.platform != "win32":
    from governess import watchers

__all__ = ["UnknownName", "policy_maker", "policy_names", "watcher_class", "watcher_names"]

# The policies that fit any loop and any watcher, in the order of the messages.
_KINDS = ("default", "shared", "threaded", "context", "limited", "priority")
_LOOPS = ("uvloop",)


class UnknownName(ValueError):
    """Nothing has this name, whatever is installed; the text lists what there is."""


def policy_names() -> list[str]:
    """Return the names that work here, but for ``kind+loop`` and ``module:factory``."""
    kinds = [kind for kind in _KINDS if _policy_class(kind) is not None]
    return kinds + [loop for loop, _, works in available() if works and loop in _LOOPS]


def policy_maker(name: str) -> Callable[..., Any]:
    """Return what makes the policy of that name; it takes the argument `watcher`.

    Raises:
        UnknownName: nothing has this name.
        ValueError: it cannot be had here; the text says why.
    """
    if ":" in name and "+" not in name:
        return _imported(name)
    kind, plus, loop = name.partition("+")
    if not plus and kind in _LOOPS:
        kind, loop = "default", kind
    policy_class = _policy_class(kind)
    if policy_class is None or (plus and not loop):
        there_are = ", ".join(policy_names())
        raise UnknownName(f"there is no policy {name!r}; there are {there_are}, kind+loop, and module:factory")
    if not loop:
        return policy_class
    choose_loop(loop)
    return lambda **options: policy_class(loop=loop, **options)


def watcher_names() -> list[str]:
    """Return the names of the watchers that work here."""
    return [] if sys.platform == "win32" else list(watchers.usable())


def watcher_class(name: str) -> type[AbstractChildWatcher]:
    """Return the watcher class of that name.

    Raises:
        UnknownName: nothing has this name.
        ValueError: it cannot work here; the text says why.
    """
    if sys.platform == "win32":
        raise ValueError("Windows has no child watchers")
    if name not in watchers.NAMES:
        raise UnknownName(f"there is no watcher {name!r}; there are {', '.join(watchers.NAMES)}")
    return watchers.named(name)


def _policy_class(kind: str) -> Callable[..., Any] | None:
    policy_class: Callable[..., Any] | None = getattr(governess.policies, f"{kind.title()}EventLoopPolicy", None)
    return policy_class if kind in _KINDS else None


def _imported(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module is free to raise anything when it is imported
        raise UnknownName(f"the policy {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise UnknownName(f"the policy {name!r} is not callable")
    return found  # type: ignore[no-any-return]
