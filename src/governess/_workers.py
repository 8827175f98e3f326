"""The bridge in the workers of multiprocessing: the command line of a worker, or of the fork server, installs it first.

Workers that are forked have it anyway. multiprocessing is changed when the program imports it, and not before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from governess._after_import import Change, Undo, after_import

__all__ = ["Choice", "choose", "chosen", "follow"]


class Choice(NamedTuple):
    """The loop and the watcher of the default policy, by their names, as on the command line."""

    loop: str = "asyncio"
    watcher: str = "auto"


_choice = Choice()


def choose(choice: Choice) -> None:
    """Give workers this choice; a policy that the program sets takes its place there, as here."""
    global _choice
    _choice = choice


def chosen() -> Choice:
    """Return the choice that workers are given."""
    return _choice


def follow(change: Change, undo: Undo) -> None:
    """Have the workers of multiprocessing install the bridge."""
    # The function that starts Python, and on Windows the one that makes up the command line of a worker.
    name, attribute = _STARTER

    def patch(module: ModuleType) -> None:
        change(module, attribute, _PATCHES[attribute](getattr(module, attribute)))

    after_import([name], patch, undo)


def _start_with_bridge(start: Callable[..., Any]) -> Callable[..., Any]:
    def spawnv_passfds(path: Any, args: Sequence[Any], passfds: Any) -> Any:
        return start(path, _with_bridge(args), passfds)

    return spawnv_passfds


def _call_with_bridge(command_line: Callable[..., list[str]]) -> Callable[..., Any]:
    def get_command_line(**options: Any) -> list[str]:
        return _with_bridge(command_line(**options))

    return get_command_line


_STARTER = (
    ("multiprocessing.spawn", "get_command_line")
    if sys.platform == "win32"
    else ("multiprocessing.util", "spawnv_passfds")
)
_PATCHES = {"spawnv_passfds": _start_with_bridge, "get_command_line": _call_with_bridge}
# What the code of a worker's command line, and of the fork server's, imports.
_WORKERS = ("from multiprocessing.spawn import spawn_main", "from multiprocessing.forkserver import main")


def _with_bridge(args: Sequence[Any]) -> list[Any]:
    """Return the command line, with the bridge installed first if it is a worker's."""
    words = list(args)
    for place, word in enumerate(words[:-1]):
        code = words[place + 1]
        if word == "-c" and isinstance(code, str) and any(worker in code for worker in _WORKERS):
            words[place + 1] = (
                f"from governess._inherit import join; join({_choice.loop!r}, {_choice.watcher!r}); {code}"
            )
            break
    return words
