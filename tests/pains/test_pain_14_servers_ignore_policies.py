"""Pain 14: Servers silently ignore policies.

Told in marimo-team/marimo#6779, apify/crawlee-python#1566.
"""

import asyncio
from collections.abc import Callable

from pains.choice import Choice, asyncio_policy
from pains.server import server
from pains.silence import no_warnings
from pains.verdict import DoesNotApply, Hurts

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    choice = Choice(loop_factory)
    with governess.DefaultEventLoopPolicy(choice) as policy, no_warnings():
        governess.set_event_loop_policy(policy)
        try:
            return f"{choice.judge(loop_of('governess:new_event_loop'))}, by `--loop governess:new_event_loop`"
        finally:
            governess.set_event_loop_policy(None)


def on_asyncio(loop_factory: LoopFactory) -> str:
    choice = Choice(loop_factory)
    with asyncio_policy(choice):
        return f"{choice.judge(loop_of('asyncio:new_event_loop'))}, by `--loop asyncio:new_event_loop`"


def on_uvloop(loop_factory: LoopFactory) -> str:
    with no_warnings():
        loop = loop_of("uvloop:new_event_loop")
    if not isinstance(loop, type(loop_factory())):
        raise Hurts(f"{type(loop).__name__} runs")
    return "uvloop runs, by `--loop uvloop`; a policy is not needed for it"


def on_trio() -> str:
    raise no_policies("trio")


def on_anyio() -> str:
    raise no_policies("anyio")


def loop_of(name: str) -> asyncio.AbstractEventLoop:
    """Run the server by its own `run`, and tell in which loop it was."""
    serving, loops = server(name)
    serving.run()
    return loops[0]


def no_policies(name: str) -> DoesNotApply:
    assert not hasattr(__import__(name), "set_event_loop_policy")
    return DoesNotApply("has no policies that could be ignored")


def test_pain_14_servers_ignore_policies(relief: Callable[..., str]) -> None:
    """With the factory `--loop governess:new_event_loop`, a server runs in a loop of the current policy."""
    relief(on_governess)
