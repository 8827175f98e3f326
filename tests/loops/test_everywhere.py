"""What children do on every system: on Windows in its selector loop, which has no pipes, elsewhere in all loops."""

import asyncio
import gc
import queue
import signal
import socket
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import governess
from fresh import run_fresh
from governess.children import children

pytestmark = pytest.mark.windows

Run = Callable[[Callable[[], Any]], Any]

ON_WINDOWS = sys.platform == "win32"
KILLED = 1 if ON_WINDOWS else -9
TERMINATED = 1 if ON_WINDOWS else -15

MEGABYTE = 1_000_000

BOTH_WAYS = """
import sys
data = sys.stdin.buffer.read()
sys.stderr.buffer.write(b"read %d" % len(data))
sys.stdout.buffer.write(data)
raise SystemExit(3)
"""
WAIT = "import sys; sys.stdin.read()"
OUT_AND_ERR = "import sys; print(sys.stdin.read() + 'out', end=' ', flush=True); sys.stderr.write('err')"
ECHO = "import sys\nfor line in sys.stdin.buffer:\n    sys.stdout.buffer.write(line)\n    sys.stdout.flush()"
FLOOD = "import sys\nwhile True:\n    sys.stdout.buffer.write(b'x' * 65536)"


def python(code: str, **options: Any) -> Any:
    """Start a Python child."""
    return asyncio.create_subprocess_exec(sys.executable, "-c", code, **options)


async def drain_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        await writer.drain()
        await asyncio.sleep(0)


async def until_reaped() -> None:
    """Wait until whoever reaps orphans is done."""
    while children():
        await asyncio.sleep(0.01)


class TestStreams:
    def test_much_in_and_out(self, run: Run) -> None:
        """Ten megabytes go in and come out again, and the exit code is true."""

        async def main() -> tuple[int, bytes, int]:
            process = await python(BOTH_WAYS, stdin=PIPE, stdout=PIPE, stderr=PIPE)
            out, err = await process.communicate(b"x" * 10 * MEGABYTE)
            return len(out), err, process.returncode

        assert run(main) == (10 * MEGABYTE, b"read 10000000", 3)

    def test_dialogue(self, run: Run) -> None:
        """Lines go in and come out again; when its stdin is closed, the child ends."""

        async def main() -> int:
            process = await python(ECHO, stdin=PIPE, stdout=PIPE)
            for number in range(3):
                process.stdin.write(b"%d\n" % number)
                assert (await process.stdout.readline()).rstrip() == b"%d" % number
            await process.communicate(b"")  # without it, asyncio of 3.11 leaves stdin open
            return process.returncode

        assert run(main) == 0

    def test_back_pressure(self, run: Run) -> None:
        """A child that writes without end is held up while nobody reads."""

        async def main() -> int:
            process = await python(FLOOD, stdout=PIPE)
            await process.stdout.readexactly(MEGABYTE)
            await asyncio.sleep(0.2)
            buffered = len(process.stdout._buffer)
            process.kill()
            process._transport.close()
            assert await process.wait() == KILLED
            return buffered

        assert run(main) < MEGABYTE

    def test_files(self, run: Run, tmp_path: Path) -> None:
        """DEVNULL, STDOUT and open files are accepted as the child's streams."""

        async def main() -> bytes:
            with open(tmp_path / "out", "w+b") as file:
                process = await python(OUT_AND_ERR, stdin=DEVNULL, stdout=file, stderr=STDOUT)
                await process.wait()
                file.seek(0)
                return file.read()

        assert run(main) == b"out err"

    def test_shell(self, run: Run) -> None:
        """create_subprocess_shell runs its line by the shell of the system."""

        async def main() -> tuple[bytes, int]:
            process = await asyncio.create_subprocess_shell("echo hello&& exit 4", stdout=PIPE)
            out, _ = await process.communicate()
            return out.strip(), process.returncode

        assert run(main) == (b"hello", 4)

    def test_gone_child(self, run: Run) -> None:
        """Writing to a child that has exited fails as in asyncio."""

        async def main() -> None:
            process = await asyncio.create_subprocess_shell("exit 0", stdin=PIPE)
            await process.wait()
            process.stdin.write(b"x" * MEGABYTE)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await drain_for_ever(process.stdin)
            process._transport.close()
            await asyncio.sleep(0)

        run(main)

    def test_unused_stdin(self, run: Run) -> None:
        """All is over when a child has exited that never touched its stdin: the transport notices its closing."""

        class Protocol(asyncio.SubprocessProtocol):
            def __init__(self) -> None:
                self.over = asyncio.get_running_loop().create_future()

            def connection_lost(self, exc: Exception | None) -> None:
                self.over.set_result(exc)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.subprocess_shell(Protocol, "exit 0")
            assert await protocol.over is None
            transport.close()

        run(main)


class TestLife:
    def test_fifty_at_once(self, run: Run) -> None:
        """Fifty children at once, each with a pipe, end with codes of their own."""

        async def child(number: int) -> tuple[bytes, int]:
            process = await asyncio.create_subprocess_shell(f"echo {number}&& exit {number}", stdout=PIPE)
            out, _ = await process.communicate()
            return out.strip(), process.returncode

        async def main() -> list[tuple[bytes, int]]:
            return await asyncio.gather(*map(child, range(50)))

        assert run(main) == [(b"%d" % number, number) for number in range(50)]

    @pytest.mark.parametrize(("end", "code"), [("kill", KILLED), ("terminate", TERMINATED)])
    def test_ended(self, run: Run, end: str, code: int) -> None:
        """kill and terminate end a child; after its end they are a ProcessLookupError."""

        async def main() -> int:
            process = await python(WAIT, stdin=PIPE, stdout=PIPE)
            getattr(process, end)()
            await process.communicate()
            while not process._transport.finished:
                await asyncio.sleep(0)
            with pytest.raises(ProcessLookupError):
                getattr(process, end)()
            return process.returncode

        assert run(main) == code

    def test_observed(self, run: Run) -> None:
        """Births and deaths are told, and the returncode is an Exit."""
        born, dead = [], queue.SimpleQueue()

        async def main() -> governess.Exit:
            process = await asyncio.create_subprocess_shell("exit 7")
            assert isinstance(process._transport.get_extra_info("child"), governess.Child)
            return await process.wait()

        with governess.observe(on_spawn=born.append, on_exit=lambda child, exit: dead.put(exit)):
            assert run(main).describe() == "exit 7"
            assert dead.get(timeout=30) == 7
        assert [child.argv for child in born] == [("exit 7",)]

    def test_popen(self, run: Run) -> None:
        """The Popen-like object asks, waits and ends without the loop."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.subprocess_exec(
                asyncio.SubprocessProtocol, sys.executable, "-c", WAIT, stdout=None, stderr=None
            )
            popen = transport.get_extra_info("subprocess")
            assert popen.poll() is None
            popen.kill()
            assert popen.wait(30) == popen.poll() == popen.returncode == KILLED
            popen.kill()
            transport.close()
            await asyncio.sleep(0)

        run(main)

    @pytest.mark.parametrize(
        ("argv", "options", "error"),
        [
            (["no-such-program"], {}, FileNotFoundError),
            ([sys.executable], {"cwd": "no-such-folder"}, (FileNotFoundError, NotADirectoryError)),
            ([sys.executable], {"text": True}, ValueError),
            ([sys.executable], {"no_such_option": 1}, TypeError),
        ],
    )
    def test_errors(self, run: Run, argv: list[str], options: dict[str, Any], error: Any) -> None:
        """A wrong call raises what Popen raises, and leaves nothing behind."""

        async def main() -> None:
            with pytest.raises(error):
                await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, **options)

        run(main)
        assert children() == []


class TestInterruption:
    @pytest.mark.parametrize("moment", range(6))
    def test_cancelled_start(self, run: Run, moment: int) -> None:
        """A start that is cancelled leaves no child behind, at whichever moment."""

        async def main() -> None:
            start = asyncio.create_task(python(WAIT, stdin=PIPE, stdout=PIPE, stderr=PIPE))
            for _ in range(moment):
                await asyncio.sleep(0.003)
            if not start.cancel():
                start.result()._transport.close()
            await asyncio.wait([start])
            if not start.cancelled():
                start.result()._transport.close()
            await until_reaped()

        run(main)

    def test_cancelled_communicate(self, run: Run) -> None:
        """Cancelling communicate() leaves the child alive, and it can be ended then."""

        async def main() -> int:
            process = await python(ECHO, stdin=PIPE, stdout=PIPE)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.stdout.read(), 0.05)
            assert process.returncode is None
            process.kill()
            await process.communicate()
            return process.returncode

        assert run(main) == KILLED

    def test_cancelled_writing(self, run: Run) -> None:
        """A child that does not read is no obstacle to cancelling, and to closing its transport."""

        async def main() -> int:
            process = await python("import time; time.sleep(60)", stdin=PIPE, stdout=PIPE)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.communicate(b"x" * MEGABYTE), 0.05)
            process._transport.close()
            return await process.wait()

        assert run(main) == KILLED

    def test_loop_closed(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        """A loop that closes lets go of the pipes of a living child, which is reaped in spite of it."""
        dead = threading.Event()

        async def main() -> Any:
            return (await python(WAIT, stdin=PIPE, stdout=PIPE))._transport

        with governess.observe(on_exit=lambda child, exit: dead.set()):
            with governess.DefaultEventLoopPolicy(loop_factory) as policy:
                loop = policy.new_event_loop()
                transport = loop.run_until_complete(main())
            assert loop.is_closed()
            assert dead.wait(30)  # of the end of its input
            transport.close()

    def test_interpreter_ends(self) -> None:
        """An interpreter that ends with a living child, whose pipes are open, does not wait for it."""
        policy = "WindowsSelectorEventLoopPolicy" if ON_WINDOWS else "DefaultEventLoopPolicy"
        run_fresh(f"""
            import asyncio, sys, governess

            class Loop(asyncio.SelectorEventLoop):
                async def connect_read_pipe(self, *_):
                    raise NotImplementedError
                connect_write_pipe = connect_read_pipe

            async def main():
                await asyncio.create_subprocess_exec(
                    sys.executable, "-c", "import sys; sys.stdin.read()", stdin=-1, stdout=-1, stderr=-1
                )

            policy = governess.{policy}(Loop)
            loop = policy.new_event_loop()
            loop.run_until_complete(main())
            """)


class TestBesideReaders:
    def test_reader_and_child(self) -> None:
        """One program uses add_reader and a child at once, which neither of asyncio's loops can on Windows."""
        policy = governess.WindowsSelectorEventLoopPolicy() if ON_WINDOWS else governess.DefaultEventLoopPolicy()

        async def main() -> bytes:
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            heard = loop.create_future()
            with ours, theirs:
                loop.add_reader(ours, lambda: heard.done() or heard.set_result(ours.recv(100)))
                process = await python(ECHO, stdin=PIPE, stdout=PIPE)
                process.stdin.write(b"from the child\n")
                theirs.send(await process.stdout.readline())
                said = await heard
                loop.remove_reader(ours)
                await process.communicate(b"")
                assert process.returncode == 0
            return said.rstrip()

        with policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            assert runner.run(main()) == b"from the child"


@pytest.mark.skipif(not ON_WINDOWS, reason="this holds on Windows")
class TestOnWindows:
    def test_signals(self, run: Run) -> None:
        """A signal that Windows does not have is a ValueError, as with Popen."""

        async def main() -> None:
            process = await python(WAIT, stdin=PIPE)
            with pytest.raises(ValueError, match="Unsupported signal"):
                process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == TERMINATED

        run(main)

    def test_proactor_loop(self) -> None:
        """A watched proactor loop reads the pipes itself."""

        async def main() -> bytes:
            process = await python(BOTH_WAYS, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
            return (await process.communicate(b"through"))[0]

        with asyncio.Runner(loop_factory=governess.watched(asyncio.ProactorEventLoop)) as runner:
            assert runner.run(main()) == b"through"

    def test_installed(self) -> None:
        """A program that names asyncio's selector policy has children under governess.install()."""
        run_fresh("""
            import asyncio, sys, governess

            async def main():
                process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('hi')", stdout=-1)
                out, _ = await process.communicate()
                assert out.strip() == b"hi", out

            governess.install()
            asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
            asyncio.run(main())
            governess.uninstall()
            assert "subprocess_exec" not in vars(asyncio.SelectorEventLoop)
            """)

    def test_handles(self, run: Run) -> None:
        """No handle stays open after the children are gone."""
        import _overlapped
        import _winapi

        def highest() -> int:
            gc.collect()
            fresh = [_overlapped.CreateEvent(None, True, False, None) for _ in range(200)]  # which fill the gaps
            for handle in fresh:
                _winapi.CloseHandle(handle)
            return max(fresh)

        async def children(number: int) -> None:
            for _ in range(number):
                process = await asyncio.create_subprocess_shell("exit 0", stdin=PIPE, stdout=PIPE, stderr=PIPE)
                await process.communicate(b"x")

        async def main() -> tuple[int, int]:
            await children(5)
            before = highest()
            await children(10)
            while [thread for thread in threading.enumerate() if "pipe" in thread.name or "waitpid" in thread.name]:
                await asyncio.sleep(0.01)
            return before, highest()

        before, after = run(main)
        assert after <= before + 4 * 3  # handles are multiples of 4
