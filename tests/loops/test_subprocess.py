"""`loop.subprocess_exec` and `loop.subprocess_shell` of a watched loop do what asyncio's do."""

import asyncio
import fcntl
import gc
import logging
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import governess
from governess import Exit
from governess.children import children
from settings import run_in

Run = Callable[[Callable[[], Any]], Any]


class Recorder(asyncio.SubprocessProtocol):
    """Writes down every callback."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.events.append(("data", fd, data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.events.append(("pipe lost", fd))

    def process_exited(self) -> None:
        self.events.append(("exited", self.transport.get_returncode()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost.set_result(None)


async def drain_until_it_fails(writer: asyncio.StreamWriter) -> None:
    while True:
        await writer.drain()
        await asyncio.sleep(0)


def of_pipe(events: list[Any], fd: int) -> list[Any]:
    return [event for event in events if event[0] in ("data", "pipe lost") and event[1] == fd]


class TestChild:
    def test_communicate(self, run: Run) -> None:
        """What goes into the child comes out of it, on both streams."""

        async def main() -> tuple[bytes, bytes, int]:
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", "cat; echo no >&2; exit 3", stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            out, err = await process.communicate(b"x" * 300_000)
            return out, err, process.returncode

        assert run(main) == (b"x" * 300_000, b"no\n", 3)

    def test_shell(self, run: Run) -> None:
        """create_subprocess_shell runs its line by the shell."""

        async def main() -> bytes:
            process = await asyncio.create_subprocess_shell("echo $((6*7))", stdout=PIPE)
            return (await process.communicate())[0]

        assert run(main) == b"42\n"

    def test_standard_streams(self, run: Run, tmp_path: Path) -> None:
        """DEVNULL, STDOUT, a descriptor and an open file are accepted as the child's streams."""

        async def main() -> bytes:
            with open(tmp_path / "in", "w+b") as file:
                file.write(b"from a file\n")
                file.seek(0)
                process = await asyncio.create_subprocess_exec(
                    "sh", "-c", "cat; echo both >&2", stdin=file, stdout=PIPE, stderr=STDOUT
                )
            both, _ = await process.communicate()
            with open(tmp_path / "out", "wb") as out:
                process = await asyncio.create_subprocess_exec(
                    "sh", "-c", "cat; echo to a descriptor", stdin=DEVNULL, stdout=out.fileno(), stderr=DEVNULL
                )
                await process.wait()
            return both

        assert run(main) == b"from a file\nboth\n"
        assert (tmp_path / "out").read_bytes() == b"to a descriptor\n"

    def test_popens_arguments(self, run: Run, tmp_path: Path) -> None:
        """cwd, env, umask, pass_fds, start_new_session, process_group, executable and pipesize reach the child."""

        async def main() -> list[bytes]:
            reader, writer = os.pipe()
            try:
                process = await asyncio.create_subprocess_exec(
                    "not the name",
                    "-c",
                    f"pwd; echo $WHAT; umask; ls /proc/self/fd/{writer} >/dev/null && ps -o sid= -p $$",
                    executable="/bin/sh",
                    stdout=PIPE,
                    cwd=tmp_path,
                    env={"WHAT": "ever", "PATH": os.environ["PATH"]},
                    umask=0o27,
                    pass_fds=(writer,),
                    start_new_session=True,
                    pipesize=8192,
                )
                out, _ = await process.communicate()
            finally:
                os.close(reader)
                os.close(writer)
            assert int(out.split()[-1]) == process.pid
            return out.split()[:-1]

        assert run(main) == [os.fsencode(tmp_path), b"ever", b"0027"]

    @pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells how much a pipe holds")
    @pytest.mark.parametrize(("holds", "size"), [(1 << 16, 1 << 16), (1 << 17, 1 << 17), (1 << 20, 1 << 18)])
    def test_read_size(self, holds: int, size: int) -> None:
        """While a lot flows, as much is read at once as the pipe holds, and no more than 256 KiB."""

        async def main() -> int:
            line = "read go; exec head -c 300000 /dev/zero"
            process = await asyncio.create_subprocess_shell(line, stdin=PIPE, stdout=PIPE, pipesize=holds)
            reader = process._transport.get_pipe_transport(1)
            descriptor = reader.get_extra_info("pipe").fileno()
            os.write(process._transport.get_pipe_transport(0).get_extra_info("pipe").fileno(), b"\n")
            while _waiting_in(descriptor) < 1 << 16:  # the loop stands still, so that its next read finds a full pipe
                time.sleep(0.001)
            await process.communicate()
            return reader.max_size

        with governess.DefaultEventLoopPolicy() as policy, asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            assert runner.run(main()) == size

    def test_preexec_fn_runs_in_the_loops_thread(self, run: Run) -> None:
        """preexec_fn is run where its author expects it: forked from the thread of the loop."""
        reader, writer = os.pipe()

        async def main() -> bool:
            here = threading.get_ident()
            process = await asyncio.create_subprocess_exec(
                "true", preexec_fn=lambda: os.write(writer, b"y" if threading.get_ident() == here else b"n")
            )
            await process.wait()
            return os.read(reader, 1) == b"y"

        try:
            assert run(main)
        finally:
            os.close(reader)
            os.close(writer)

    @pytest.mark.parametrize(
        ("argv", "options", "error", "text"),
        [
            (["/no/such/program"], {}, FileNotFoundError, "/no/such/program"),
            (["true"], {"cwd": "/no/such/folder"}, FileNotFoundError, "/no/such/folder"),
            (["/etc/passwd"], {}, PermissionError, "/etc/passwd"),
            (["true\0"], {}, ValueError, "null byte"),
            (["true"], {"universal_newlines": True}, ValueError, "universal_newlines must be False"),
            (["true"], {"text": True}, ValueError, "text must be False"),
            (["true"], {"encoding": "utf-8"}, ValueError, "encoding must be None"),
            (["true"], {"errors": "strict"}, ValueError, "errors must be None"),
            (["true"], {"bufsize": 1}, ValueError, "bufsize must be 0"),
            (["true"], {"shell": True}, ValueError, "shell must be False"),
            (["true"], {"no_such_option": 1}, TypeError, "no_such_option"),
            ([None], {}, TypeError, None),
        ],
    )
    def test_errors_are_asyncios(
        self, run: Run, argv: list[Any], options: dict[str, Any], error: type[Exception], text: str | None
    ) -> None:
        """A wrong call raises what asyncio raises: the same class, errno and filename, and leaves nothing behind."""

        async def fail() -> BaseException:
            with pytest.raises(error) as caught:
                await asyncio.create_subprocess_exec(*argv, **options)
            return caught.value

        ours, theirs = run(fail), asyncio.run(fail())
        assert type(ours) is type(theirs)
        assert getattr(ours, "errno", None) == getattr(theirs, "errno", None)
        assert getattr(ours, "filename", None) == getattr(theirs, "filename", None)
        if text is not None:
            assert text in str(ours)
        assert children() == []

    def test_shell_takes_a_string_alone(self, run: Run) -> None:
        """create_subprocess_shell refuses a list, and shell=False."""

        async def main() -> None:
            with pytest.raises(ValueError, match="cmd must be a string"):
                await asyncio.create_subprocess_shell(["ls"])  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="shell must be True"):
                await asyncio.create_subprocess_shell("ls", shell=False)

        run(main)

    @pytest.mark.parametrize("script", ["exit 3", "echo out; echo err >&2; kill -9 $$", "exec >&- 2>&-; exit 1"])
    def test_callbacks_come_in_asyncios_order(self, run: Run, script: str) -> None:
        """made first, each pipe's data before its loss, exited once, lost last: as in asyncio."""

        async def main() -> list[Any]:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.subprocess_exec(Recorder, "sh", "-c", script, stdin=None)
            assert protocol.events[:1] == ["made"]
            await protocol.lost
            transport.close()
            return protocol.events

        ours, theirs = run(main), asyncio.run(main())
        assert ours[0] == theirs[0] == "made"
        assert ours[-1] == theirs[-1] == "lost"
        # What the two pipes and the exit do among themselves is the kernel's choice.
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs))
        for fd in (1, 2):
            assert of_pipe(ours, fd) == of_pipe(theirs, fd)

    def test_extra_info(self, run: Run) -> None:
        """get_extra_info knows a Popen-like object and the Child."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.subprocess_exec(Recorder, "cat", stdout=None, stderr=None)
            popen = transport.get_extra_info("subprocess")
            child = transport.get_extra_info("child")
            assert popen.pid == child.pid == transport.get_pid()
            assert popen.args == ("cat",)
            assert popen.returncode is None
            assert popen.poll() is None
            assert popen.stdin.fileno() > 2
            assert popen.stdout is None
            with pytest.raises(subprocess.TimeoutExpired):
                popen.wait(0.01)
            popen.terminate()
            assert popen.wait(5) == -signal.SIGTERM
            assert popen.poll() == popen.returncode == -signal.SIGTERM
            popen.kill()
            transport.close()
            await asyncio.sleep(0)

        run(main)

    def test_returncode_is_an_exit(self, run: Run) -> None:
        """The returncode carries what is known about the end of the child."""

        async def main() -> Exit:
            process = await asyncio.create_subprocess_exec("sh", "-c", "kill -SEGV $$")
            return await process.wait()

        exit = run(main)
        assert exit == -signal.SIGSEGV
        assert exit.signal is signal.SIGSEGV
        assert exit.rusage.ru_maxrss > 0

    def test_wait_returns_at_the_exit(self, run: Run) -> None:
        """wait() does not wait for a grandchild that holds the pipes."""

        async def main() -> int:
            process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 30 & echo $!", stdout=PIPE)
            grandchild = int(await process.stdout.readline())
            try:
                return await asyncio.wait_for(process.wait(), 10)
            finally:
                os.kill(grandchild, signal.SIGKILL)
                process._transport.close()
                await asyncio.sleep(0)

        assert run(main) == 0

    def test_several_waiters(self, run: Run) -> None:
        """Every waiter gets the returncode, those that come after the exit too."""

        async def main() -> list[int]:
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
            waits = [asyncio.create_task(process.wait()) for _ in range(3)]
            return [*await asyncio.gather(*waits), await process.wait()]

        assert run(main) == [5, 5, 5, 5]

    def test_cancelled_wait_leaves_the_child_alone(self, run: Run) -> None:
        """Cancelling wait() neither kills the child nor spoils the next wait()."""

        async def main() -> int:
            process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
            wait = asyncio.create_task(process.wait())
            await asyncio.sleep(0)
            wait.cancel()
            await asyncio.wait([wait])
            assert process.returncode is None
            process.stdin.close()
            return await process.wait()

        assert run(main) == 0

    def test_signals(self, run: Run) -> None:
        """send_signal, terminate and kill reach the child; after its end they are a ProcessLookupError."""

        async def main() -> list[int]:
            codes = []
            for send in ("send_signal", "terminate", "kill"):
                process = await asyncio.create_subprocess_exec("sleep", "60")
                getattr(process, send)(*([signal.SIGHUP] if send == "send_signal" else []))
                codes.append(await process.wait())
                await asyncio.sleep(0)
                with pytest.raises(ProcessLookupError):
                    process.kill()
            return codes

        assert run(main) == [-signal.SIGHUP, -signal.SIGTERM, -signal.SIGKILL]

    def test_no_signal_reaches_a_stranger(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child that was reaped by somebody else gets no signal, since its number may be another's by now."""
        sent = []
        monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))

        async def main() -> None:
            process = await asyncio.create_subprocess_exec("sleep", "60")
            child = process._transport.get_extra_info("child")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(child), "reap", lambda self: None)  # nobody has noticed yet
                child.signal(signal.SIGKILL)
                os.waitpid(process.pid, 0)
                process._transport.send_signal(signal.SIGTERM)
            child.reap()
            await process.wait()

        run(main)
        assert sent == []

    def test_closing_the_transport_kills_the_child(self, run: Run) -> None:
        """transport.close() ends the child and closes the pipes."""

        async def main() -> int:
            process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            process._transport.close()
            assert await process.stdout.read() == b""
            return await process.wait()

        assert run(main) == -signal.SIGKILL

    @pytest.mark.parametrize("first", ["close", "abort"])
    def test_abort_of_what_is_closing(self, run: Run, first: str) -> None:
        """The standard input is lost once, if it is aborted while it closes; what was not written is dropped."""

        async def main() -> list[Any]:
            loop, errors = asyncio.get_running_loop(), []
            loop.set_exception_handler(lambda loop, context: errors.append(context))
            for unwritten in b"", b"x" * 1_000_000:
                transport, protocol = await loop.subprocess_exec(Recorder, "sleep", "60")
                stdin = transport.get_pipe_transport(0)
                stdin.write(unwritten)
                getattr(stdin, first)()
                stdin.abort()
                transport.kill()
                await asyncio.wait_for(protocol.lost, 10)
                transport.close()
                assert protocol.events.count(("pipe lost", 0)) == 1
            return errors

        assert run(main) == []

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_dropped_transport_kills_its_child(self, run: Run) -> None:
        """A transport that is dropped with its loop takes its child with it, without touching the loop."""

        async def main() -> None:
            await asyncio.create_subprocess_exec("sleep", "60")

        ends, dead = [], threading.Event()
        with governess.observe(on_exit=lambda child, exit: (ends.append(exit), dead.set())):
            run(main)
            gc.collect()
            assert dead.wait(10)
        assert ends == [-signal.SIGKILL]

    def test_debug_mode(self, policy: governess.DefaultEventLoopPolicy, caplog: pytest.LogCaptureFixture) -> None:
        """In debug mode a start is logged, without the environment, which may hold secrets."""

        async def main() -> int:
            return await (await asyncio.create_subprocess_exec("true", env={"PASSWORD": "hush"})).wait()

        with (
            caplog.at_level(logging.DEBUG, "governess"),
            asyncio.Runner(debug=True, loop_factory=policy.loop_factory) as runner,
        ):
            assert runner.run(main()) == 0
        assert "'true'" in caplog.text
        assert "hush" not in caplog.text

    def test_plain_watchers_returncode(self, loop_factory: Callable, run: Run) -> None:
        """A user's own watcher with asyncio's five verbs alone works, and its plain int is the returncode."""

        class Own(governess.AbstractChildWatcher):
            def __enter__(self) -> None:
                """Like 3.12 and 3.13, we do not ask for what it returns."""

            def __exit__(self, *_: object) -> None:
                pass

            def is_active(self) -> bool:
                return True

            def attach_loop(self, loop: Any) -> None:
                pass

            def close(self) -> None:
                pass

            def remove_child_handler(self, pid: int) -> bool:
                return True

            def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
                def wait() -> None:
                    _, status = os.waitpid(pid, 0)
                    callback(pid, os.waitstatus_to_exitcode(status), *args)

                threading.Thread(target=wait).start()

        async def main() -> int:
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit 6")
            return await process.wait()

        assert run_in(loop_factory, main, Own) == 6
        assert children() == []

    def test_inactive_watcher(self, loop_factory: Callable) -> None:
        """With an inactive watcher a start is a RuntimeError, and no child is born."""
        born = []

        async def main() -> None:
            watcher.attach_loop(None)
            with pytest.raises(RuntimeError, match="not active"):
                await asyncio.create_subprocess_exec("true")

        watcher = governess.SafeChildWatcher()
        with governess.observe(on_spawn=born.append):
            run_in(loop_factory, main, watcher)
        watcher.close()
        assert born == []

    def test_popen_replaced(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a test has put in the place of `subprocess.Popen` is asked in its stead."""

        class Careful(subprocess.Popen):
            def __init__(self, args: Any, **options: Any) -> None:
                if "dangerous" in args:
                    raise ZeroDivisionError
                super().__init__(args, **options)

        async def main() -> int:
            with pytest.raises(ZeroDivisionError):
                await asyncio.create_subprocess_exec("echo", "dangerous", stdin=PIPE)
            return await (await asyncio.create_subprocess_exec("sh", "-c", "exit 5")).wait()

        monkeypatch.setattr(subprocess, "Popen", Careful)
        assert run(main) == 5

    def test_program_gone_while_writing(self, run: Run) -> None:
        """Writing to a child that has exited is a BrokenPipeError or ConnectionResetError, as in asyncio."""

        async def main() -> None:
            process = await asyncio.create_subprocess_exec("true", stdin=PIPE)
            await process.wait()
            process.stdin.write(b"x" * 1_000_000)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await drain_until_it_fails(process.stdin)
            process._transport.close()
            await asyncio.sleep(0)

        run(main)

    def test_unwatched_loop_is_untouched(self) -> None:
        """A plain asyncio loop keeps asyncio's own children."""

        async def main() -> None:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
            assert not isinstance(process._transport, governess.transports._transport.ChildTransport)
            assert await process.wait() == 0

        asyncio.run(main())


def _waiting_in(pipe: int) -> int:
    """Return how many bytes can be read from the pipe at once."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
