"""Programs joined by pipes of the kernel's."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from governess.children import children
from governess.subprocess import PIPE, CompletedPipeline, Pipeline, ProcessError, ProcessTimeout, cmd, pipeline


@pytest.fixture
def runs(run: Callable) -> Callable[..., CompletedPipeline[Any]]:
    """Run a pipeline, in a loop that is there for it alone."""
    return lambda line, **how: run(lambda: line.run(**how))


class TestWords:
    def test_ways_to_say_it(self) -> None:
        """`pipeline` and ``|`` make the same, of commands, lists and pipelines."""
        whole = pipeline(["ls"], ["sort", "-r"], ["head", "-1"])
        assert cmd("ls") | cmd("sort", "-r") | cmd("head", "-1") == whole
        assert ["ls"] | cmd("sort", "-r") | ["head", "-1"] == whole
        assert cmd("ls") | (["sort", "-r"] | cmd("head", "-1")) == whole
        assert ["ls"] | pipeline(["sort", "-r"], ["head", "-1"]) == whole

    def test_no_secrets(self) -> None:
        """The environment of a command is not shown."""
        assert "secret" not in repr(cmd("ls", env={"TOKEN": "secret"}) | ["cat"])

    def test_nonsense(self) -> None:
        """What is no command is an error that says so."""
        with pytest.raises(TypeError, match="no program"):
            cmd()
        with pytest.raises(TypeError, match="no command"):
            pipeline()
        with pytest.raises(TypeError, match="a list of a program"):
            pipeline("ls -l")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a list of a program"):
            cmd("ls") | None
        with pytest.raises(TypeError, match="stdout of"):
            cmd("ls", stdout=PIPE) | cmd("cat")


class TestRun:
    def test_output(self, runs: Callable) -> None:
        """The input goes through all of them; each exit is known, with its resources."""
        completed = runs(pipeline(["cat"], ["sort"], ["uniq", "-c"]), input="b\na\nb\n", encoding="ascii")
        assert completed.stdout.split() == ["1", "a", "2", "b"]
        assert completed.exits == (0, 0, 0)
        assert completed.exit == 0
        assert completed.first_failure is None
        assert [command.args for command in completed.commands] == [("cat",), ("sort",), ("uniq", "-c")]
        assert all(command.rusage is not None for command in completed.commands)

    def test_much(self, runs: Callable) -> None:
        """More than pipes hold goes through."""
        text = os.urandom(1 << 20)
        assert runs(pipeline(["cat"], ["cat"]), input=text).stdout == text

    def test_errors_both_ways(self, runs: Callable) -> None:
        """`errors` holds for what goes in as for what comes out."""
        word = "gr\udcfcn"
        assert runs(cmd("cat") | cmd("cat"), input=word, encoding="utf-8", errors="surrogateescape").stdout == word
        with pytest.raises(UnicodeEncodeError):
            runs(cmd("cat") | cmd("cat"), input=word, encoding="utf-8")

    def test_one_command(self, runs: Callable) -> None:
        """A pipeline of one command is that command."""
        assert runs(pipeline(["echo", "one"])).stdout == b"one\n"

    def test_one_who_has_enough(self, runs: Callable) -> None:
        """A program that SIGPIPE ends because the next one has read enough has not failed."""
        completed = runs(pipeline(["yes"], ["head", "-1"]), check=True)
        assert completed.stdout == b"y\n"
        assert completed.exits == (-signal.SIGPIPE, 0)
        assert completed.exit == 0

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_one_failure_ends_the_others(self, runs: Callable, place: int) -> None:
        """When one fails, wherever, the others are ended, and it is the first_failure."""
        commands = [["sleep", "60"] for _ in range(3)]
        commands[place] = ["sh", "-c", "echo no >&2; exit 3"]
        started = time.monotonic()
        completed = runs(pipeline(*commands))
        assert time.monotonic() - started < 10
        assert completed.exit == completed.exits[place] == 3
        assert completed.first_failure is completed.commands[place]
        assert completed.first_failure.stderr == b"no\n"
        assert [exit for number, exit in enumerate(completed.exits) if number != place] == [-15, -15]

    def test_one_who_does_not_listen(self, runs: Callable) -> None:
        """What ignores TERM is killed after the grace."""
        deaf = "trap '' TERM; echo; while :; do sleep 1; done"
        completed = runs(pipeline(["sh", "-c", deaf], ["sh", "-c", "read line; exit 1"]), grace=0.1)
        assert completed.exits == (-signal.SIGKILL, 1)

    def test_check(self, runs: Callable) -> None:
        """With `check`, the error is that of the program that failed."""
        with pytest.raises(ProcessError, match=r"^sh -c .*: exit 3: no$") as caught:
            runs(pipeline(["cat"], ["sh", "-c", "echo no >&2; exit 3"], ["cat"]), check=True)
        assert caught.value.exit == 3

    def test_timeout(self, runs: Callable) -> None:
        """After the timeout all are ended; the error has what had come."""
        line = pipeline(["sh", "-c", "echo out; echo err >&2; exec sleep 60"], ["cat"])
        with pytest.raises(ProcessTimeout, match=r"^sh -c .* '\|' cat: not done in 0.7 s: err$") as caught:
            runs(line, timeout=0.7, encoding="ascii")
        assert (caught.value.stdout, caught.value.stderr) == ("out\n", "err\n")

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_program_that_is_not_there(self, runs: Callable, place: int) -> None:
        """If one cannot be started, those that were are ended."""
        commands = [["sleep", "60"] for _ in range(3)]
        commands[place] = ["/no/such/program"]
        with pytest.raises(FileNotFoundError, match="/no/such/program"):
            runs(pipeline(*commands))
        assert children() == []

    def test_without_capture(self, runs: Callable, capfd: pytest.CaptureFixture[str]) -> None:
        """Without `capture`, the last one writes where this process does."""
        assert runs(pipeline(["echo", "seen"], ["cat"]), capture=False).stdout is None
        assert capfd.readouterr().out == "seen\n"

    def test_options(self, runs: Callable, tmp_path: Path) -> None:
        """Each command has its own options."""
        line = cmd("pwd", cwd=tmp_path) | cmd("sh", "-c", "cat; echo $X >&2", env={"X": "x"}, stderr=tmp_path / "err")
        completed = runs(line, encoding="utf-8")
        assert completed.stdout == f"{os.path.realpath(tmp_path)}\n"
        assert completed.commands[1].stderr is None
        assert (tmp_path / "err").read_text() == "x\n"

    def test_one_command_alone(self, run: Callable) -> None:
        """A command can be run and started by itself, any number of times."""

        async def main() -> None:
            echo = cmd("echo", "one", encoding="ascii")
            assert (await echo.run()).stdout == (await echo.run()).stdout == "one\n"
            async with cmd("cat", stdin=PIPE, stdout=PIPE).start() as process:
                process._streams.feed(b"two\n")
                assert await process.stdout.read() == b"two\n"

        run(main)


class TestStart:
    def test_a_dialogue(self, run: Callable) -> None:
        """While it runs, it can be written to and read from."""

        async def main(line: Pipeline) -> None:
            async with line.start(stdin=PIPE, stdout=PIPE) as flow:
                for text in (b"one\n", b"two\n"):
                    flow.stdin.write(text)
                    assert await flow.stdout.readline() == text
                assert flow.exit is None
                flow.stdin.close()
                assert await flow.wait() == 0
            assert flow.exits == (0, 0)

        run(lambda: main(pipeline(["cat"], ["cat"])))

    def test_left_early(self, run: Callable) -> None:
        """Leaving the block ends all of them."""

        async def main() -> None:
            async with pipeline(["sleep", "60"], ["sleep", "60"], ["sleep", "60"]).start() as flow:
                assert flow.exits == (None, None, None)
            assert flow.exits == (-15, -15, -15)
            assert await flow.wait() == -15

        run(main)

    def test_cancelled(self, run: Callable) -> None:
        """A cancellation ends all of them; a second one does so at once."""

        async def main() -> None:
            deaf = ["sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done"]
            ready = asyncio.Event()

            async def hold() -> None:
                async with pipeline(deaf, ["sh", "-c", "head -1; sleep 60"]).start(stdout=PIPE, grace=60) as flow:
                    await flow.stdout.readline()
                    ready.set()
                    await flow.wait()

            task = asyncio.ensure_future(hold())
            await ready.wait()
            task.cancel()
            await asyncio.sleep(0.1)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)

        run(main)

    def test_twice(self, run: Callable) -> None:
        """A start is good for one block, as `start` is."""

        async def main() -> None:
            starting = pipeline(["true"], ["true"]).start()
            async with starting as flow:
                assert "Process" in repr(flow)
                await flow.wait()
            with pytest.raises(RuntimeError, match="one block"):
                await starting.__aenter__()

        run(main)
