"""Gives a few thousand callbacks to prioritized loops, which run, fail, are cancelled and forgotten; for memcheck."""

import asyncio
from typing import Any

from governess import prioritized, priority
from governess.loops._priority import ReadyQueue, _ready

assert ReadyQueue is _ready.ReadyQueue


def fail(*args: Any) -> None:
    """Raise an error, which is reported."""
    raise ValueError(args)


async def steps() -> None:
    """Take some steps, each a callback."""
    for _ in range(100):
        await asyncio.sleep(0)


def use(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop do a little of everything."""
    loop.set_exception_handler(lambda _, report: repr(report["handle"]))
    for number in range(1000):
        with priority(number % 40 - 20):
            handle = loop.call_soon(fail if number % 9 == 0 else len, *[""] * (number % 3))
        if number % 5 == 0:
            handle.cancel()
    loop.call_soon(loop.stop)
    loop.run_forever()
    for debug in (False, True):
        loop.set_debug(debug)
        loop.run_until_complete(asyncio.wait_for(steps(), 60))
    loop.call_soon(print, loop)
    loop.close()


for _ in range(3):
    use(prioritized(asyncio.SelectorEventLoop)())
