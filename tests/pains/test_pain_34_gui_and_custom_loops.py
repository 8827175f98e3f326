"""Pain 34: GUI toolkits and custom loops without policies.

Told in CabbageDevelopment/qasync#130, beeware/toga#3531.
"""

import asyncio
import queue
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pains.choice import asyncio_policy, class_of, current_loop
from pains.silence import no_warnings
from pains.verdict import Hurts

LoopFactory = Callable[[], AbstractEventLoop]


class GuiFactory:
    """Makes the loop of a toolkit in the main thread, where alone the toolkit lives, and others elsewhere."""

    def __init__(self, loop_factory: LoopFactory) -> None:
        self._loop_factory = loop_factory
        self.GuiLoop: Any = type("GuiLoop", (class_of(loop_factory),), {})

    def __call__(self) -> AbstractEventLoop:
        here = threading.current_thread() is threading.main_thread()
        loop: AbstractEventLoop = self.GuiLoop() if here else self._loop_factory()
        return loop

    def judge(self, run: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]) -> str:
        """Let code that knows nothing of a toolkit run in both threads."""
        if not isinstance(run(current_loop), self.GuiLoop):
            raise Hurts("the toolkit's loop does not run in its thread")
        with ThreadPoolExecutor(1) as pool:
            if isinstance(pool.submit(run, current_loop).result(), self.GuiLoop):
                raise Hurts("the toolkit's loop runs in another thread")
        return "the toolkit's loop runs in its thread, another elsewhere"


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    factory = GuiFactory(loop_factory)
    with governess.DefaultEventLoopPolicy(factory) as policy, governess.installed(policy), no_warnings():
        return factory.judge(lambda main: asyncio.run(main()))


def on_asyncio(loop_factory: LoopFactory) -> str:
    factory = GuiFactory(loop_factory)
    with asyncio_policy(factory):
        return factory.judge(lambda main: asyncio.run(main()))


def on_trio() -> str:
    import trio

    toolkit: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
    outcomes: list[Any] = []

    async def guest() -> bool:
        await trio.sleep(0.001)
        return threading.current_thread() is threading.main_thread()

    def done(outcome: Any) -> None:
        outcomes.append(outcome)
        toolkit.put(None)

    trio.lowlevel.start_guest_run(guest, run_sync_soon_threadsafe=toolkit.put, done_callback=done)
    while (callback := toolkit.get(timeout=2)) is not None:
        callback()
    with ThreadPoolExecutor(1) as pool:
        if not outcomes[0].unwrap() or pool.submit(trio.run, guest).result():
            raise Hurts("it runs in the wrong thread")
    return "guest mode in the toolkit's own loop"


def on_anyio() -> str:
    import anyio

    factory = GuiFactory(asyncio.SelectorEventLoop)
    with asyncio_policy(factory):
        return factory.judge(anyio.run)


def test_pain_34_gui_and_custom_loops(relief: Callable[..., str]) -> None:
    """A policy takes any factory, and its scope decides: the toolkit's loop in its thread, another one elsewhere."""
    relief(on_governess)
