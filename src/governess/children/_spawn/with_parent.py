"""Children that end with this process: which of them the guardian ends, and how it is told of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from governess.children._spawn.command import Spawned

if TYPE_CHECKING:
    from governess.children._guardian import Guard

__all__ = ["end_with_parent", "is_guardian_usable", "leads_group", "promise", "promise_of"]


def is_guardian_usable() -> bool:
    """Return whether a guardian can end children when this process is gone."""
    if sys.platform == "win32":
        return False
    usable: bool = _guardian().is_usable()
    return usable


async def promise_of(options: Mapping[str, Any]) -> Guard | None:
    """Return the promise to end a child with these options when this process is gone; wait until there is a guardian.

    It is None if the child may outlive this process, or if no guardian can be had.
    """
    if not options.get("die_with_parent") or not is_guardian_usable():
        return None
    guard = promise(options)
    if not guard.is_settled:
        await guard.settled()
    return None if guard.connection is None else guard


def promise(options: Mapping[str, Any]) -> Guard:
    """Return that promise, and have a guardian started."""
    guardian = _guardian()
    scope = guardian.GROUP if leads_group(options) else guardian.PROCESS
    if options.get("controlling_terminal") is not None:
        scope = guardian.SESSION
    guard: Guard = guardian.promise(scope)
    return guard


def end_with_parent(spawned: Spawned, guard: Guard, *, is_registered: bool, has_death_signal: bool) -> None:
    """Have the guardian end the child, with what it leads, when this process is gone.

    That holds for as long as the group is kept; where it is not, until the child has exited.

    Args:
        spawned: the child.
        guard: the promise.
        is_registered: whether the child has told the guardian of itself.
        has_death_signal: whether the kernel sends the child itself a TERM then.
    """
    if spawned.group is not None:
        spawned.group.guard = guard
    guard.hold(spawned.child, is_registered=is_registered, has_death_signal=has_death_signal)
    if spawned.group is None:
        spawned.child.subscribe(guard.release)


def leads_group(options: Mapping[str, Any]) -> bool:
    if options.get("process_group") == 0 or options.get("start_new_session"):
        return True
    return options.get("controlling_terminal") is not None


@functools.cache
def _guardian() -> ModuleType:
    """Return the module, which is imported with the first child that needs it."""
    from governess.children import _guardian

    return _guardian
