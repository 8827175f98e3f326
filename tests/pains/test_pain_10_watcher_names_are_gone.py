"""Pain 10: Watcher names gone in 3.14: crash at import.

Told in MagicStack/uvloop#637, aio-libs/aiozmq#194, cpython#130915.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pains.verdict import DoesNotApply, Hurts

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

#: As programs of 2020 begin.
PROGRAM = """
import asyncio
from asyncio import AbstractChildWatcher, SafeChildWatcher, ThreadedChildWatcher

watcher = ThreadedChildWatcher()
asyncio.set_child_watcher(watcher)

async def main():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    return await process.wait()
"""


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    with governess.DefaultEventLoopPolicy(loop_factory) as policy, governess.installed(policy):
        program = imported()
        try:
            return judge(asyncio.run(program["main"]()))
        finally:
            program["watcher"].close()


def on_asyncio(loop_factory: LoopFactory) -> str:
    program = imported()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return judge(runner.run(program["main"]()))


def on_trio() -> str:
    import trio

    raise no_names_of_asyncio(trio)


def on_anyio() -> str:
    import anyio

    raise no_names_of_asyncio(anyio)


def imported() -> dict[str, Any]:
    program: dict[str, Any] = {}
    try:
        exec(PROGRAM, program)
    except (ImportError, AttributeError) as error:
        raise Hurts(f"{type(error).__name__}: {str(error).partition(' (')[0]}") from None
    return program


def no_names_of_asyncio(library: Any) -> DoesNotApply:
    assert not hasattr(library, "ThreadedChildWatcher")
    return DoesNotApply("runs no program that was written for asyncio's watchers")


def judge(status: int) -> str:
    assert status == 7
    return "the program of 2020 is imported, and runs"


def test_pain_10_watcher_names_are_gone(relief: Callable[..., str]) -> None:
    """`install()` adds the old names on every version, with watchers that work."""
    relief(on_governess)
