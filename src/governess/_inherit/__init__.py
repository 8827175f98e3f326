"""The bridge in other Python processes: `join` installs it there; `pass_on` has all Python children do so."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping

from governess._bridge import install
from governess._workers import Choice, choose
from governess.abc import AbstractChildWatcher
from governess.loops._choose import choose_loop
from governess.policies._default import DefaultEventLoopPolicy

__all__ = ["VARIABLE", "join", "join_by_environment", "pass_on"]

#: The environment variable that tells Python children to install the bridge: `loop,watcher`.
VARIABLE = "GOVERNESS_INHERIT"


def join(loop: str = "asyncio", watcher: str = "auto") -> None:
    """Install the bridge as in the process that has started this one.

    Args:
        loop: the name of a loop; one like ``module:factory`` is imported when the first loop is made.
        watcher: the name of a watcher, or ``auto``.
    """
    choose(Choice(loop, watcher))
    install(
        DefaultEventLoopPolicy(
            loop_factory=(lambda: choose_loop(loop).factory()) if ":" in loop else loop,
            watcher=None if watcher == "auto" else _watcher_factory(watcher),
        )
    )


def _watcher_factory(name: str) -> Callable[[], AbstractChildWatcher]:
    from governess.watchers import choose_watcher

    return choose_watcher(name).factory


def join_by_environment() -> None:
    """Install the bridge as the environment variable says; its value may be just ``1``."""
    loop, _, watcher = os.environ.get(VARIABLE, "").partition(",")
    join(loop if watcher else "asyncio", watcher or "auto")


def pass_on(choice: Choice, environment: MutableMapping[str, str] = os.environ) -> None:
    """Have all Python processes that get this environment install the bridge when they import asyncio.

    A `sitecustomize` at the front of PYTHONPATH does so; it then runs the one that it hides.
    """
    environment[VARIABLE] = ",".join(choice)
    folder, before = os.path.dirname(__file__), environment.get("PYTHONPATH", "")
    if folder not in before.split(os.pathsep):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, before)))
