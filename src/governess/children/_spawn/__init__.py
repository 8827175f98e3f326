"""Starting children from a loop, which goes on meanwhile."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Coroutine
from typing import Any, Protocol

from governess.children._spawn import popen
from governess.children._spawn.command import Command, Spawned
from governess.children._spawn.with_parent import is_guardian_usable

__all__ = ["Spawner", "can_die_with_parent", "describe", "spawner"]


class Spawner(Protocol):
    """A way to start children."""

    @property
    def name(self) -> str:
        """The short name of the spawner."""
        ...

    @property
    def reason(self) -> str:
        """Why this spawner is in use, in one sentence."""
        ...

    def spawn(self, command: Command) -> Coroutine[Any, Any, Spawned]:
        """Start a child without blocking the loop; return after the child's exec.

        If the spawn is cancelled after the child has started, the child is killed and reaped.

        Raises:
            OSError: as in `subprocess.Popen`, with the same errno and filename, like all other errors.
        """
        ...


def describe() -> tuple[str, str]:
    """Return the name of the spawner in use, and why it is that one."""
    return spawner().name, spawner().reason


def can_die_with_parent() -> bool:
    """Return whether children can be started with `die_with_parent` here."""
    return sys.platform == "linux" and (spawner().name == "native" or is_guardian_usable())


@functools.cache
def spawner() -> Spawner:
    """Return the spawner in use. It is chosen with the first child: a program without children imports neither."""
    if os.environ.get("GOVERNESS_PURE"):
        return popen.PopenSpawner("GOVERNESS_PURE is set")
    try:
        from governess.children._spawn.native import NativeSpawner
    except ImportError as error:
        from importlib.util import find_spec

        is_built = find_spec("governess.children._spawn._native") is not None
        return popen.PopenSpawner(
            f"the extension does not load ({error})" if is_built else "the extension is not built here"
        )
    return NativeSpawner()
