"""The libraries beside each other, and how a scenario runs with each of them."""

from __future__ import annotations

import asyncio
import inspect
import sys
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from pains.verdict import DoesNotApply

__all__ = ["CONTESTANTS", "play", "run_in_loop"]

LoopFactory = Callable[[], AbstractEventLoop]


def play(story: ModuleType, contestant: str) -> str:
    """Run the story's scenario for the contestant; return what was seen, in a few words.

    Raises:
        Hurts: the pain is there.
        DoesNotApply: the library has nothing of the kind.
    """
    return CONTESTANTS[contestant](story)


def run_in_loop(scenario: Callable[..., Any], loop_factory: LoopFactory) -> str:
    """Run a coroutine function in a new loop; a plain function gets the factory, and runs its loop itself."""
    if not inspect.iscoroutinefunction(scenario):
        return str(scenario(loop_factory))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return str(runner.run(scenario()))


def _with_governess_on_asyncio(story: ModuleType) -> str:
    return run_in_loop(story.on_governess, _asyncio_loop())


def _with_governess_on_uvloop(story: ModuleType) -> str:
    return run_in_loop(story.on_governess, _uvloop_loop())


def _with_asyncio(story: ModuleType) -> str:
    return run_in_loop(story.on_asyncio, _asyncio_loop())


def _with_uvloop(story: ModuleType) -> str:
    return run_in_loop(getattr(story, "on_uvloop", story.on_asyncio), _uvloop_loop())


def _with_trio(story: ModuleType) -> str:
    import trio

    return _run_with(trio.run, story.on_trio)


def _with_anyio(story: ModuleType) -> str:
    import anyio

    return _run_with(anyio.run, story.on_anyio)


def _run_with(run: Callable[[Callable[[], Awaitable[Any]]], Any], scenario: Callable[[], Any]) -> str:
    return str(run(scenario) if inspect.iscoroutinefunction(scenario) else scenario())


def _asyncio_loop() -> LoopFactory:
    """The class, and not `asyncio.new_event_loop`, which asks the policy that a scenario has set."""
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop
    return asyncio.SelectorEventLoop


def _uvloop_loop() -> LoopFactory:
    if sys.platform == "win32":
        raise DoesNotApply("there is no uvloop for Windows")
    import uvloop

    return uvloop.Loop


#: By the name in the table; anyio runs on asyncio, as it does by default.
CONTESTANTS: dict[str, Callable[[ModuleType], str]] = {
    "governess": _with_governess_on_asyncio,
    "governess on uvloop": _with_governess_on_uvloop,
    "asyncio": _with_asyncio,
    "uvloop": _with_uvloop,
    "trio": _with_trio,
    "anyio": _with_anyio,
}
