"""asyncio's names with asyncio's meaning, and what a Process has above them."""

import array
import asyncio
import asyncio.subprocess
import inspect
import math
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable
from typing import Any

import pytest

import governess.subprocess
from governess import Exit
from governess.children import children
from governess.subprocess import Line, Process, create_subprocess_exec, create_subprocess_shell, start


class TestNames:
    @pytest.mark.parametrize("name", ["create_subprocess_exec", "create_subprocess_shell"])
    def test_signatures(self, name: str) -> None:
        """The arguments of the two functions are asyncio's, in their order and with their defaults."""
        ours = inspect.signature(getattr(governess.subprocess, name)).parameters.values()
        theirs = inspect.signature(getattr(asyncio, name)).parameters.values()
        assert [(each.kind, each.default) for each in ours] == [(each.kind, each.default) for each in theirs]
        named = [each.name for each in theirs if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
        assert [each.name for each in ours if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)] == named

    def test_constants(self) -> None:
        """PIPE, STDOUT and DEVNULL are asyncio's."""
        for name in ("PIPE", "STDOUT", "DEVNULL"):
            assert getattr(governess.subprocess, name) == getattr(asyncio.subprocess, name)

    def test_process_is_asyncios(self, run: Callable) -> None:
        """What is returned is an asyncio Process, and has all that one has."""

        async def main() -> None:
            process = await create_subprocess_shell("exit 3")
            assert isinstance(process, asyncio.subprocess.Process)
            assert await process.wait() == process.returncode == process.exit == 3
            assert isinstance(process.exit, Exit)
            assert process.argv == ("exit 3",)
            assert "exit 3" in repr(process)
            assert (process.stdin, process.stdout, process.stderr) == (None, None, None)

        run(main)

    @pytest.mark.parametrize("option", [{"text": True}, {"encoding": "utf-8"}, {"bufsize": 1}])
    def test_refused(self, run: Callable, option: dict[str, Any]) -> None:
        """What asyncio refuses is refused."""

        async def main() -> None:
            with pytest.raises(ValueError, match="must be"):
                await create_subprocess_exec("true", **option)

        run(main)

    def test_signals(self, run: Callable) -> None:
        """send_signal, terminate and kill reach the child; after its end they raise as asyncio's do."""

        async def main() -> None:
            for send, number in (
                (Process.terminate, signal.SIGTERM),
                (Process.kill, signal.SIGKILL),
                (lambda process: process.send_signal(signal.SIGINT), signal.SIGINT),
            ):
                process = await create_subprocess_exec("sleep", "60")
                send(process)
                assert await process.wait() == -number
                await asyncio.sleep(0.01)
                with pytest.raises(ProcessLookupError):
                    send(process)

        run(main)

    def test_wait_does_not_wait_for_the_pipes(self, run: Callable) -> None:
        """wait() returns at the exit, whoever else holds the pipes."""

        async def main() -> None:
            process = await create_subprocess_shell("sleep 60 & echo $!", stdout=PIPE)
            holder = int(await process.stdout.readline())
            assert await asyncio.wait_for(process.wait(), 10) == 0
            os.kill(holder, signal.SIGKILL)
            assert await process.stdout.read() == b""

        run(main)


class TestCommunicate:
    def test_all_three(self, run: Callable) -> None:
        """The input is written and both outputs are read, however much it is."""

        async def main() -> None:
            process = await create_subprocess_shell("tee /dev/stderr", stdin=PIPE, stdout=PIPE, stderr=PIPE)
            data = os.urandom(3_000_000)
            assert await process.communicate(data) == (data, data)
            assert process.returncode == 0

        run(main)

    def test_what_is_no_pipe(self, run: Callable) -> None:
        """An output that is no pipe is None."""

        async def main() -> None:
            process = await create_subprocess_shell("echo a; echo b >&2", stdout=PIPE, stderr=STDOUT)
            assert await process.communicate() == (b"a\nb\n", None)

        run(main)

    def test_child_that_does_not_read(self, run: Callable) -> None:
        """A child that ends without reading its input is no error."""

        async def main() -> None:
            process = await create_subprocess_exec("true", stdin=PIPE)
            assert await process.communicate(bytes(1_000_000)) == (None, None)
            assert process.returncode == 0

        run(main)

    def test_cut_off(self, run: Callable) -> None:
        """What was read when a timeout cut it off is not lost: it is in `collected`, and the next call has it all."""

        async def main() -> None:
            process = await create_subprocess_shell("echo first; read line; echo $line", stdin=PIPE, stdout=PIPE)
            while process.stdout.collected != b"first\n":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(process.stdout.collect(), 0.05)
            process.stdin.write(b"second\n")
            assert await process.communicate() == (b"first\nsecond\n", None)

        run(main)


class TestLines:
    def test_of_any_length(self, run: Callable) -> None:
        """Lines of any length come whole, without their ends; the last one needs none."""

        async def main() -> None:
            script = "import sys; sys.stdout.write('a' * 1_000_000 + '\\n\\nb\\r\\n' + 'c' * 70_000)"
            process = await create_subprocess_exec(sys.executable, "-c", script, stdout=PIPE)
            lines = [line async for line in process.stdout.lines()]
            assert lines == [b"a" * 1_000_000, b"", b"b", b"c" * 70_000]
            await process.wait()

        run(main)

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 64])
    def test_small_limit(self, run: Callable, limit: int) -> None:
        """The limit bounds what is buffered, not the length of lines."""

        async def main() -> None:
            process = await create_subprocess_exec("printf", "abc\\n\\nlonger line\\nend", stdout=PIPE, limit=limit)
            assert [line async for line in process.stdout.lines("ascii")] == ["abc", "", "longer line", "end"]
            await process.wait()

        run(main)

    def test_cut_off(self, run: Callable) -> None:
        """A line whose reading was cut off in its middle comes whole the next time."""

        async def main() -> None:
            process = await create_subprocess_shell(
                "printf begun; read x; echo ended", stdin=PIPE, stdout=PIPE, limit=2
            )
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(process.stdout.lines()), 0.1)
            process._streams.feed(b"\n")
            assert [line async for line in process.stdout.lines("utf-8")] == ["begunended"]
            await process.wait()

        run(main)

    def test_encodings(self, run: Callable) -> None:
        """Lines are decoded as asked; an encoding in which lines cannot be found is refused."""

        async def main() -> None:
            process = await create_subprocess_exec("printf", "\\344\\n\\344\\n\\344\\n", stdout=PIPE)
            latin = process.stdout.lines("latin-1")
            assert await anext(latin) == "ä"
            with pytest.raises(ValueError, match="utf-16"):
                await anext(process.stdout.lines("utf-16"))
            with pytest.raises(LookupError):
                await anext(process.stdout.lines("no-such"))
            assert await anext(process.stdout.lines("utf-8", errors="replace")) == "\ufffd"
            with pytest.raises(UnicodeDecodeError):
                await anext(process.stdout.lines("utf-8"))
            await process.wait()

        run(main)

    def test_close(self, run: Callable) -> None:
        """A reader that is closed ends the child that goes on writing."""

        async def main() -> None:
            process = await create_subprocess_exec("yes", stdout=PIPE)
            assert await process.stdout.readline() == b"y\n"
            process.stdout.close()
            assert await process.wait() == -signal.SIGPIPE

        run(main)


class TestMergedLines:
    SCRIPT = """
import os
for number in range(200):
    os.write(1 + number % 3 % 2, b"%d\\n" % number)
os.write(2, b"unfinished")
"""

    def test_order(self, run: Callable) -> None:
        """Lines of both outputs are told from each other, each whole, those of each in their order."""

        async def main() -> None:
            process = await create_subprocess_exec(sys.executable, "-c", self.SCRIPT, stdout=PIPE, stderr=PIPE)
            lines = [line async for line in process.merged_lines("ascii")]
            for stream, fd in (("stdout", 1), ("stderr", 2)):
                numbers = [int(line.text) for line in lines if line.stream == stream and line.text != "unfinished"]
                assert numbers == [number for number in range(200) if 1 + number % 3 % 2 == fd]
            assert lines.count(Line("stderr", "unfinished")) == 1
            await process.wait()

        run(main)

    def test_arrival(self, run: Callable) -> None:
        """They come in the order in which they were written, when there is time between them."""

        async def main() -> None:
            script = "echo a; read x; echo b >&2; read x; echo c"
            process = await create_subprocess_shell(script, stdin=PIPE, stdout=PIPE, stderr=PIPE)
            seen = []
            async for line in process.merged_lines():
                seen.append(line)
                process.stdin.write(b"\n")
            assert seen == [("stdout", b"a"), ("stderr", b"b"), ("stdout", b"c")]
            process.stdin.close()
            await process.wait()

        run(main)

    def test_nobody_else_may_read(self, run: Callable) -> None:
        """When one of the outputs was read by itself, the order is not known, and that is said."""

        async def main() -> None:
            process = await create_subprocess_shell("echo a; echo b", stdout=PIPE, stderr=PIPE)
            await process.stdout.readline()
            with pytest.raises(RuntimeError, match="read by itself"):
                await anext(process.merged_lines())
            await process.communicate()

        run(main)

    def test_more_than_is_buffered(self, run: Callable) -> None:
        """However much comes, it is read on, and the child waits for slow readers."""

        async def main() -> None:
            script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; head -c 500000 /dev/zero | tr '\\0' y >&2"
            process = await create_subprocess_shell(script, stdout=PIPE, stderr=PIPE)
            sizes = {stream: len(text) async for stream, text in process.merged_lines()}
            assert sizes == {"stdout": 1_000_000, "stderr": 500_000}
            await process.wait()

        run(main)

    def test_end_of_the_block_while_reading(self, run: Callable) -> None:
        """Whoever reads merged lines in another task gets the end when the block is left."""

        async def main() -> None:
            lines = []

            async def read() -> None:
                async for line in process.merged_lines():
                    lines.append(line)

            async with start("sh", "-c", "echo a; sleep 60", stdout=PIPE, stderr=PIPE) as process:
                reading = asyncio.create_task(read())
                while not lines:
                    await asyncio.sleep(0.001)
            await asyncio.wait_for(reading, 10)

        run(main)


def test_asyncio_reads_and_writes_as_ever(run: Callable) -> None:
    """readline, readexactly, readuntil and the iteration of a reader are asyncio's."""

    async def main() -> None:
        process = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        process.stdin.write(b"one\ntwo\nthree;four\nfive\nsix\n")
        process.stdin.close()
        out = process.stdout
        assert await out.readline() == b"one\n"
        assert await out.readexactly(4) == b"two\n"
        assert await out.readuntil(b";") == b"three;"
        assert await anext(aiter(out)) == b"four\n"
        assert await out.read(2) == b"fi"
        assert await out.read() == b"ve\nsix\n"
        assert await process.wait() == 0

    run(main)


def test_poll_without_yielding(run: Callable) -> None:
    """poll() needs no turn of the loop; the returncode follows."""

    async def main() -> None:
        process = await create_subprocess_exec("true")
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert process.exit == 0
        assert await process.wait() == process.returncode == 0
        assert children() == []

    run(main)


PIPES = {"stdin": PIPE, "stdout": PIPE}


class TestLinesAfterTheExit:
    @pytest.mark.parametrize("merged", [False, True])
    def test_timeout_around_a_line(self, run: Callable, merged: bool) -> None:
        """A timeout around the next line loses nothing, and the same iterator goes on."""

        async def main() -> list[Any]:
            script = "read x; echo one; read x; printf tw; read x; echo o"
            async with start("sh", "-c", script, stdin=PIPE, stdout=PIPE) as process:
                assert process.stdin is not None
                lines = process.merged_lines("ascii") if merged else process.stdout.lines("ascii")
                got = []
                while True:
                    try:
                        got.append(await asyncio.wait_for(anext(lines), 0.05))
                    except TimeoutError:
                        process.stdin.write(b"\n")
                    except StopAsyncIteration:
                        return got

        assert run(main) == ([Line("stdout", "one"), Line("stdout", "two")] if merged else ["one", "two"])

    @pytest.mark.parametrize("merged", [False, True])
    @pytest.mark.parametrize("rest", ["sleep 60", f"yes {'x' * 1000}"], ids=["sleep", "yes"])
    def test_end_though_the_pipe_is_held(self, run: Callable, merged: bool, rest: str) -> None:
        """The lines end `drain` seconds after the exit, though another process holds the pipe, or writes into it."""

        async def main() -> None:
            async with start("sh", "-c", f"echo mine; {rest} & exit 2", stdout=PIPE) as process:
                lines = process.merged_lines(drain=0.03) if merged else process.stdout.lines(drain=0.03)
                got = [line async for line in lines]
                assert got[0] == (Line("stdout", b"mine") if merged else b"mine")
                assert process.exit == 2
                assert [line async for line in process.stdout.lines()] == []

        run(lambda: asyncio.wait_for(main(), 30))

    def test_nothing_of_the_child_is_lost(self, run: Callable) -> None:
        """All that the child wrote before its exit is among the lines, however late they are read."""

        async def main() -> None:
            script = "sleep 60 & head -c 60000 /dev/zero | tr '\\0' x; echo; echo last"
            async with start("sh", "-c", script, stdout=PIPE, limit=1000) as process:
                lines = process.stdout.lines(drain=0.0)
                await process.wait()
                await asyncio.sleep(0.1)  # the time for the cut has come, and the reader is behind
                assert [len(line) async for line in lines] == [60000, 4]

        run(lambda: asyncio.wait_for(main(), 30))

    def test_lines_asked_for_again_and_again(self, run: Callable) -> None:
        """Each call of `lines` can change the bound, the last one holds, and no call costs anything that stays."""

        async def main() -> None:
            async with start("sh", "-c", "echo one; read x; (read y <&3; echo two) 3<&0 & exit", **PIPES) as process:
                for _ in range(100):
                    process.stdout.lines(drain=0.0)
                assert len(process._child._subscribers) <= 2  # the watcher's and one of the reader
                lines = process.stdout.lines(drain=math.inf)
                assert await anext(lines) == b"one"
                process.stdin.write(b"x\n")
                await process.wait()
                await asyncio.sleep(0.05)  # longer than the bounds of before
                process.stdin.write(b"y\n")
                assert await anext(lines) == b"two"

        run(lambda: asyncio.wait_for(main(), 30))

    def test_without_a_bound(self, run: Callable) -> None:
        """With `math.inf` the lines of those who hold the pipe come, too."""

        async def main() -> list[bytes]:
            async with start("sh", "-c", "(sleep 0.3; echo late) & exit", stdout=PIPE) as process:
                return [line async for line in process.stdout.lines(drain=math.inf)]

        assert run(main) == [b"late"]


class TestBuffers:
    def test_items_of_any_size(self, run: Callable) -> None:
        """All bytes of a buffer reach the child, whatever the size of its items and its shape."""
        doubles = memoryview(array.array("d", range(100_000)))
        square = memoryview(bytes(range(256))).cast("B", (16, 16))
        every_other = memoryview(bytes(100))[::2]

        async def main() -> None:
            for buffer in (doubles, square, every_other, array.array("i", [1, 2])):
                size = memoryview(buffer).nbytes
                process = await create_subprocess_exec("wc", "-c", stdin=PIPE, stdout=PIPE)
                assert process.stdin is not None
                process.stdin.write(buffer)
                process.stdin.writelines([buffer])
                assert int((await process.communicate(buffer))[0]) == 3 * size

        run(main)
