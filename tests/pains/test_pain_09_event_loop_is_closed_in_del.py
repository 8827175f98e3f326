"""Pain 9: "Event loop is closed" in `__del__`.

Told in cpython#114177.
"""

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable
from subprocess import PIPE
from typing import Any

from pains.verdict import Hurts

#: It ends by itself when nobody holds its pipe any more.
PROGRAM = ["cat"]


def on_governess(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> str:
    import governess
    from governess.subprocess import create_subprocess_exec

    with governess.DefaultEventLoopPolicy(loop_factory) as policy:
        return judge(lambda: _kill_now(policy.loop_factory, create_subprocess_exec))


def on_asyncio(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> str:
    return judge(lambda: _kill_now(loop_factory, asyncio.create_subprocess_exec))


def on_trio() -> str:
    import trio

    async def main() -> object:
        return await trio.lowlevel.open_process(PROGRAM, stdin=PIPE, stdout=PIPE)

    return judge(lambda: trio.run(main))


def on_anyio() -> str:
    import anyio

    async def main() -> object:
        return await anyio.open_process(PROGRAM)

    return judge(lambda: anyio.run(main))


def _kill_now(loop_factory: Callable[[], asyncio.AbstractEventLoop], create: Callable[..., Any]) -> object:
    loop = loop_factory()
    try:
        return loop.run_until_complete(create(*PROGRAM, stdin=PIPE, stdout=PIPE))
    finally:
        loop.close()


def judge(abandoned: Callable[[], object]) -> str:
    """Drop the process that the function returns, whose loop has gone, and look at what its finalizers raise."""
    raised: list[str] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: raised.append(repr(args.exc_value))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # that it was dropped may be told
            abandoned()
            gc.collect()
    finally:
        sys.unraisablehook = hook
    if raised:
        raise Hurts(f"in a finalizer: {raised[0]}")
    return "no finalizer complains"


def test_pain_09_event_loop_is_closed_in_del(relief: Callable[..., str]) -> None:
    """A process object that is deleted after its loop was closed does not use the loop, so no finalizer complains."""
    relief(on_governess)
