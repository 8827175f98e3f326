"""nest_asyncio under the bridge: a loop that is made reentrant inside one of its callbacks.

asyncio's `_run_once` counts the ready handles, and takes that many from the queue. A nested run of nest_asyncio takes
some of them first. Then `_run_once` finds too few, and its IndexError ends the loop. With asyncio's own children the
nested run often leaves enough new ones there; a child of governess takes fewer handles. So the queue is filled up here.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from governess._after_import import Change, Undo, after_import

__all__ = ["follow"]

# The second is the continuation of the first one by others.
_MODULES = ("nest_asyncio", "nest_asyncio2")


def follow(change: Change, undo: Undo) -> None:
    """Keep the ready queue of each loop that nest_asyncio makes reentrant while it runs from becoming too short."""

    def patch(module: ModuleType) -> None:
        if (patch_loop := vars(module).get("_patch_loop")) is not None:
            change(module, "_patch_loop", _watching(patch_loop))

    after_import(_MODULES, patch, undo)


def _watching(patch_loop: Callable[[Any], object]) -> Callable[[Any], object]:
    @functools.wraps(patch_loop)
    def patch_and_fill_up(loop: Any) -> object:
        is_first = not hasattr(loop, "_nest_patched")
        result = patch_loop(loop)
        if is_first and loop.is_running():
            _fill_up_after_nested_runs(loop)
        return result

    return patch_and_fill_up


def _fill_up_after_nested_runs(loop: Any) -> None:
    """Have the loop's queue hold as many handles as now after each nested run: `_run_once` wants no more than these."""
    wanted = len(loop._ready)
    nothing = asyncio.Handle(_do_nothing, (), loop)
    nothing.cancel()

    def filling_up(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def run_and_fill_up(*args: Any) -> Any:
            try:
                return run(*args)
            finally:
                loop._ready.extend([nothing] * (wanted - len(loop._ready)))

        return run_and_fill_up

    # Of this loop alone; the others of its class do not run, or run by nest_asyncio's `_run_once`.
    for name in ("run_forever", "run_until_complete"):
        setattr(loop, name, filling_up(getattr(loop, name)))


def _do_nothing() -> None:
    pass
