"""A choice of loop: how to see that it is followed, and how it is made by a policy of asyncio's own."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

from pains.silence import no_warnings
from pains.verdict import Hurts, lacks

__all__ = ["Choice", "asyncio_policy", "class_of", "current_loop"]

LoopFactory = Callable[[], AbstractEventLoop]


class Choice:
    """A loop factory that knows its loops."""

    def __init__(self, factory: LoopFactory) -> None:
        self._factory = factory
        self._made: list[AbstractEventLoop] = []

    def __call__(self) -> AbstractEventLoop:
        """Make a loop."""
        self._made.append(self._factory())
        return self._made[-1]

    def judge(self, loop: AbstractEventLoop) -> str:
        """Tell that this loop was made here, or raise Hurts."""
        if not any(loop is made for made in self._made):
            raise Hurts(f"{type(loop).__name__} runs, which is not the choice")
        return "the chosen loop runs"


@contextlib.contextmanager
def asyncio_policy(factory: LoopFactory) -> Iterator[None]:
    """Let a policy of asyncio's own make its loops by the factory inside the block, where no warning is to come."""
    with no_warnings():
        try:
            native: Any = asyncio.DefaultEventLoopPolicy
        except AttributeError:
            raise lacks("policies any more") from None
        policy = type("Policy", (native,), {"new_event_loop": lambda self: factory()})
        asyncio.set_event_loop_policy(policy())
        try:
            yield
        finally:
            asyncio.set_event_loop_policy(None)


async def current_loop() -> AbstractEventLoop:
    """Return the loop that runs this: what code sees that knows nothing of a choice."""
    return asyncio.get_running_loop()


def class_of(factory: LoopFactory) -> type[Any]:
    """Return the class of the factory's loops."""
    loop = factory()
    loop.close()
    return type(loop)
