"""The transports of a child's pipes and of its terminal have the methods of asyncio's, whoever reads and writes."""

import asyncio
import contextlib
import errno
import os
import select
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from governess import DefaultEventLoopPolicy
from governess.children._spawn import describe
from governess.subprocess import create_subprocess_exec
from governess.transports._child_pipe import ChildPipe
from governess.transports._pipe_reader import _PipePoller
from governess.transports._pipe_thread import PipeThread
from governess.transports._threaded_pipes import ThreadedReadTransport
from settings import run_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
connect_here = ChildPipe.connect_here


class Keeper(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def echo(**options: Any) -> tuple[asyncio.subprocess.Process, Any, Any]:
    """Start a `cat`; return it, and the transports of its standard input and output."""
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, **options)
    transport = process._transport
    return process, transport.get_pipe_transport(0), transport.get_pipe_transport(1)


def test_another_protocol_reads(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """`set_protocol` gives what comes from then on to another protocol, its end too."""

    async def main() -> None:
        process, stdin, stdout = await echo()
        protocol = Keeper()
        before = stdout.get_protocol()
        stdout.set_protocol(protocol)
        assert stdout.get_protocol() is protocol
        stdin.writelines([b"one ", b"two"])
        stdin.write_eof()
        assert await asyncio.wait_for(protocol.lost, 20) is None
        assert protocol.data == b"one two"
        before.connection_lost(None)  # so that the child's transport knows
        assert await process.wait() == 0

    run_in(loop_factory, main)


def test_order_before_connection_made(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before the protocol's connection_made is passed on before what comes right after it.

    In asyncio's loops that is so by their order of callbacks and descriptors; the others need care.
    """
    reading, writing = os.pipe()
    told = threading.Event()
    connect, tell = ChildPipe.connect_by_loop, PipeThread.tell

    async def connect_late(pipe: Any, loop: asyncio.AbstractEventLoop, end: Any) -> None:
        await connect(pipe, loop, end)
        if pipe._fd == 2:
            owner = pipe._owner
            while not owner._pending:
                await asyncio.sleep(0)
            os.write(writing, b"\n")
            if isinstance(owner.get_pipe_transport(1), ThreadedReadTransport):
                assert told.wait(20)
            else:
                assert select.select([owner._ends[1].fileno()], [], [], 20)[0]

    def tell_and_say_so(thread: PipeThread, callback: Any, *args: Any) -> bool:
        is_told = tell(thread, callback, *args)
        if args == (b"two",):
            told.set()
        return is_told

    monkeypatch.setattr(ChildPipe, "connect_here", lambda pipe, *args: pipe._fd == 1 and connect_here(pipe, *args))
    monkeypatch.setattr(ChildPipe, "connect_by_loop", connect_late)
    monkeypatch.setattr(PipeThread, "tell", tell_and_say_so)

    async def main() -> None:
        command = ["sh", "-c", "printf one; read line; printf two"]
        process = await asyncio.create_subprocess_exec(*command, stdin=reading, stdout=PIPE, stderr=PIPE)
        assert await asyncio.wait_for(process.communicate(), 20) == (b"onetwo", b"")

    try:
        run_in(loop_factory, main)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_error_before_connection_made(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the protocol raises for what came before connection_made, it is told as ever, and the rest follows."""
    connect = ChildPipe.connect_by_loop

    async def connect_late(pipe: Any, loop: asyncio.AbstractEventLoop, end: Any) -> None:
        await connect(pipe, loop, end)
        while pipe._fd == 2 and not pipe._owner._pending:
            await asyncio.sleep(0)

    monkeypatch.setattr(ChildPipe, "connect_here", lambda pipe, *args: pipe._fd == 1 and connect_here(pipe, *args))
    monkeypatch.setattr(ChildPipe, "connect_by_loop", connect_late)
    calls: list[object] = []
    told: list[dict[str, Any]] = []

    class Raises(asyncio.SubprocessProtocol):
        def pipe_data_received(self, fd: int, data: bytes) -> None:
            calls.append((fd, data))
            raise error("for a test")

        def connection_lost(self, exc: Exception | None) -> None:
            calls.append("lost")
            asyncio.get_running_loop().stop()

    with DefaultEventLoopPolicy(loop_factory) as policy, asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context))
        start = loop.create_task(loop.subprocess_exec(Raises, "sh", "-c", "printf one", stdin=None))
        with pytest.raises(error) if error is KeyboardInterrupt else contextlib.nullcontext():
            loop.run_forever()
        if error is KeyboardInterrupt:
            loop.run_forever()
        assert calls == [(1, b"one"), "lost"]
        assert [(type(each["exception"]), "pipe_data_received" in each["message"]) for each in told] == [
            (error, True) for error in [error] if error is not KeyboardInterrupt
        ]
        start.result()[0].close()


def test_pause_and_resume(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Paused, it gives nothing; resumed, it gives all; both may be said twice, and after the end."""

    async def main() -> None:
        process, stdin, stdout = await echo()
        assert stdout.is_reading()
        stdout.resume_reading()
        stdout.pause_reading()
        stdout.pause_reading()
        assert not stdout.is_reading()
        assert not stdout.is_closing()
        stdin.write(b"text")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.read(4), 0.05)
        stdout.resume_reading()
        assert await asyncio.wait_for(process.stdout.read(4), 20) == b"text"
        stdin.close()
        assert await process.stdout.read() == b""
        assert await process.wait() == 0
        assert stdout.is_closing()
        stdout.pause_reading()
        stdout.resume_reading()
        stdout.close()

    run_in(loop_factory, main)


def test_close_while_paused(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A paused pipe can be closed; the child gets SIGPIPE."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("yes", stdout=PIPE)
        stdout = process._transport.get_pipe_transport(1)
        stdout.pause_reading()
        stdout.close()
        assert stdout.is_closing()
        assert await asyncio.wait_for(process.wait(), 20) != 0

    run_in(loop_factory, main)


def skip_without_terminals(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Skip where pty=True is documented to be a NotImplementedError: it needs the native spawner, that add_reader."""
    if describe()[0] != "native" or getattr(loop_factory, "__name__", "") == "LoopWithoutPipes":
        pytest.skip("a terminal needs the native spawner, and that a loop with add_reader")


@pytest.mark.parametrize("terminal", [False, True])
def test_standard_input(loop_factory: Callable[[], asyncio.AbstractEventLoop], terminal: bool) -> None:
    """Marks, buffer sizes and protocols of a child's standard input are those of asyncio's write transports."""
    from governess.subprocess import create_subprocess_exec

    if terminal:
        skip_without_terminals(loop_factory)

    async def main() -> None:
        options = {"pty": True} if terminal else {"stdin": PIPE, "stdout": PIPE}
        process = await create_subprocess_exec("cat", **options)
        stdin = process.stdin.transport
        stdin.set_write_buffer_limits(high=4)
        assert stdin.get_write_buffer_limits() == (1, 4)
        stdin.set_write_buffer_limits()
        assert stdin.get_write_buffer_limits() == (1 << 14, 1 << 16)
        with pytest.raises(ValueError, match="high"):
            stdin.set_write_buffer_limits(high=1, low=2)
        assert stdin.get_write_buffer_size() == 0
        assert stdin.can_write_eof()
        assert stdin.get_extra_info("pipe") is not None
        protocol = stdin.get_protocol()
        stdin.set_protocol(protocol)
        assert stdin.get_protocol() is protocol
        assert repr(stdin)
        stdin.write(b"")
        stdin.abort()
        assert stdin.is_closing()
        stdin.write(b"dropped")
        stdin.writelines([b"dropped"])
        stdin.write_eof()
        stdin.close()
        process.kill()
        await process.communicate()

    run_in(loop_factory, main)


def test_full_terminal(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal whose child does not read pauses the writer, and resumes it when the child reads on."""
    from governess.subprocess import create_subprocess_exec

    skip_without_terminals(loop_factory)
    line = b"x" * 1023 + b"\n"
    script = "stty raw -echo; echo ready; read go < go; exec wc -c"

    async def main() -> None:
        process = await create_subprocess_exec("sh", "-c", script, pty=True)
        assert await process.stdout.readuntil(b"ready\n")
        process.stdin.write(200 * line)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdin.drain(), 0.05)
        assert process.stdin.transport.get_write_buffer_size() > 1 << 16
        with open("go", "w"):
            pass
        await asyncio.wait_for(process.stdin.drain(), 20)
        process.kill()
        await process.communicate()

    monkeypatch.chdir(tmp_path)
    os.mkfifo("go")
    run_in(loop_factory, main)


def test_words_for_people(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """What is printed of a pipe says whether it is read, paused or closed."""

    async def main() -> None:
        process, stdin, stdout = await echo()
        if type(stdout).__name__ == "PipeReader":
            assert repr(stdout).startswith("<PipeReader reading <PipeEnd ")
            stdout.pause_reading()
            assert repr(stdout).startswith("<PipeReader paused")
            stdout.resume_reading()
        stdin.close()
        await process.communicate()
        if type(stdout).__name__ == "PipeReader":
            assert repr(stdout) == "<PipeReader closing <PipeEnd closed>>"

    run_in(loop_factory, main)


def test_interrupt_of_the_first_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interrupt while the first pipe of a loop was added, pipes are read."""
    loop = asyncio.SelectorEventLoop()
    reading, writing = os.pipe()
    poller = _PipePoller(loop)
    add_reader = loop.add_reader

    def interrupt(*args: Any) -> None:
        add_reader(*args)
        raise KeyboardInterrupt

    try:
        with monkeypatch.context() as patch:
            patch.setattr(loop, "add_reader", interrupt)
            with pytest.raises(KeyboardInterrupt):
                poller.add(reading, loop.stop)
        poller.add(reading, loop.stop)
        os.write(writing, b"x")
        loop.call_later(20, loop.close)  # which raises
        loop.run_forever()
        poller.discard(reading)
    finally:
        loop.close()
        os.close(reading)
        os.close(writing)


def test_no_watch_left_for_much_output() -> None:
    """Where the loop cannot take over a pipe that much comes through (ENOSPC of epoll_ctl), it is read all the same."""

    class Loop(asyncio.SelectorEventLoop):
        pass

    async def main() -> bytes:
        process = await create_subprocess_exec("head", "-c", "1000000", "/dev/zero", stdout=PIPE)

        def refuse(self: object, *_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loop, "add_reader", refuse)
            output, _ = await process.communicate()
        return output

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(main()) == bytes(1_000_000)
