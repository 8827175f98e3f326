"""Pain 31: 64 KiB line limit, bytes only.

Told in cpython#75270, byllyfish/shellous#1008.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from pains.verdict import Hurts, lacks

LENGTH = 1_000_000

#: Writes a long line, and a short one.
PROGRAM = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write(('é' * {LENGTH} + '\\nthe end\\n').encode())"]


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    process = await create_subprocess_exec(*PROGRAM, stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = [line async for line in process.stdout.lines("utf-8")]
    await process.wait()
    return judge(lines)


async def on_asyncio() -> str:
    process = await asyncio.create_subprocess_exec(*PROGRAM, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        return judge([line async for line in process.stdout])
    except ValueError as error:
        raise Hurts(f"ValueError: {error}") from None
    finally:
        await process.communicate()


async def on_trio() -> str:
    import trio

    process = await trio.lowlevel.open_process(PROGRAM, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        readers = {"readline", "receive_until", "lines"} & set(dir(process.stdout))
        pieces = [bytes(piece) async for piece in process.stdout]
    finally:
        await process.wait()
    if not readers and len(pieces) > 2:
        raise lacks("lines, but pieces of any size")
    return judge(pieces)


async def on_anyio() -> str:
    import anyio
    from anyio.streams.buffered import BufferedByteReceiveStream

    async with await anyio.open_process(PROGRAM, stderr=None) as process:
        assert process.stdout is not None
        stream = BufferedByteReceiveStream(process.stdout)
        return judge([await stream.receive_until(b"\n", max_bytes=2**30) for _ in range(2)])


def judge(lines: list[Any]) -> str:
    if [len(line) for line in lines] == [LENGTH, len("the end")]:
        return "the line is whole, and text"
    if [len(line) for line in lines] == [2 * LENGTH, len("the end")]:
        return "the line is whole, in bytes, with a max_bytes of one's own"
    raise Hurts("the line is not whole")


def test_pain_31_line_limit(relief: Callable[..., str]) -> None:
    """Lines may have any length, and are text if an encoding is given."""
    relief(on_governess)
