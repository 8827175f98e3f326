"""Pain 36: Patched `asyncio.run` rejects `loop_factory`.

Told in Kludex/uvicorn#2737, ipython/ipykernel#548.
"""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any
from unittest import mock

from pains.choice import Choice
from pains.server import Server, server
from pains.verdict import Hurts

LoopFactory = Callable[[], AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    choice = Choice(loop_factory)
    return judge(choice, lambda serving: governess.run(serving.serve(), loop_factory=choice))


def on_asyncio(loop_factory: LoopFactory) -> str:
    try:
        return judge(None, lambda serving: serving.run())
    except Hurts as pain:
        with patched(), asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(server()[0].serve())
        raise Hurts(f"{pain}; asyncio.Runner takes one") from None


def on_uvloop(loop_factory: LoopFactory) -> str:
    import uvloop

    choice = Choice(loop_factory)
    return judge(choice, lambda serving: uvloop.run(serving.serve(), loop_factory=choice))  # type: ignore[arg-type]


def on_trio() -> str:
    import trio

    with patched():
        assert trio.run(trio.sleep, 0) is None
    return "trio.run() is its own"


def on_anyio() -> str:
    import anyio

    choice = Choice(asyncio.SelectorEventLoop)
    return judge(choice, lambda serving: anyio.run(serving.serve, backend_options={"loop_factory": choice}))


def patched() -> Any:
    """Have an `asyncio.run` as debuggers and nest_asyncio leave it there, since before the server was imported."""
    original = asyncio.run

    def run(main: Any, *, debug: bool = False) -> Any:
        return original(main, debug=debug)

    return mock.patch.object(asyncio, "run", run)


def judge(choice: Choice | None, run: Callable[[Server], object]) -> str:
    with patched():
        serving, loops = server()
        try:
            run(serving)
        except TypeError as error:
            raise Hurts(f"TypeError: {str(error).rpartition('run() ')[2]}") from None
    return "the server runs" if choice is None else choice.judge(loops[0])


def test_pain_36_patched_asyncio_run(relief: Callable[..., str]) -> None:
    """`governess.run` takes a loop factory, even if `asyncio.run` was patched."""
    relief(on_governess)
