"""Pain 7: `communicate()` cut off by a timeout loses the output.

Told in cpython#139373.
"""

import asyncio
import subprocess
from collections.abc import Callable
from typing import Any

from pains.verdict import Hurts, lacks

TALKER = ["sh", "-c", "echo so far; exec sleep 30"]


async def on_governess() -> str:
    from governess.subprocess import ProcessTimeout, run

    try:
        await run(*TALKER, timeout=0.5, grace=0.5)
    except ProcessTimeout as error:
        return judge(error.stdout)
    raise AssertionError("no timeout")


async def on_asyncio() -> str:
    process = await asyncio.create_subprocess_exec(*TALKER, stdout=subprocess.PIPE)
    try:
        await asyncio.wait_for(process.communicate(), 0.5)
    except TimeoutError:
        process.kill()
        rest, _ = await process.communicate()
        return judge(rest)
    raise AssertionError("no timeout")


async def on_trio() -> str:
    import trio

    with trio.move_on_after(0.5):
        await trio.run_process(TALKER, capture_stdout=True)
    raise lacks("way to what was read")


async def on_anyio() -> str:
    import anyio

    with anyio.move_on_after(0.5):
        await anyio.run_process(TALKER)
    raise lacks("way to what was read")


def judge(output: Any) -> str:
    if output != b"so far\n":
        raise Hurts("the output is lost")
    return "the exception has it"


def test_pain_07_timeout_loses_the_output(relief: Callable[..., str]) -> None:
    """The exception has the output that was read before the timeout."""
    relief(on_governess)
