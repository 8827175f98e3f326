"""Starting children from a loop, which goes on meanwhile."""

from __future__ import annotations

import functools
import os
from typing import Protocol

from governess.children import popen
from governess.children.command import Birth, Command

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

    async def spawn(self, command: Command) -> Birth:
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


async def spawn(command: Command) -> Birth:
    """Start a child by the spawner in use, as `Spawner.spawn` says."""
    if command.options.get("preexec_fn") is not None:
        return popen.start(command)  # Python code of the caller's, who expects it in this thread
    if popen.is_replaced():
        from governess.children import helpers

        return await helpers.spawn(command)
    return await _spawner().spawn(command)


@functools.cache
def _spawner() -> Spawner:
    # Chosen with the first child, since programs without children need nothing of what either of the two imports.
    if os.environ.get("GOVERNESS_PURE"):
        return _helpers("GOVERNESS_PURE is set")
    try:
        from governess.children import native
    except ImportError as error:
        return _helpers(f"the extension is not built here ({error})")
    return native.Native()


def _helpers(reason: str) -> Spawner:
    from governess.children import helpers

    return helpers.Helpers(reason)
