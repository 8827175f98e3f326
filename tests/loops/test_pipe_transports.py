"""Pipes by threads keep the promises of asyncio's pipes, over loops that have none and loops that have."""

import asyncio
import contextlib
import contextvars
import os
import resource
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from governess.transports._child_pipe import PipeEnd
from governess.transports._threaded_pipes import connect_read_pipe, connect_write_pipe

Run = Callable[[Callable[[], Any]], Any]

MEGABYTE = 1_000_000


class Reader(asyncio.Protocol):
    """Writes down what comes; `ended` tells that nothing more will."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.came = asyncio.Event()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)
        self.came.set()

    def eof_received(self) -> None:
        self.events.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", exc))
        self.ended.set_result(None)

    @property
    def data(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))


class Writer(asyncio.BaseProtocol):
    """Writes down when it is paused; `ended` tells how the pipe was lost."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ended = asyncio.get_running_loop().create_future()
        self.resumed = asyncio.Event()

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")
        self.resumed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe; the test closes the end that it gives away."""
    reader, writer = os.pipe()
    identity = {end: os.fstat(end).st_ino for end in (reader, writer)}
    yield reader, writer
    for thread in threading.enumerate():
        if thread.name.startswith("governess-pipe-"):  # it may still be about to close its end
            thread.join()
    for end, inode in identity.items():
        try:
            if os.fstat(end).st_ino == inode:
                os.close(end)
        except OSError:
            pass


async def reading(descriptor: int) -> tuple[Any, Reader]:
    return await connect_read_pipe(asyncio.get_running_loop(), Reader, PipeEnd({0: descriptor}, 0))


async def writing(descriptor: int) -> tuple[Any, Writer]:
    return await connect_write_pipe(asyncio.get_running_loop(), Writer, PipeEnd({0: descriptor}, 0))


class TestReading:
    def test_order(self, run: Run, ends: tuple[int, int]) -> None:
        """The connection is made, the data comes, then the end, and last of all the connection is lost."""

        async def main() -> list[Any]:
            _, protocol = await reading(ends[0])
            os.write(ends[1], b"data")
            os.close(ends[1])
            await protocol.ended
            return protocol.events

        assert run(main) == ["made", b"data", "eof", ("lost", None)]

    def test_pause(self, run: Run, ends: tuple[int, int]) -> None:
        """A paused protocol gets nothing, and the pipe fills up; resumed, it gets everything in order."""

        async def main() -> tuple[int, bytes]:
            transport, protocol = await reading(ends[0])
            transport.pause_reading()
            assert not transport.is_reading()
            os.set_blocking(ends[1], False)
            sent, full = 0, 0
            while full < 3:  # a thread that reads on would empty it meanwhile
                try:
                    sent += os.write(ends[1], b"x" * 4096)
                except BlockingIOError:
                    full += 1
                    await asyncio.sleep(0.01)
            assert protocol.events == ["made"]
            os.close(ends[1])
            transport.resume_reading()
            assert transport.is_reading()
            await protocol.ended
            return sent, protocol.data

        sent, data = run(main)
        assert data == b"x" * sent
        assert sent < MEGABYTE

    def test_pause_from_inside(self, run: Run, ends: tuple[int, int]) -> None:
        """A protocol that pauses while it takes data gets no second chunk before it resumes."""

        class Careful(Reader):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                transport.pause_reading()

        async def main() -> list[Any]:
            nonlocal transport
            transport, protocol = await connect_read_pipe(asyncio.get_running_loop(), Careful, PipeEnd({0: ends[0]}, 0))
            for piece in (b"1", b"2", b"3"):
                os.write(ends[1], piece)
                await protocol.came.wait()
                os.write(ends[1], b"+")
                await asyncio.sleep(0.01)
                protocol.came.clear()
                assert len(protocol.events) == 1 + int(piece)
                transport.resume_reading()
                await protocol.came.wait()
                protocol.came.clear()
                protocol.events.pop()
                transport.resume_reading()
            transport.close()
            await protocol.ended
            return protocol.events

        transport: Any = None
        assert run(main) == ["made", b"1", b"2", b"3", ("lost", None)]

    def test_failing_protocol(self, run: Run, ends: tuple[int, int]) -> None:
        """What data_received raises goes to the loop's exception handler, and reading goes on."""

        class Failing(Reader):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                raise ZeroDivisionError

        async def main() -> tuple[bytes, list[Any]]:
            errors = []
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: errors.append(type(context["exception"])))
            _, protocol = await connect_read_pipe(loop, Failing, PipeEnd({0: ends[0]}, 0))
            for piece in (b"1", b"2"):
                os.write(ends[1], piece)
                await protocol.came.wait()
                protocol.came.clear()
            os.close(ends[1])
            await protocol.ended
            return protocol.data, errors

        assert run(main) == (b"12", [ZeroDivisionError] * 2)

    def test_context(self, run: Run, ends: tuple[int, int]) -> None:
        """The protocol is called in the context of whoever connected it, as by asyncio's pipes."""
        name = contextvars.ContextVar("name", default="nobody")
        seen = []

        class Asking(Reader):
            def data_received(self, data: bytes) -> None:
                seen.append(name.get())

        async def main() -> None:
            name.set("somebody")
            _, protocol = await connect_read_pipe(asyncio.get_running_loop(), Asking, PipeEnd({0: ends[0]}, 0))
            os.write(ends[1], b"data")
            os.close(ends[1])
            await protocol.ended

        run(main)
        assert seen == ["somebody"]

    def test_close(self, run: Run, ends: tuple[int, int]) -> None:
        """Closing frees the thread that waits for data, and the other end sees it."""

        async def main() -> None:
            transport, protocol = await reading(ends[0])
            transport.close()
            transport.close()
            assert transport.is_closing()
            await protocol.ended
            await asyncio.to_thread(_write_until_broken, ends[1])

        run(main)


class TestWriting:
    def test_big(self, run: Run, ends: tuple[int, int]) -> None:
        """Ten megabytes in one piece and in many arrive; the protocol is paused once and resumed once for each."""

        async def main() -> tuple[bytes, list[str]]:
            transport, protocol = await writing(ends[1])
            whole = asyncio.create_task(asyncio.to_thread(_read_all, ends[0]))
            transport.write(bytearray(5 * MEGABYTE))
            await protocol.resumed.wait()
            transport.writelines([b"y" * 1000] * (5 * MEGABYTE // 1000))
            transport.write_eof()
            transport.write(b"too late")
            assert await protocol.ended is None
            return await whole, protocol.events

        data, events = run(main)
        assert data == bytes(5 * MEGABYTE) + b"y" * 5 * MEGABYTE
        assert events[:3] == ["pause", "resume", "pause"]

    def test_limits(self, run: Run, ends: tuple[int, int]) -> None:
        """The marks are asyncio's by default, and can be set."""

        async def main() -> None:
            transport, protocol = await writing(ends[1])
            assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
            transport.set_write_buffer_limits(high=4)
            assert transport.get_write_buffer_limits() == (1, 4)
            transport.set_write_buffer_limits(low=4)
            assert transport.get_write_buffer_limits() == (4, 16)
            with pytest.raises(ValueError, match="must be >="):
                transport.set_write_buffer_limits(1, 2)
            with pytest.raises(TypeError, match="bytes-like"):
                transport.write("text")
            transport.close()
            await protocol.ended

        run(main)

    def test_hangup(self, run: Run, ends: tuple[int, int]) -> None:
        """The other end's closing is noticed, also while there is nothing to write."""

        async def main() -> None:
            transport, protocol = await writing(ends[1])
            os.close(ends[0])
            assert await protocol.ended is None
            assert transport.is_closing()

        run(main)

    def test_hangup_while_writing(self, run: Run, ends: tuple[int, int]) -> None:
        """What cannot be written any more is a BrokenPipeError."""

        async def main() -> None:
            transport, protocol = await writing(ends[1])
            transport.write(b"x" * MEGABYTE)
            os.close(ends[0])
            assert isinstance(await protocol.ended, BrokenPipeError)

        run(main)

    def test_abort(self, run: Run, ends: tuple[int, int]) -> None:
        """Aborting frees a thread that cannot write; what waits is dropped."""

        async def main() -> bytes:
            transport, protocol = await writing(ends[1])
            transport.write(b"x" * MEGABYTE)
            transport.abort()
            assert await protocol.ended is None
            return await asyncio.to_thread(_read_all, ends[0])

        assert len(run(main)) < MEGABYTE

    def test_close_after_all_is_written(self, run: Run, ends: tuple[int, int]) -> None:
        """Closing waits until what was written is out."""

        async def main() -> bytes:
            transport, _ = await writing(ends[1])
            transport.write(b"x" * MEGABYTE)
            transport.close()
            return await asyncio.to_thread(_read_all, ends[0])

        assert run(main) == b"x" * MEGABYTE


class TestShortage:
    def test_no_thread(self, run: Run, ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a thread to be had, connecting is a RuntimeError, and the end is closed."""

        class NoThread(threading.Thread):
            def start(self) -> None:
                raise RuntimeError("can't start new thread")

        async def main() -> None:
            monkeypatch.setattr(threading, "Thread", NoThread)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await reading(ends[0])
            monkeypatch.undo()
            await asyncio.sleep(0)
            _write_until_broken(ends[1])

        run(main)

    def test_no_descriptor(self, run: Run, ends: tuple[int, int]) -> None:
        """Without a descriptor to be had, connecting is an OSError, and the end is closed."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        async def main() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    await reading(ends[0])
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            _write_until_broken(ends[1])

        run(main)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_child(run: Run, ends: tuple[int, int]) -> None:
    """A forked child, which has none of the threads, can close its copies of the pipe."""

    async def main() -> int:
        transport, protocol = await reading(ends[0])
        pid = os.fork()
        if pid == 0:
            transport.get_extra_info("pipe").close()
            try:
                os.fstat(ends[0])
            except OSError:
                os._exit(0)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        transport.close()
        await protocol.ended
        return os.waitstatus_to_exitcode(status)

    assert run(main) == 0


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _write_until_broken(descriptor: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        while os.write(descriptor, b"x"):
            pass
