"""The children that live, or wait to be reaped, by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governess.children.child import Child

__all__ = ["children", "find", "forget_all", "list_child", "unlist"]


def children() -> list[Child]:
    """Return the children that live, or wait to be reaped: those that governess started or was told to watch."""
    return list(_living.values())


def find(pid: int) -> Child | None:
    """Return the Child of `pid` if it is one of `children()`."""
    return _living.get(pid)


def list_child(child: Child) -> None:
    """Let the child be found."""
    _living[child.pid] = child


def unlist(child: Child) -> None:
    """Let the child be found no more; another one that has its number by now stays."""
    if _living.get(child.pid) is child:
        del _living[child.pid]


def forget_all() -> None:
    """Let nobody be found."""
    _living.clear()


_living: dict[int, Child] = {}
