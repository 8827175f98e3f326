"""Pain 35: Nested loops.

Told in MagicStack/uvloop#405.
"""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable

from pains.verdict import Hurts

LoopFactory = Callable[[], AbstractEventLoop]

PROGRAM = ["sh", "-c", "exit 7"]


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    with governess.SharedEventLoopPolicy(loop_factory) as policy:

        async def outer() -> str:
            return judge(lambda: policy.call(child()))

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(outer())


async def on_asyncio() -> str:
    return judge(lambda: asyncio.run(child()))


async def on_trio() -> str:
    import trio

    async def child() -> int:
        done = await trio.run_process(PROGRAM, check=False)
        return int(done.returncode)

    return judge(lambda: trio.run(child))


async def on_anyio() -> str:
    import anyio.from_thread

    async def child() -> int:
        return (await anyio.run_process(PROGRAM, check=False)).returncode

    with anyio.from_thread.start_blocking_portal() as portal:
        return judge(lambda: portal.call(child))


async def child() -> int:
    process = await asyncio.create_subprocess_exec(*PROGRAM)
    return await process.wait()


def judge(call: Callable[[], int]) -> str:
    """Call asynchronous code from code that is not asynchronous, in a running loop."""
    try:
        status = call()
    except RuntimeError as error:
        raise Hurts(str(error)) from None
    assert status == 7
    return "a call to a loop in a thread of its own"


def test_pain_35_nested_loops(relief: Callable[..., str]) -> None:
    """Synchronous code inside a running loop calls into a loop that has a thread of its own; nothing is patched."""
    relief(on_governess)
