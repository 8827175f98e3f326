"""Pain 17: `uvloop.install()` / policy warnings.

Told in Vizonex/Winloop#137, aio-libs/aiohttp#12616.
"""

import asyncio
import importlib.util
from collections.abc import Callable
from unittest import mock

from pains.choice import current_loop
from pains.silence import no_warnings
from pains.verdict import DoesNotApply, Hurts

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def on_governess(_: LoopFactory) -> str:
    import governess

    with no_warnings():
        best = governess.run(current_loop(), loop_factory="auto")
        with mock.patch.dict("sys.modules", {"uvloop": None}):
            fallback = governess.run(current_loop(), loop_factory="auto")
    expected = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    judge(best, expected)
    judge(fallback, "asyncio")
    return f'loop_factory="auto" takes {expected}, asyncio\'s loop where there is no uvloop, and warns nowhere'


def on_asyncio(loop_factory: LoopFactory) -> str:
    with no_warnings(), asyncio.Runner(loop_factory=loop_factory) as runner:
        judge(runner.run(current_loop()), "asyncio")
    return "Runner(loop_factory=…) is silent"


def on_uvloop(_: LoopFactory) -> str:
    import uvloop

    with no_warnings():
        judge(uvloop.run(current_loop()), "uvloop")
    return "uvloop.run() is silent"


def on_trio() -> str:
    import trio

    assert not hasattr(trio, "set_event_loop_policy")
    raise DoesNotApply("has one loop, its own")


def on_anyio() -> str:
    import anyio

    with no_warnings():
        judge(anyio.run(current_loop, backend_options={"use_uvloop": True}), "uvloop")
    return "use_uvloop=True is silent"


def judge(loop: asyncio.AbstractEventLoop, expected: str) -> None:
    bases = {base.__module__.partition(".")[0] for base in type(loop).__mro__}
    if ("uvloop" in bases) != (expected == "uvloop"):
        raise Hurts(f"{type(loop).__name__} runs, not a loop of {expected}")


def test_pain_17_warnings_of_uvloop_and_policies(relief: Callable[..., str]) -> None:
    """`loop_factory="auto"` takes uvloop where it is installed, else asyncio's loop, and never warns."""
    relief(on_governess)
