"""Children that end with this process: which of them the guardian ends, and how it is told of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from governess.children._spawn.command import Command, Spawned

__all__ = ["end_with_parent", "is_guarded", "is_guardian_usable", "prepare_guardian"]


def is_guarded(options: Mapping[str, Any]) -> bool:
    """Return whether the guardian ends a child with these options: one that leads a group and dies with its parent."""
    return bool(options.get("die_with_parent")) and _leads_group(options) and is_guardian_usable()


def is_guardian_usable() -> bool:
    """Return whether a guardian can end children when this process is gone."""
    if sys.platform == "win32":
        return False
    usable: bool = _guardian().is_usable()
    return usable


def prepare_guardian() -> None:
    """Have the guardian started while the child is, so that it is there when the child is."""
    _guardian().prepare()


def end_with_parent(spawned: Spawned, command: Command, *, has_death_signal: bool) -> None:
    """Have the guardian end the child, with what it leads, when this process is gone.

    That holds for as long as the group is kept; where it is not, until the child has exited.

    Args:
        spawned: the child.
        command: what it was started by.
        has_death_signal: whether the kernel sends the child itself a TERM then.
    """
    guardian = _guardian()
    scope = guardian.GROUP if _leads_group(command.options) else guardian.PROCESS
    if command.options.get("controlling_terminal") is not None:
        scope = guardian.SESSION
    guard = guardian.guard(spawned.child, scope, has_death_signal=has_death_signal)
    if spawned.group is not None:
        spawned.group.guard = guard
    elif guard is not None:
        spawned.child.subscribe(guard.release)


def _leads_group(options: Mapping[str, Any]) -> bool:
    if options.get("process_group") == 0 or options.get("start_new_session"):
        return True
    return options.get("controlling_terminal") is not None


@functools.cache
def _guardian() -> ModuleType:
    """Return the module, which is imported with the first child that needs it."""
    from governess.children import _guardian

    return _guardian
