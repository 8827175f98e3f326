"""Starting children from a loop, which goes on meanwhile."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Coroutine
from typing import Any, Protocol

from governess.children._spawn import popen
from governess.children._spawn.command import Command, Spawned

__all__ = ["Spawner", "describe", "spawn"]


class Spawner(Protocol):
    """A way to start children."""

    @property
    def name(self) -> str:
        """Its short name."""
        ...

    @property
    def reason(self) -> str:
        """Why it is the one in use, in one sentence."""
        ...

    def spawn(self, command: Command) -> Coroutine[Any, Any, Spawned]:
        """Start the child and return it when it has exec'ed; the running loop goes on meanwhile.

        A cancelled spawn leaves nothing behind: a child that was born in spite of it is killed and reaped.

        Raises:
            OSError: as `subprocess.Popen` raises it, with the same errno and filename; so its other errors.
        """
        ...


def describe() -> tuple[str, str]:
    """Return the name of the spawner in use, and why it is that one."""
    spawner = _spawner()
    return spawner.name, spawner.reason


def spawn(command: Command) -> Coroutine[Any, Any, Spawned]:
    """Start a child by the spawner in use, as `Spawner.spawn` says."""
    if command.options.get("preexec_fn") is not None:
        return popen.spawn_here(command)  # Python code of the caller's, who expects it in this thread
    if subprocess.Popen is not popen.POPEN:  # a mock in somebody's test
        return popen.spawn(command)
    return _spawner().spawn(command)


@functools.cache
def _spawner() -> Spawner:
    # Chosen with the first child, since programs without children need nothing of what either of the two imports.
    if os.environ.get("GOVERNESS_PURE"):
        return popen.PopenSpawner("GOVERNESS_PURE is set")
    try:
        from governess.children._spawn.native import NativeSpawner
    except ImportError as error:
        return popen.PopenSpawner(f"the extension is not built here ({error})")
    return NativeSpawner()
