"""Pain 13: No process-wide choice of loop any more.

Told in cpython#127949, cpython#150310.
"""

import asyncio
from collections.abc import Callable

from pains.choice import Choice, asyncio_policy, current_loop
from pains.silence import no_warnings
from pains.verdict import DoesNotApply, Hurts

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    choice = Choice(loop_factory)
    with governess.DefaultEventLoopPolicy(choice) as policy, governess.installed(policy), no_warnings():
        return choice.judge(library())


def on_asyncio(loop_factory: LoopFactory) -> str:
    choice = Choice(loop_factory)
    with asyncio_policy(choice):
        return choice.judge(library())


def on_uvloop(loop_factory: LoopFactory) -> str:
    import uvloop

    with no_warnings():
        uvloop.install()
        loop = library()
    if not isinstance(loop, uvloop.Loop):
        raise Hurts(f"{type(loop).__name__} runs")
    return "uvloop runs"


def on_trio() -> str:
    import trio

    try:
        trio.run(current_loop, loop_factory=asyncio.new_event_loop)
    except TypeError:
        raise DoesNotApply("has one loop, its own") from None
    raise AssertionError("there is a choice")


def on_anyio() -> str:
    import anyio

    choice = Choice(asyncio.SelectorEventLoop)
    with asyncio_policy(choice):
        return choice.judge(anyio.run(current_loop))


def library() -> asyncio.AbstractEventLoop:
    """Run a loop, as somebody else's code does that knows nothing of the choice."""
    return asyncio.run(current_loop())


def test_pain_13_no_choice_of_loop_for_all(relief: Callable[..., str]) -> None:
    """A policy, for a block or permanently, chooses the loop of all code that asks asyncio for one. Nothing warns."""
    relief(on_governess)
