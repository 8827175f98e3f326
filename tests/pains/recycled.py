"""What becomes of a stranger that gets the number of a child that is gone: scenarios for a pid namespace of their own.

Who is root there may say which number comes next, so the stranger is a real one. `in_namespace` plays them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pains.held import HELD, holding
from pains.processes import ended_within
from pains.verdict import Hurts

__all__ = ["has_namespaces", "in_namespace"]

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]

#: The first process of the namespace has to outlive the rest, and to reap.
INIT = ["sh", "-c", '"$@"; exit $?', "init"]

#: Starts an orphan that leads a group and has the number `$0`, if that is free.
STRANGER = """
echo $(($0 - 1)) >/proc/sys/kernel/ns_last_pid
setsid sleep 30 <&- >&- 2>&- &
test $! = $0 || { kill -KILL $!; exit 1; }
"""


def has_namespaces() -> bool:
    """Return whether this machine lets us have a pid namespace, and say there which number comes next."""
    command = [*UNSHARE, *INIT, "sh", "-c", "echo 100 >/proc/sys/kernel/ns_last_pid"]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=10).returncode == 0
    return False


def in_namespace(contestant: str) -> str:
    """Play this module's scenario for the contestant."""
    command = [*UNSHARE, *INIT, sys.executable, "-m", "pains.one", "recycled", contestant]
    path = str(Path(__file__).parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, env=os.environ | {"PYTHONPATH": path}, check=True
    )
    mark, words = json.loads(done.stdout)
    if mark != "relieved":
        raise Hurts(words)
    return str(words)


async def on_governess() -> str:
    from governess.subprocess import create_subprocess_exec

    seen = await after_each_reap(lambda stdin: create_subprocess_exec(*HELD, stdin=stdin, process_group=0), until_free)
    await after_the_reap_of_a_leader()
    return seen


async def after_the_reap_of_a_leader() -> None:
    """A group that stays within reach when its leader is gone: before Linux 6.9 the number is kept for so long."""
    from governess.subprocess import start

    with holding() as (stdin, let_exit):
        async with start(*HELD, stdin=stdin) as leader:
            let_exit()
            await leader.wait()
            if is_free := not is_there(leader.pid):
                check_a_stranger(leader, "the library")
    if is_free and ended_within(leader.pid, 0.2):
        raise Hurts("the end of the block hits another group that got the number")


async def on_asyncio() -> str:
    return await after_each_reap(lambda stdin: asyncio.create_subprocess_exec(*HELD, stdin=stdin), until_free)


async def on_trio() -> str:
    import trio

    return await after_each_reap(
        lambda stdin: trio.lowlevel.open_process(HELD, stdin=stdin), lambda process: process.wait()
    )


async def on_anyio() -> str:
    import anyio

    return await after_each_reap(
        lambda stdin: anyio.open_process(HELD, stdin=stdin, stdout=None, stderr=None), until_free
    )


async def after_each_reap(
    start: Callable[[int], Awaitable[Any]], until_reaped: Callable[[Any], Awaitable[object]]
) -> str:
    """Send signals when the library has just reaped the child, and when somebody else has."""
    with holding() as (stdin, let_exit):
        process = await start(stdin)
        let_exit()
        await until_reaped(process)
        check_a_stranger(process, "the library")
    with holding() as (stdin, let_exit):
        process = await start(stdin)
        let_exit()
        with contextlib.suppress(ChildProcessError):  # a thread of the library was faster
            os.waitpid(process.pid, 0)
        check_a_stranger(process, "other code")
    return "the other process with this pid keeps running"


async def until_free(process: Any) -> None:
    """Let the library work until it has reaped the child, and not a turn longer."""
    while is_there(process.pid):
        await asyncio.sleep(0)


def check_a_stranger(process: Any, who: str) -> None:
    """Have a stranger get the number, and see whether he outlives the signals."""
    while subprocess.run(["sh", "-c", STRANGER, str(process.pid)]).returncode != 0:
        assert not is_there(process.pid)
    for send in (process.kill, lambda: signal_tree(process)):
        with contextlib.suppress(ProcessLookupError):
            send()
    if ended_within(process.pid, 0.2):
        raise Hurts(f"kill() hits another process that got the pid after {who} reaped the child")


def signal_tree(process: Any) -> None:
    """Signal the group as well, with a library that does that."""
    if hasattr(process, "signal_tree"):
        process.signal_tree(signal.SIGKILL)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
