"""Pain 19: Each loop writes its own watchers.

Told in gi0baro/rloop#6, beeware/gbulb#171, gentoo/portage#1121.
"""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from pains.choice import class_of
from pains.verdict import Hurts

LoopFactory = Callable[[], AbstractEventLoop]

PROGRAM = ["sh", "-c", "exit 7"]


def on_governess(loop_factory: LoopFactory) -> str:
    from governess.subprocess import create_subprocess_exec

    async def main() -> int:
        process = await create_subprocess_exec(*PROGRAM)
        return await process.wait()

    return judge(lambda: run_bare(main, loop_factory))


def on_asyncio(loop_factory: LoopFactory) -> str:
    async def main() -> int:
        process = await asyncio.create_subprocess_exec(*PROGRAM)
        return await process.wait()

    return judge(lambda: run_bare(main, loop_factory))


def on_trio() -> str:
    import trio

    async def guest() -> int:
        done = await trio.run_process(PROGRAM, check=False)
        return int(done.returncode)

    async def host() -> int:
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        trio.lowlevel.start_guest_run(
            guest, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
        )
        outcome = await done
        return int(outcome.unwrap())

    return judge(lambda: run_bare(host, asyncio.new_event_loop)) + ", in guest mode"


def on_anyio() -> str:
    import anyio

    async def main() -> int:
        return (await anyio.run_process(PROGRAM, check=False)).returncode

    loop_factory = bare(asyncio.new_event_loop)
    return judge(lambda: anyio.run(main, backend_options={"loop_factory": loop_factory}))


def bare(loop_factory: LoopFactory) -> type[Any]:
    """Return the class of such loops as it would be if its author had written no children for it."""
    without = {name: getattr(AbstractEventLoop, name) for name in ("subprocess_exec", "subprocess_shell")}
    return type("BareLoop", (class_of(loop_factory),), without)


def run_bare(main: Callable[[], Any], loop_factory: LoopFactory) -> int:
    with asyncio.Runner(loop_factory=bare(loop_factory)) as runner:
        return int(runner.run(main()))


def judge(run: Callable[[], int]) -> str:
    try:
        status = run()
    except NotImplementedError:
        raise Hurts("NotImplementedError: the author of the loop has to write the code for children") from None
    assert status == 7
    return "children run in a loop that has none of its own"


def test_pain_19_each_loop_its_own_watchers(relief: Callable[..., str]) -> None:
    """Children and watchers need only the public methods of a loop, so its author writes no code for them."""
    relief(on_governess)
