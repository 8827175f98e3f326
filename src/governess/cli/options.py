"""What `--loop` and `--watcher` mean, for every command that has them."""

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governess.abc import AbstractChildWatcher

__all__ = ["LOOP_HELP", "WATCHER_HELP", "loop_factory", "watcher_factory"]

LOOP_HELP = "The event loop: auto, asyncio, uvloop, or MODULE:FACTORY. See `governess info`."
WATCHER_HELP = "How exits are noticed: auto, pidfd, threaded, multiloop, safe, fast, kqueue. See `governess info`."


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop of that name.

    Raises:
        ValueError: there is no such loop; the text says what there is.
    """
    from governess.loops._choose import choose_loop

    return choose_loop(name).factory


def watcher_factory(name: str) -> "Callable[[], AbstractChildWatcher] | None":
    """Return what makes the watcher of that name; None for `auto`, the default.

    Raises:
        ValueError: there is no such watcher here; the text says what there is.
    """
    if name == "auto":
        return None
    if sys.platform == "win32":
        raise ValueError("there are no watchers on Windows: leave --watcher out")
    else:  # noqa: RET506 - after it mypy would find it unreachable on Windows
        from governess import watchers

        return watchers.get_watcher_class(name)
