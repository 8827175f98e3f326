"""Pain 26: Zombies under PID 1.

Told in nickstenning/honcho#231, esphome/device-builder#2636.
"""

import asyncio
import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pains.verdict import Hurts

#: A shell that is gone before what it has started, which comes to us then: its number is what the shell says.
PARENT_OF_AN_ORPHAN = ["sh", "-c", "sleep 0.05 >&- & echo $!"]

PATIENCE = 1.0


async def on_governess() -> str:
    from governess.subprocess import reap_orphans, run

    with in_the_place_of_pid_1() as own, reap_orphans(interval=0.02):
        done = await run(*PARENT_OF_AN_ORPHAN)
        return await asyncio.to_thread(judge, done.stdout, own)


async def on_asyncio() -> str:
    with in_the_place_of_pid_1() as own:
        process = await asyncio.create_subprocess_exec(*PARENT_OF_AN_ORPHAN, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
        return await asyncio.to_thread(judge, output, own)


async def on_trio() -> str:
    import trio

    with in_the_place_of_pid_1() as own:
        done = await trio.run_process(PARENT_OF_AN_ORPHAN, capture_stdout=True)
        return await trio.to_thread.run_sync(judge, done.stdout, own)


async def on_anyio() -> str:
    import anyio

    with in_the_place_of_pid_1() as own:
        done = await anyio.run_process(PARENT_OF_AN_ORPHAN)
        return await anyio.to_thread.run_sync(judge, done.stdout, own)


@contextlib.contextmanager
def in_the_place_of_pid_1() -> Iterator[subprocess.Popen[bytes]]:
    """Get orphans from the kernel, and have a dead child of other code's that nobody has waited for yet."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        with subprocess.Popen(["sh", "-c", "exit 7"]) as own:
            os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
            yield own
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


PR_SET_CHILD_SUBREAPER = 36


def judge(number: bytes, own: subprocess.Popen[bytes]) -> str:
    orphan = int(number)
    if not is_reaped(orphan):
        os.waitpid(orphan, 0)
        raise Hurts("the orphan stays a zombie")
    if own.wait() != 7:
        raise Hurts("it takes the exits of others")
    return "it is reaped, and no other child"


def is_reaped(pid: int) -> bool:
    """Look for a while: nothing tells of a reap by somebody else."""
    patience_ends = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > patience_ends:
            return False
        time.sleep(0.01)
    return True


def test_pain_26_zombies_under_pid_1(relief: Callable[..., str]) -> None:
    """Inside `reap_orphans`, PID 1 reaps orphans that have exited, and no process that has an owner."""
    relief(on_governess)
