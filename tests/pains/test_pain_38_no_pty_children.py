"""Pain 38: No PTY children.

Told in byllyfish/shellous#58.
"""

import asyncio
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from governess.children._spawn import describe
from pains.verdict import Hurts, lacks

#: It asks at its terminal, as programs ask for passwords, and tells the size of that.
ASKER = ["sh", "-c", 'stty size; printf "name? " >/dev/tty; read name </dev/tty; echo "hello $name"']

PATIENCE = 3.0


async def on_governess() -> str:
    from governess.subprocess import start

    async with asyncio.timeout(PATIENCE), start(*ASKER, pty=(40, 100)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        question = await process.stdout.readuntil(b"? ")
        process.stdin.write(b"Ada\n")
        answer = await process.stdout.read()
        await process.wait()
    return judge(question + answer)


async def on_asyncio() -> str:
    options: dict[str, Any] = {"pty": (40, 100)}
    try:
        process = await asyncio.create_subprocess_exec(*ASKER, stdout=subprocess.PIPE, **options)
    except (TypeError, ValueError):  # asyncio's word for an option that is not there, and uvloop's
        raise lacks("terminal to give") from None
    output, _ = await process.communicate()
    return judge(output)


async def on_trio() -> str:
    import trio

    options: dict[str, Any] = {"pty": (40, 100)}
    try:
        done = await trio.run_process(ASKER, capture_stdout=True, **options)
    except TypeError:
        raise lacks("terminal to give") from None
    return judge(done.stdout)


async def on_anyio() -> str:
    import anyio

    options: dict[str, Any] = {"pty": (40, 100)}
    try:
        done = await anyio.run_process(ASKER, **options)
    except TypeError:
        raise lacks("terminal to give") from None
    return judge(done.stdout)


def judge(output: bytes) -> str:
    if output.split() != b"40 100 name? Ada hello Ada".split():
        raise Hurts(f"it says {output!r}")
    return "it asks at a terminal of its own"


@pytest.mark.skipif(describe()[0] != "native", reason="a controlling terminal needs the native spawner")
def test_pain_38_no_pty_children(relief: Callable[..., str]) -> None:
    """With `pty=True` a program has a controlling terminal of its own, of any size, and can ask questions there."""
    relief(on_governess)
