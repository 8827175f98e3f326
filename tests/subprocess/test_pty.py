"""A child with a terminal of its own."""

import array
import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from governess.children._procfs import read_stat
from governess.children._session import Session
from governess.children._spawn import describe
from governess.children._spawn.command import command_of
from governess.subprocess import PIPE, create_subprocess_exec, run, start
from governess.subprocess._pty import in_terminal

needs_native = pytest.mark.skipif(describe()[0] != "native", reason="a controlling terminal needs the native spawner")

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@needs_native
class TestTerminal:
    def test_what_the_child_sees(self, run_in_loop: Run) -> None:
        """It has a controlling terminal of the wanted size, and its output ends without an error."""

        async def main() -> None:
            script = "tty <&2 >/dev/null && tty >/dev/null && stty size && echo fine >/dev/tty"
            done = await run("sh", "-c", script, pty=(40, 100))
            assert (done.exit, done.stdout) == (0, b"40 100\r\nfine\r\n")
            assert done.stderr is None

        run_in_loop(main)

    def test_uncaptured(self, run_in_loop: Run, capfd: pytest.CaptureFixture[str]) -> None:
        """What is not captured goes where the parent's output goes."""

        async def main() -> None:
            done = await run("echo", "seen", pty=True, capture=False)
            assert (done.stdout, done.stderr) == (None, None)

        run_in_loop(main)
        assert capfd.readouterr().out == "seen\r\n"

    def test_end_of_an_interactive_shell(self, run_in_loop: Run, tmp_path: Path) -> None:
        """A shell in its terminal ends at the hang-up, by its own trap; so do its jobs, also those that ignore it."""
        trapped, jobs = tmp_path / "trapped", tmp_path / "jobs"
        lines = (
            f"trap 'echo >{trapped}' EXIT",
            f"sleep 60 & echo $! >>{jobs}",
            f"(trap '' HUP TERM; exec sleep 60) & echo $! >>{jobs}",
            "sleep 60",
        )

        async def main() -> None:
            async with start("bash", "--norc", "-i", pty=True, stdin=PIPE, stdout=PIPE, grace=3) as process:
                assert process.stdin is not None
                for line in lines:
                    process.stdin.write(line.encode() + b"\n")
                # Between two commands bash loses a hang-up.
                while foreground_program(process.pid) != "sleep":
                    await asyncio.sleep(0.01)
            assert trapped.exists()
            for pid in jobs.read_text().split():
                stat = read_stat(int(pid))
                assert stat is None or not stat.is_alive

        run_in_loop(main)

    def test_the_shell_is_told_first(self, run_in_loop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """The shell gets the hang-up before its job gets a signal: while its job ends, bash can lose a hang-up."""
        sent: list[tuple[int, int]] = []
        send = Session._send_to

        def note(self: Session, pid: int, number: int) -> None:
            sent.append((pid, number))
            send(self, pid, number)

        monkeypatch.setattr(Session, "_send_to", note)

        async def main() -> None:
            async with start("sh", "-c", "sleep 60 & echo; wait", pty=True, stdout=PIPE) as process:
                assert process.stdout is not None
                await process.stdout.readline()
            assert sent[:2] == [(process.pid, signal.SIGTERM), (process.pid, signal.SIGHUP)]
            assert len({pid for pid, _ in sent}) == 2

        run_in_loop(main)

    def test_input_of_any_items(self, run_in_loop: Run) -> None:
        """All bytes of a buffer are written, whatever the size of its items."""

        async def main() -> None:
            async with start("sh", "-c", "stty -echo; echo; wc -c", pty=True, stdin=PIPE, stdout=PIPE) as process:
                assert process.stdin is not None
                assert await process.stdout.readline() == b"\r\n"
                process.stdin.write(memoryview(array.array("I", 10 * [0x0A787878])))
                process.stdin.write_eof()
                assert (await process.stdout.read()).split()[-1] == b"40"

        run_in_loop(main)

    def test_the_usual_size(self, run_in_loop: Run) -> None:
        """A terminal has 24 rows of 80 columns, if nothing else is said."""

        async def main() -> None:
            assert (await run("stty", "size", pty=True, encoding="ascii")).stdout == "24 80\r\n"

        run_in_loop(main)

    @pytest.mark.parametrize("text", [b"", b"two\nlines\n", b"a line without its end"])
    def test_input_has_an_end(self, run_in_loop: Run, text: bytes) -> None:
        """After the input comes an end of file, although a terminal cannot be half closed."""

        async def main() -> None:
            done = await run("sh", "-c", "stty -echo; echo; wc -c", pty=True, input=text)
            assert done.stdout.endswith(b"\r\n%d\r\n" % len(text))

        run_in_loop(main)

    def test_much_input(self, run_in_loop: Run) -> None:
        """More than a terminal can hold is written as the child reads it."""

        async def main() -> None:
            text = b"x" * 99 + b"\n"
            async with start("sh", "-c", "stty raw -echo; echo ready; exec wc -c", pty=True, stdout=PIPE) as process:
                assert await process.stdout.readline() == b"ready\n"
                process.stdin.writelines([text] * 5000)
                await process.stdin.drain()
                process.signal_tree(2)

            async with start("sh", "-c", "stty -echo; echo ready; exec wc -c", pty=True, stdout=PIPE) as process:
                assert await process.stdout.readline() == b"ready\r\n"
                process._streams.feed(text * 5000)
                assert await process.stdout.readline() == b"500000\r\n"

        run_in_loop(main)

    def test_a_dialogue(self, run_in_loop: Run) -> None:
        """A question without a line end is read, and answered."""

        async def main() -> None:
            async with start("sh", "-c", 'printf "name? "; read name; echo "hello $name"', pty=True) as process:
                assert await process.stdout.readuntil(b"? ") == b"name? "
                process.stdin.write(b"Ada\n")
                lines = [line async for line in process.stdout.lines("utf-8")]
                assert lines == ["Ada", "hello Ada"]  # the terminal echoes what is typed
                assert await process.wait() == 0

        run_in_loop(main)

    def test_a_new_size(self, run_in_loop: Run) -> None:
        """`set_window_size` tells the child by SIGWINCH."""

        async def main() -> None:
            script = "trap 'stty size; exit' WINCH; echo ready; while :; do read line; done"
            async with start("sh", "-c", script, pty=True) as process:
                assert await process.stdout.readline() == b"ready\r\n"
                with pytest.raises(ValueError, match="rows, columns"):
                    process.set_window_size(0, 80)
                process.set_window_size(50, 132)
                process.stdin.write(b"\n")
                assert b"50 132" in await process.stdout.read()

        run_in_loop(main)

    def test_interrupt_key(self, run_in_loop: Run) -> None:
        """What Ctrl-C sends is a SIGINT for the child."""

        async def main() -> None:
            async with start("sh", "-c", "echo ready; exec sleep 60", pty=True) as process:
                await process.stdout.readline()
                process.stdin.write(b"\x03")
                assert await process.wait() == -2

        run_in_loop(main)

    def test_block_left_at_once(self, run_in_loop: Run) -> None:
        """Leaving the block ends the child, and both descriptors of the terminal are closed."""

        async def main() -> None:
            async with start("sleep", "60", pty=True) as process:
                pass
            assert process.exit == -15

        run_in_loop(main)

    def test_a_file_stays_one(self, run_in_loop: Run, tmp_path: Path) -> None:
        """A stream that goes into a file still does."""

        async def main() -> None:
            script = "echo out; tty; echo err >&2"
            process = await create_subprocess_exec("sh", "-c", script, pty=True, stdout=tmp_path / "out")
            assert await process.stderr.read() == b"err\r\n"
            assert await process.wait() == 0
            assert process.stdout is None
            assert (tmp_path / "out").read_text().startswith("out\n/dev/pts/")

        run_in_loop(main)

    def test_a_program_that_is_not_there(self, run_in_loop: Run) -> None:
        """A failed start closes the terminal."""

        async def main() -> None:
            with pytest.raises(FileNotFoundError):
                await run("/no/such/program", pty=True)

        run_in_loop(main)


def test_no_terminal(run_in_loop: Run) -> None:
    """The size of a window that is not there is an error that says so."""

    async def main() -> None:
        async with start("cat", stdin=PIPE, stdout=PIPE) as process:
            with pytest.raises(ValueError, match="has no terminal"):
                process.set_window_size(24, 80)

    run_in_loop(main)


@pytest.mark.parametrize("size", [(0, 80), (24, 65536), (24,), "24x80", 24])
def test_wrong_sizes(size: object) -> None:
    """A size that is none is an error before anything is opened."""
    with (
        pytest.raises(ValueError, match=r"a window has \(rows, columns\)"),
        in_terminal(command_of(["true"], None, None, None, {"pty": size})),
    ):
        pass


@pytest.mark.skipif(not os.environ.get("GOVERNESS_PURE"), reason="the native spawner is in use")
def test_without_the_native_spawner(run_in_loop: Run) -> None:
    """The error says what is missing."""

    async def main() -> None:
        with pytest.raises(NotImplementedError, match="native spawner"):
            await run("true", pty=True)

    run_in_loop(main)


def foreground_program(pid: int) -> str:
    """Return the name of the program that leads the foreground of a process's terminal; "" if that is not known."""
    try:
        group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[5]  # tpgid: proc_pid_stat(5)
        return Path(f"/proc/{group}/comm").read_text().strip()
    except OSError:
        return ""
