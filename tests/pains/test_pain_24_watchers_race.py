"""Pain 24: MultiLoop/Safe/Fast: races, O(n).

Told in cpython#20142, cpython#76957, byllyfish/shellous#129.
"""

import asyncio
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pains.processes import end, own_children
from pains.verdict import DoesNotApply, Hurts, lacks

NAMES = ["MultiLoopChildWatcher", "SafeChildWatcher", "FastChildWatcher"]

CHILDREN = 12
PATIENCE = 3.0

LoopFactory = Callable[[], AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    def play(name: str) -> str:
        with governess.DefaultEventLoopPolicy(loop_factory, watcher=getattr(governess, name)) as policy:
            return in_main_loop(policy.loop_factory)

    return with_each(play)


def on_asyncio(loop_factory: LoopFactory) -> str:
    warnings.simplefilter("ignore", DeprecationWarning)
    if missing := [name for name in NAMES if not hasattr(asyncio, name)]:
        raise lacks(" nor ".join(missing))

    def play(name: str) -> str:
        watcher = getattr(asyncio, name)()
        asyncio.set_child_watcher(watcher)
        try:
            return in_main_loop(loop_factory, watcher.attach_loop)
        finally:
            end(own_children())
            watcher.close()

    return with_each(play)


def on_uvloop(loop_factory: LoopFactory) -> str:
    import uvloop

    try:
        uvloop.EventLoopPolicy().set_child_watcher(None)
    except (AttributeError, NotImplementedError):
        raise DoesNotApply("its policy takes no watcher") from None
    return on_asyncio(loop_factory)


def on_trio() -> str:
    import trio

    return look_for_watchers(trio, trio.lowlevel)


def on_anyio() -> str:
    import anyio
    import anyio.lowlevel

    return look_for_watchers(anyio, anyio.lowlevel)


def look_for_watchers(*modules: ModuleType) -> str:
    found = [name for module in modules for name in dir(module) if "watcher" in name.lower()]
    assert not found
    raise DoesNotApply("has no watchers to choose from")


def with_each(play: Callable[[str], str]) -> str:
    pains = []
    for name in NAMES:
        try:
            play(name)
        except Hurts as pain:
            pains.append(f"{name}: {pain}")
    if pains:
        raise Hurts("; ".join(pains))
    return f"each tells of {CHILDREN} exits in another thread's loop"


def in_main_loop(loop_factory: LoopFactory, attach: Callable[[AbstractEventLoop], Any] = lambda loop: None) -> str:
    """Have the loop of another thread wait for its children while that of the main thread has nothing to do."""

    async def main() -> str:
        attach(asyncio.get_running_loop())
        return await asyncio.to_thread(in_another_thread)

    def in_another_thread() -> str:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(see())

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


async def see() -> str:
    lines = [f"sleep 0.05; exit {number}" for number in range(CHILDREN)]
    processes = await asyncio.gather(*(asyncio.create_subprocess_exec("sh", "-c", line) for line in lines))
    exits = [asyncio.ensure_future(process.wait()) for process in processes]
    _, pending = await asyncio.wait(exits, timeout=PATIENCE)
    if pending:
        for task in pending:
            task.cancel()
        raise Hurts(f"{len(pending)} of {CHILDREN} exits are not noticed")
    if wrong := [task.result() for number, task in enumerate(exits) if task.result() != number]:
        raise Hurts(f"{len(wrong)} of {CHILDREN} statuses are wrong")
    return "all are noticed"


def test_pain_24_watchers_race(relief: Callable[..., str]) -> None:
    """The same watchers miss no exit, whichever thread gets the signal."""
    relief(on_governess)
