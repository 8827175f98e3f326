"""What needs tasks of its own, in a loop whose only slot is the caller's."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from governess import limited
from governess.subprocess import ProcessPool, cmd, create_subprocess_exec, run

LARGE = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero"


async def fail_in_a_pipeline() -> None:
    done = await (cmd("sleep", "60") | ["false"]).run(grace=1)
    assert done.exit == 1


async def fill_both_outputs() -> None:
    process = await create_subprocess_exec("sh", "-c", LARGE, stdout=PIPE, stderr=PIPE)
    assert [len(output) for output in await process.communicate()] == [300_000, 300_000]


async def listen_to_a_program() -> None:
    lines: list[Any] = []
    await run("echo", "word", on_line=lines.append)
    assert [line.text for line in lines] == ["word"]


async def use_a_pool() -> None:
    async with ProcessPool(1) as pool:
        assert [done.exit async for _, done in pool.map([["true"]] * 4, ordered=False)] == [0] * 4


@pytest.mark.parametrize("work", [fail_in_a_pipeline, fill_both_outputs, listen_to_a_program, use_a_pool])
def test_one_slot(loop_factory: Callable, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Programs are read, waited for and ended by tasks that need no slot, so that they do not wait for the caller."""

    async def main() -> None:
        others = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2)]
        async with asyncio.timeout(10):
            await asyncio.create_task(work())
        for other in others:
            other.cancel()

    with asyncio.Runner(loop_factory=limited(loop_factory, max_tasks=3)) as runner:
        runner.run(main())
