"""`watch` waits for processes that somebody else started."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from governess import Exit
from governess.children import _pidfd as pidfd
from governess.children import children
from governess.children._spawn.command import Command
from governess.subprocess import watch
from governess.transports._start import start_child

pytestmark = pytest.mark.skipif(not hasattr(os, "waitid"), reason="this Python cannot look at a child")

TIMEOUT = 20


def run(loop_factory: Callable[[], AbstractEventLoop], main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(asyncio.wait_for(main, TIMEOUT))


@pytest.fixture(params=["pidfd", "no pidfd"])
def _mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open", raising=False)


@pytest.mark.usefixtures("_mechanism")
@pytest.mark.parametrize(("script", "expected"), [("exit 7", Exit(7)), ("kill -9 $$", Exit(-9))])
def test_looks_at_a_child_and_leaves_it_to_its_starter(
    loop_factory: Callable[[], AbstractEventLoop], script: str, expected: Exit
) -> None:
    """A child of `subprocess.Popen` is told of, and Popen still reaps it and knows its status."""

    async def main() -> None:
        with subprocess.Popen(["sh", "-c", f"read line; {script}"], stdin=subprocess.PIPE) as process:
            watching = asyncio.create_task(watch(process.pid))
            await asyncio.sleep(0)
            assert not watching.done()
            process.stdin.close()
            assert await watching == expected
            assert process.wait() == expected
        assert children() == []

    run(loop_factory, main())


@pytest.mark.usefixtures("_mechanism")
def test_a_child_that_has_ended(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """A zombie is told of at once."""

    async def main() -> None:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert await watch(pid) == 3
        assert os.waitpid(pid, 0) == (pid, 3 << 8)

    run(loop_factory, main())


def test_reap(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """With `reap`, the child is taken over, and its resources are known."""

    async def main() -> None:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
        exit = await watch(pid, reap=True)
        assert exit == 3
        assert exit.rusage is not None
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)

    run(loop_factory, main())


@pytest.mark.usefixtures("_mechanism")
@pytest.mark.parametrize("reap", [False, True])
def test_cancelled(loop_factory: Callable[[], AbstractEventLoop], reap: bool) -> None:
    """When the wait is cancelled, nothing stays behind, and the child is its starter's."""

    async def main() -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(watch(process.pid, reap=reap), 0.01)
            assert children() == []
            process.stdin.close()
            assert process.wait() == 0

    run(loop_factory, main())


def test_a_child_of_governess(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """A child that governess started can be watched by its number beside its own Process."""

    async def main() -> None:
        command = Command(["sh", "-c", "read line; exit 4"], stdin=subprocess.PIPE)
        transport, _ = await start_child(asyncio.get_running_loop(), asyncio.SubprocessProtocol, command)
        watching = asyncio.create_task(watch(transport.get_pid()))
        await asyncio.sleep(0)
        transport.get_pipe_transport(0).close()
        assert await watching == await transport._wait() == 4
        transport.close()

    run(loop_factory, main())


GRANDCHILD = """
import subprocess, sys
child = subprocess.Popen(["sh", "-c", "read line; " + sys.argv[1]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.readline()
child.stdin.close()
child.wait()
"""


@pytest.mark.skipif(pidfd.unavailable() is not None, reason="a process that is no child needs a pidfd")
@pytest.mark.parametrize(("script", "expected"), [("exit 5", 5), ("kill -TERM $$", -signal.SIGTERM)])
def test_a_process_that_is_no_child(loop_factory: Callable[[], AbstractEventLoop], script: str, expected: int) -> None:
    """The end of a grandchild is told, with its status where the kernel knows it."""

    async def main() -> None:
        command = [sys.executable, "-c", GRANDCHILD, script]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            pid = int(process.stdout.readline())
            watching = asyncio.create_task(watch(pid))
            await asyncio.sleep(0)
            process.stdin.close()
            exit = await watching
        assert exit.lost or exit == expected
        if tuple(map(int, os.uname().release.split("-")[0].split("."))) >= (6, 15):
            assert not exit.lost

    run(loop_factory, main())


LAZY_PARENT = """
import os, sys, time
pid = os.fork()
if pid == 0:
    os._exit(6)
print(pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(pidfd.unavailable() is not None, reason="a process that is no child needs a pidfd")
def test_a_parent_that_does_not_reap(loop_factory: Callable[[], AbstractEventLoop]) -> None:
    """A zombie of another's is waited for no longer than `reap_timeout`: then its status is lost."""

    async def main() -> None:
        command = [sys.executable, "-c", LAZY_PARENT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            exit = await watch(int(process.stdout.readline()), reap_timeout=0.05)
            assert exit.lost
            process.stdin.close()

    run(loop_factory, main())


@pytest.mark.parametrize("reap", [False, True])
def test_errors(loop_factory: Callable[[], AbstractEventLoop], reap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process, no number of a process, and a stranger without a pidfd are errors that say so."""
    with subprocess.Popen(["true"]) as gone:
        pass

    async def main() -> None:
        with pytest.raises(ProcessLookupError, match=f"there is no process {gone.pid}"):
            await watch(gone.pid, reap=reap)
        for nonsense in (0, -1, 1 << 40, 1.5, "1", None):
            with pytest.raises(ValueError, match="positive"):
                await watch(nonsense, reap=reap)
        if not reap:
            monkeypatch.delattr(os, "pidfd_open", raising=False)
            with pytest.raises(OSError, match="is no child"):
                await watch(os.getppid())
            with pytest.raises(ProcessLookupError, match="there is no process"):
                await watch(gone.pid)

    run(loop_factory, main())
