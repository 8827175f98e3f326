"""A child on its way to exec holds nothing that is not its own, and stops nobody, however long it takes."""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from fresh import run_fresh
from governess.children._spawn import Spawner
from spawning import command, end, result

PIPE = subprocess.PIPE


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.parametrize("close_fds", [True, False])
def test_nobodys_end_of_file_is_held_up(spawner: Spawner, fifo: Path, close_fds: bool, loop_factory: Callable) -> None:
    """While a child waits for its standard input, a pipe of another one and a socket of ours can be closed."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        cat = (await spawner.spawn(command(["cat"], stdin=PIPE, stdout=PIPE))).claim()
        slow = asyncio.create_task(spawner.spawn(command(["cat"], stdin=fifo, close_fds=close_fds)))
        await opened_by_a_child(fifo, spawner)
        ours.close()
        theirs.settimeout(10)
        assert theirs.recv(1) == b""
        theirs.close()
        assert end(cat).returncode == 0
        with open(fifo, "w"):
            born = (await slow).claim()
        assert end(born).returncode == 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def opened_by_a_child(fifo: Path, spawner: Spawner) -> None:
    """Wait until a child has closed what it should, and waits for the other end of the FIFO."""
    if spawner.name == "popen":  # there the thread opens it, before there is a child
        await asyncio.sleep(0)
        return
    patience = time.monotonic() + 10
    while not any(map(is_on_its_way, children())):
        assert time.monotonic() < patience
        await asyncio.sleep(0.001)


def children() -> list[str]:
    found: list[str] = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found += task.read_text().split()
        except OSError:
            continue
    return found


def is_on_its_way(pid: str) -> bool:
    """Whether the child has closed what it should, and not yet exec'ed."""
    try:
        is_ours = os.readlink(f"/proc/{pid}/exe") == os.readlink("/proc/self/exe")
        return is_ours and len(os.listdir(f"/proc/{pid}/fd")) <= 5
    except OSError:
        return False


def test_a_new_script_is_not_busy(spawner: Spawner, tmp_path: Path, loop_factory: Callable) -> None:
    """A script that was written, closed and started at once runs, whatever starts beside it."""

    async def write_and_start(name: str) -> None:
        for number in range(20):
            script = tmp_path / f"{name}-{number}"
            script.write_text("#!/bin/sh\n")
            script.chmod(0o755)
            assert end((await spawner.spawn(command([script]))).claim()).returncode == 0

    async def main() -> None:
        await asyncio.gather(*(write_and_start(name) for name in "abcdefgh"))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_a_busy_program_is_tried_again(spawner: Spawner, tmp_path: Path) -> None:
    """A program that somebody has open for writing starts when that is over, or is an error after a bounded time."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    with open(script, "a") as file:
        threading.Timer(0.05, file.close).start()
        assert result(spawner, [script]).returncode == 0
    with open(script, "a"):
        began = time.monotonic()
        assert result(spawner, [script]).errno == errno.ETXTBSY
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", ["/proc/self/fd/{}", "/dev/fd/{}"])
def test_a_path_through_a_descriptor(spawner: Spawner, tmp_path: Path, kind: str) -> None:
    """A working directory and a file that are named by a descriptor of ours are found; the child has it no more."""
    (tmp_path / "file").write_text("text")
    with ExitStack() as stack:
        directory = os.open(tmp_path, os.O_PATH)
        stack.callback(os.close, directory)
        file = stack.enter_context(open(tmp_path / "file"))
        script = f"cat; pwd; test -e /proc/self/fd/{directory}; echo $?"
        done = result(
            spawner,
            ["sh", "-c", script],
            cwd=kind.format(directory),
            stdin=Path(kind.format(file.fileno())),
            stdout=PIPE,
        )
    assert done.output.decode() == f"text{tmp_path}\n1\n"


def test_an_inheritable_descriptor_as_standard_stream(spawner: Spawner) -> None:
    """A descriptor that every child may inherit is nothing but its standard output for this one."""
    read, write = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, read)
        high = fcntl.fcntl(write, fcntl.F_DUPFD, 50)
        os.close(write)
        done = result(spawner, ["sh", "-c", f"test -e /proc/self/fd/{high}; echo $?"], stdout=high)
        os.close(high)
        assert done.returncode == 0
        assert os.read(read, 10) == b"1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc asks all threads there")
def test_a_change_of_identity_meanwhile(spawner: Spawner, fifo: Path, loop_factory: Callable) -> None:
    """os.setgid() and its like, which glibc has every thread do, return while a child is on its way."""
    if spawner.reason.rpartition("by ")[2].startswith("vfork"):
        pytest.skip("a thread in vfork answers no signal before the exec")

    async def main() -> None:
        slow = asyncio.create_task(spawner.spawn(command(["cat"], stdin=fifo)))
        await opened_by_a_child(fifo, spawner)
        await asyncio.sleep(0)
        os.setgid(os.getgid())
        os.setgroups(os.getgroups()) if os.getuid() == 0 else None
        with open(fifo, "w"):
            born = (await slow).claim()
        assert end(born).returncode == 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_many_starts_that_wait(spawner: Spawner, fifo: Path) -> None:
    """A hundred children that wait for a FIFO do not keep the next one from its start."""
    if spawner.name == "popen":
        pytest.skip("a thread that opens a FIFO cannot be stopped (docs/how-it-works.md)")

    async def main() -> None:
        slow = [asyncio.create_task(spawner.spawn(command(["cat"], stdin=fifo))) for _ in range(60)]
        await opened_by_a_child(fifo, spawner)
        assert end((await asyncio.wait_for(spawner.spawn(command(["true"])), 20)).claim()).returncode == 0
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        while children():
            await asyncio.sleep(0.001)

    asyncio.run(main())


def test_more_starts_than_threads(native: Spawner) -> None:
    """Starts beyond the threads of a loop wait for one, in order; some of them are given up meanwhile."""

    async def main() -> None:
        tasks = [asyncio.create_task(native.spawn(command(["sh", "-c", f"exit {n % 100}"]))) for n in range(300)]
        await asyncio.sleep(0)
        for task in tasks[100:200]:
            task.cancel()
        born = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in born[100:200])
        wanted = [*range(100), *range(100)]
        assert [end(each.claim()).returncode for each in born[:100] + born[200:]] == wanted

    asyncio.run(main())


def test_a_cancel_without_pidfd_calls(tmp_path: Path) -> None:
    """Where a sandbox refuses the pidfd calls, a start that waits for a FIFO is still ended by a cancel."""
    from pains.sandbox import HAS_SANDBOX

    if not HAS_SANDBOX:
        pytest.skip("no seccomp filter can be made here")
    os.mkfifo(tmp_path / "fifo")
    run_fresh(
        f"""
        import asyncio, contextlib, errno, pathlib, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pains.sandbox import forbid_pidfd
        forbid_pidfd(errno.EPERM)
        from governess.children._spawn import _native
        from governess.subprocess import create_subprocess_exec, run

        fifo = pathlib.Path({str(tmp_path / "fifo")!r})

        def children():
            found = ""
            for task in pathlib.Path("/proc/self/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += task.read_text()
            return found

        async def main():
            for _ in range(5):
                task = asyncio.create_task(create_subprocess_exec("true", stdout=fifo))
                while not children():
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                while children():
                    await asyncio.sleep(0.001)
            assert (await run("true")).exit == 0

        asyncio.run(asyncio.wait_for(main(), 30))
        assert _native.get_way() == "clone", _native.get_way()
        """
    )


def test_a_dead_child_on_its_way(native: Spawner, fifo: Path, loop_factory: Callable) -> None:
    """A child that somebody kills before its exec is one that was ended by that signal."""

    async def main() -> None:
        slow = asyncio.create_task(native.spawn(command(["cat"], stdin=fifo)))
        await opened_by_a_child(fifo, native)
        (pid,) = children()
        os.kill(int(pid), signal.SIGKILL)
        assert end((await slow).claim()).returncode == -signal.SIGKILL

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
