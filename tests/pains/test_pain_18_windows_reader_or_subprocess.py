"""Pain 18: Windows: `add_reader` or subprocess, not both.

Told in zeromq/pyzmq#2137, psycopg/psycopg#76, aio-libs/aiodns#86.
"""

import asyncio
import socket
import sys
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from subprocess import PIPE
from typing import Any

import pytest

from pains.verdict import DoesNotApply, Hurts
from pains.windows_loops import PLACE, windows_loops

#: Played by a Python for Windows, where there is one.
WINDOWS = True

LoopFactory = Callable[[], AbstractEventLoop]

UPPER = [sys.executable, "-c", "print(input().upper())"]
WORDS = "a reader and a child in one loop"

#: Winsock's "operation not supported": what Wine says to the calls that trio's loop is made of.
WSAEOPNOTSUPP = 10045


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    with governess.DefaultEventLoopPolicy(windows_loops(loop_factory)["SelectorEventLoop"]) as policy:
        return judge(tried(policy.loop_factory))


def on_asyncio(loop_factory: LoopFactory) -> str:
    missing = {name: tried(loop) for name, loop in windows_loops(loop_factory).items()}
    if all(missing.values()):
        raise Hurts("; ".join(f"{name}: no {what}" for name, what in missing.items()) + f" ({PLACE})")
    return f"{WORDS} ({PLACE})"


def on_uvloop(_: LoopFactory) -> str:
    raise DoesNotApply("there is no uvloop for Windows")


def on_trio() -> str:
    import trio

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, trio.fail_after(5):
            theirs.send(b"to the child")
            await trio.lowlevel.wait_readable(ours)
            done = await trio.run_process(UPPER, stdin=ours.recv(100), capture_stdout=True)
        assert done.stdout.strip() == b"TO THE CHILD"

    try:
        trio.run(main)
    except OSError as error:
        if getattr(error, "winerror", None) != WSAEOPNOTSUPP:
            raise
        raise DoesNotApply("not tried: Wine lacks what its loop needs to start") from None
    return f"{WORDS} (on {sys.platform})"


async def on_anyio() -> str:
    import anyio

    ours, theirs = socket.socketpair()
    with ours, theirs, anyio.fail_after(5):
        theirs.send(b"to the child")
        await anyio.wait_readable(ours)
        done = await anyio.run_process(UPPER, input=ours.recv(100))
    assert done.stdout.strip() == b"TO THE CHILD"
    return f"{WORDS} (on {sys.platform})"


def tried(loop_factory: LoopFactory) -> str:
    """Use a reader, and then a child, in such a loop; return what it has not."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for what, use in {"add_reader()": heard, "children": said}.items():
            try:
                runner.run(use())
            except NotImplementedError:
                return what
    return ""


async def heard() -> None:
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, arrived.set)
        theirs.send(b"something")
        await asyncio.wait_for(arrived.wait(), 5)
        loop.remove_reader(ours)


async def said() -> None:
    process: Any = await asyncio.create_subprocess_exec(*UPPER, stdin=PIPE, stdout=PIPE)
    communication: Awaitable[tuple[bytes, bytes]] = process.communicate(b"to the child")
    answer, _ = await asyncio.wait_for(communication, 10)
    assert (answer.strip(), process.returncode) == (b"TO THE CHILD", 0)


def judge(missing: str) -> str:
    if missing:
        raise Hurts(f"no {missing} ({PLACE})")
    return f"{WORDS} ({PLACE})"


@pytest.mark.windows
def test_pain_18_windows_reader_or_subprocess(relief: Callable[..., str]) -> None:
    """In a selector loop without pipes, as on Windows, threads serve the children; readers work in the same loop."""
    relief(on_governess)
