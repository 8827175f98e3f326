"""A scenario in an interpreter of its own, since what it does to its process cannot be undone."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pains.contestants import run_in_loop
from pains.verdict import DoesNotApply, Hurts

__all__ = ["apart"]

LoopFactory = Callable[[], AbstractEventLoop]

PATIENCE = 25.0


def apart(scenario: Callable[..., Any], *words: str, loop_factory: LoopFactory | None = None) -> str:
    """Call a story's function with the words in a new interpreter, a coroutine function in a loop of the factory.

    Raises:
        Hurts: as the scenario does.
        DoesNotApply: likewise.
    """
    story = Path(inspect.getfile(scenario)).stem
    loop = "" if loop_factory is None else f"{loop_factory.__module__}:{loop_factory.__qualname__}"
    command = [sys.executable, "-m", "pains.apart", story, scenario.__name__, loop, *words]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}, timeout=PATIENCE)
    if ran.returncode != 0:
        raise RuntimeError(f"{scenario.__name__} has failed apart: exit {ran.returncode}")
    kind, seen = json.loads(ran.stdout.splitlines()[-1])
    for verdict in (Hurts, DoesNotApply):
        if kind == verdict.__name__:
            raise verdict(seen)
    return str(seen)


def main(story: str, name: str, loop: str, *words: str) -> None:
    """Do what `apart` asks for, and print what came of it."""
    scenario = functools.partial(getattr(importlib.import_module(f"pains.{story}"), name), *words)
    try:
        seen = run_in_loop(scenario, pkgutil.resolve_name(loop)) if loop else str(scenario())
    except (Hurts, DoesNotApply) as verdict:
        print(json.dumps([type(verdict).__name__, str(verdict)]))
    else:
        print(json.dumps(["", seen]))


if __name__ == "__main__":
    main(*sys.argv[1:])
