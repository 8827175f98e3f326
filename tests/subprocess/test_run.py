"""run() runs a program to its end, and tells what came of it."""

import asyncio
import functools
import io
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess.children import children
from governess.subprocess import DEVNULL, PIPE, STDOUT, Completed, Line, ProcessError, ProcessTimeout, start
from governess.subprocess import run as run_program


@pytest.fixture
def runs(run: Callable) -> Callable[..., Completed[Any]]:
    """Run a program, in a loop that is there for it alone."""
    return lambda *argv, **options: run(lambda: run_program(*argv, **options))


class TestCompleted:
    def test_what_came(self, runs: Callable) -> None:
        """It has what was started, how that ended, what it wrote, and what it took."""
        completed = runs("sh", "-c", "echo out; echo err >&2; exit 3")
        assert completed.args == ("sh", "-c", "echo out; echo err >&2; exit 3")
        assert (completed.exit, completed.stdout, completed.stderr) == (3, b"out\n", b"err\n")
        assert 0 < completed.duration < 60
        assert completed.rusage.ru_utime >= 0
        assert pickle.loads(pickle.dumps(completed)) == completed

    def test_as_a_completed_process(self, runs: Callable) -> None:
        """It has what `subprocess.CompletedProcess` has under the same names, and a `repr` of one short line."""
        completed = runs("sh", "-c", "printf %9999d 0; exit 3")
        assert completed.returncode == 3
        with pytest.raises(ProcessError, match="exit 3"):
            completed.check_returncode()
        assert repr(completed) == "<Completed \"sh -c 'printf %9999d 0; exit 3'\": exit 3, 9999 in stdout>"
        runs("true").check_returncode()

    def test_text(self, runs: Callable) -> None:
        """With an encoding, what it reads and writes is text."""
        completed = runs("cat", input="grün\n", encoding="latin-1")
        assert completed.stdout == "grün\n"
        assert completed.stderr == ""
        assert runs("printf", "a\\377", encoding="utf-8", errors="replace").stdout == "a\ufffd"
        with pytest.raises(UnicodeDecodeError):
            runs("printf", "a\\377", encoding="utf-8")

    def test_errors_both_ways(self, runs: Callable) -> None:
        """`errors` holds for what goes in as for what comes out."""
        word = "gr\udcfcn"
        assert runs("cat", input=word, encoding="utf-8", errors="surrogateescape").stdout == word
        with pytest.raises(UnicodeEncodeError):
            runs("cat", input=word, encoding="utf-8")

    def test_coroutine_function_listens(self, runs: Callable) -> None:
        """A coroutine function as listener is refused before anything runs; one in disguise, at its first line."""

        async def listen(line: Line) -> None:
            pass

        class Listener:
            async def __call__(self, line: Line) -> None:
                pass

        for listener in (listen, functools.partial(listen), Listener(), {"h": listen}, lambda line: listen(line)):
            with pytest.raises(TypeError, match="plain function"):
                runs("echo", "hi", on_line=listener)

    def test_much(self, runs: Callable) -> None:
        """However much goes in and comes out, nothing waits for ever, and nothing is lost."""
        data = os.urandom(5_000_000)
        assert runs("cat", input=data).stdout == data

    def test_input_that_nobody_reads(self, runs: Callable) -> None:
        """A program that does not read its input is no error."""
        assert runs("true", input=bytes(1_000_000)).exit == 0

    def test_no_input(self, runs: Callable) -> None:
        """Without an input it has an empty one."""
        assert runs("cat").stdout == b""

    def test_one_stream(self, runs: Callable) -> None:
        """With STDOUT as its standard error, both come in one."""
        completed = runs("sh", "-c", "echo a; echo b >&2", stderr=STDOUT)
        assert (completed.stdout, completed.stderr) == (b"a\nb\n", None)

    def test_not_captured(self, runs: Callable, capfdbinary: pytest.CaptureFixture) -> None:
        """What is not captured goes where the parent's goes."""
        completed = runs("echo", "seen", capture=False)
        assert (completed.stdout, completed.stderr) == (None, None)
        assert capfdbinary.readouterr().out == b"seen\n"

    def test_options(self, runs: Callable, tmp_path: Any) -> None:
        """Popen's options are understood."""
        completed = runs("sh", "-c", "pwd; echo $WORD; umask", cwd=tmp_path, env={"WORD": "w"}, umask=0o27)
        assert completed.stdout == os.fsencode(tmp_path) + b"\nw\n0027\n"

    def test_input_and_stdin(self, runs: Callable) -> None:
        """An input and a standard input cannot both be given."""
        with pytest.raises(ValueError, match="stdin and input"):
            runs("cat", input=b"", stdin=PIPE)

    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({"input": "text"}, TypeError, "text if an encoding is given, not str"),
            ({"input": 5, "encoding": "ascii"}, TypeError, "not int"),
            ({"encoding": "no such"}, LookupError, "unknown encoding"),
            ({"input": "x", "encoding": "no such"}, LookupError, "unknown encoding"),
        ],
    )
    def test_wrong_input(self, runs: Callable, options: dict[str, Any], error: type[Exception], text: str) -> None:
        """An input that is neither bytes nor text that can be encoded is told before anything runs."""
        with governess.observe(on_spawn=lambda child: pytest.fail("it was started")), pytest.raises(error, match=text):
            runs("cat", **options)


class TestCheck:
    def test_failure(self, runs: Callable) -> None:
        """With check, a failure is a CalledProcessError, which says the last words of the program."""
        with pytest.raises(ProcessError) as caught:
            runs("sh", "-c", "echo out; echo one >&2; echo two >&2; exit 3", check=True)
        error = caught.value
        assert isinstance(error, subprocess.CalledProcessError)
        assert (error.exit, error.returncode, error.stdout, error.stderr) == (3, 3, b"out\n", b"one\ntwo\n")
        assert error.cmd == error.completed.args
        assert str(error).endswith("exit 3: two")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)

    def test_signal(self, runs: Callable) -> None:
        """A signal is a failure, told by its name."""
        with pytest.raises(ProcessError, match="SIGKILL"):
            runs("sh", "-c", "kill -9 $$", check=True)

    def test_success(self, runs: Callable) -> None:
        """Success is none."""
        assert runs("true", check=True).exit == 0


@pytest.mark.usefixtures("_reach")
class TestTimeout:
    def test_partial_output(self, runs: Callable) -> None:
        """After the timeout the tree is ended, and what had come is told."""
        with pytest.raises(ProcessTimeout) as caught:
            runs("sh", "-c", "echo part; sleep 60 & sleep 60", timeout=0.7, encoding="utf-8")
        error = caught.value
        assert isinstance(error, TimeoutError)
        assert isinstance(error, subprocess.TimeoutExpired)
        assert (error.cmd[0], error.output) == ("sh", error.stdout)
        assert (error.stdout, error.stderr, error.exit, error.timeout) == ("part\n", "", -signal.SIGTERM, 0.7)
        assert "not done in 0.7 s" in str(error)
        assert (error.errno, error.strerror, error.filename) == (None, None, None)
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), copy.stdout, copy.exit) == (str(error), error.stdout, error.exit)
        assert children() == []

    def test_last_words(self, runs: Callable) -> None:
        """What it says when it gets TERM is told too, and its exit is its own."""
        with pytest.raises(ProcessTimeout) as caught:
            runs("sh", "-c", "trap 'echo bye; exit 9' TERM; while :; do sleep 0.01; done", timeout=0.7)
        assert (caught.value.stdout, caught.value.exit) == (b"bye\n", 9)

    def test_text_cut_in_a_character(self, runs: Callable) -> None:
        """A character that a timeout has cut in two does not hide the timeout."""
        with pytest.raises(ProcessTimeout) as caught:
            runs("sh", "-c", "printf 'a\\303'; sleep 60", timeout=0.7, encoding="utf-8")
        assert caught.value.stdout == "a\ufffd"

    def test_in_time(self, runs: Callable) -> None:
        """A timeout that is not reached changes nothing."""
        assert runs("true", timeout=60).exit == 0

    def test_timeouts_of_others(self, run: Callable) -> None:
        """A timeout around it is the other's, and ends the tree as well."""

        async def main() -> None:
            with pytest.raises(TimeoutError) as caught:
                await asyncio.wait_for(run_program("sh", "-c", "sleep 60 & sleep 60", timeout=60), 0.1)
            assert not isinstance(caught.value, ProcessTimeout)
            assert children() == []

        run(main)

    def test_grandchild_that_holds_the_pipes(self, runs: Callable) -> None:
        """It returns at the exit and a bounded drain, whoever holds the pipes; with the group, the holder ends."""
        began = time.monotonic()
        completed = runs("sh", "-c", "sleep 60 & echo $!", drain=0.1)
        assert time.monotonic() - began < 5
        assert completed.exit == 0
        assert not _lives(int(completed.stdout))


class TestListening:
    def test_tee(self, runs: Callable) -> None:
        """A file gets a copy of both outputs."""
        copy = io.BytesIO()
        completed = runs("sh", "-c", "echo a; echo b >&2", tee=copy)
        assert sorted(copy.getvalue().split()) == [b"a", b"b"]
        assert completed.stdout == b"a\n"

    def test_tee_alone(self, runs: Callable) -> None:
        """Without capture, the copy is all there is."""
        copy = io.BytesIO()
        assert runs("echo", "a", tee=copy, capture=False).stdout is None
        assert copy.getvalue() == b"a\n"

    def test_on_line(self, runs: Callable) -> None:
        """Each line is told, with its stream, also the last one without an end."""
        seen: list[Line[str]] = []
        runs("sh", "-c", "echo a; printf b >&2", on_line=seen.append)
        assert sorted(seen) == [("stderr", "b"), ("stdout", "a")]

    def test_patterns(self, runs: Callable) -> None:
        """A mapping tells which lines are for whom."""
        errors: list[str] = []
        warnings: list[str] = []
        runs(
            "printf",
            "%s\\n",
            "Error: no",
            "fine",
            "WARNING: old",
            on_line={
                "^Error": lambda line: errors.append(line.text),
                re.compile("warning", re.IGNORECASE): lambda line: warnings.append(line.text),
            },
        )
        assert (errors, warnings) == (["Error: no"], ["WARNING: old"])

    def test_while_it_runs(self, run: Callable) -> None:
        """Lines are told while the program runs."""

        async def main() -> None:
            heard = asyncio.Event()
            running = asyncio.create_task(run_program("sh", "-c", "echo; sleep 60", on_line=lambda line: heard.set()))
            await asyncio.wait_for(heard.wait(), 10)
            assert not running.done()
            running.cancel()
            await asyncio.wait([running])

        run(main)

    def test_exception(self, runs: Callable) -> None:
        """What a callback raises ends the program, and is raised."""

        def fail(line: Line[str]) -> None:
            raise ZeroDivisionError(line.text)

        with pytest.raises(ZeroDivisionError, match="bad"):
            runs("sh", "-c", "echo fine; echo bad; sleep 60", on_line={"bad": fail})
        assert children() == []

    @pytest.mark.parametrize(
        "bad",
        [
            {"on_line": {"(": print}},
            {"on_line": print, "encoding": "utf-16"},
            {"on_line": print, "stdout": DEVNULL, "stderr": DEVNULL},
        ],
    )
    def test_mistakes(self, runs: Callable, bad: dict[str, Any]) -> None:
        """A pattern that is none, an encoding without lines, or nothing to listen to is told before anything runs."""
        with pytest.raises((re.error, ValueError)):
            runs("true", **bad)


def test_many_at_once(run: Callable) -> None:
    """A hundred at once is no trouble."""

    async def main() -> list[Completed[bytes]]:
        return await asyncio.gather(*(run_program("echo", str(number)) for number in range(100)))

    assert [int(each.stdout) for each in run(main)] == list(range(100))


def test_not_found(runs: Callable) -> None:
    """A program that is not there is the same error as ever."""
    with pytest.raises(FileNotFoundError):
        runs("no-such-program")


def test_python(runs: Callable) -> None:
    """A path object is a program too."""
    from pathlib import Path

    assert runs(Path(sys.executable), "-c", "print(1)").stdout == b"1\n"


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except FileNotFoundError:
        return False


def test_habits_of_subprocess() -> None:
    """A list as the first argument and capture_output=True are accepted; what is written in another way says how."""
    assert asyncio.run(run_program(["echo", "a b"], capture_output=True)).stdout == b"a b\n"
    off = {"shell": False, "text": None, "universal_newlines": False}
    assert asyncio.run(run_program("echo", **off)).exit == 0
    for wrong, advice in (
        ({"shell": True}, "run('sh', '-c', line)"),
        ({"text": True}, "encoding='utf-8'"),
        ({"universal_newlines": True}, "encoding='utf-8'"),
        ({"capture_output": False}, "capture=False"),
        ({"cwdd": 4}, "a child has no option 'cwdd'; did you mean 'cwd'?"),
        ({"checks": True}, "did you mean 'check'?"),
        ({"zzz": 1}, "governess.subprocess.run and subprocess.Popen say which there are"),
        ({"timeout": "3"}, "the timeout is a number of seconds, not '3'"),
        ({"stdin": "words"}, "what the program reads is given as input"),
    ):
        call: Any = run_program("echo", **wrong)
        with pytest.raises(TypeError, match=re.escape(advice)):
            asyncio.run(call)
    with pytest.raises(TypeError, match="there is no program to start"):
        asyncio.run(run_program([]))


def test_options_of_run_in_a_block() -> None:
    """An option of `run` that a block has not is an error that says what to write; so is `await start(…)`."""
    for wrong, advice in (
        ({"timeout": 3}, "asyncio.timeout()"),
        ({"input": b"x"}, "stdin=PIPE"),
        ({"check": False}, "compare process.exit with 0"),
        ({"encoding": "utf-8"}, "process.stdout.lines('utf-8')"),
        ({"text": True}, "process.stdout.lines('utf-8')"),
        ({"sessions": True}, "did you mean 'session'?"),
    ):
        options: Any = wrong
        with pytest.raises(TypeError, match=re.escape(advice)):
            start("true", **options)

    async def main() -> None:
        block: Any = start("true")
        with pytest.raises(TypeError, match="async with"):
            await block

    asyncio.run(main())


def test_listener_without_an_encoding() -> None:
    """Lines are text also where the caller gets bytes, which need not be UTF-8."""
    lines: list[str] = []
    done = asyncio.run(run_program("printf", r"a\377b\n", on_line=lambda line: lines.append(line.text)))
    assert done.stdout == b"a\xffb\n"
    assert lines == ["a\N{REPLACEMENT CHARACTER}b"]


def test_last_words() -> None:
    """An error quotes the last line with words that the program has written to its standard error."""
    script = "echo 'c.c:1: error: no brace' >&2; echo '    |    ^' >&2; exit 1"
    with pytest.raises(ProcessError, match=r"exit 1: c\.c:1: error: no brace$"):
        asyncio.run(run_program("sh", "-c", script, check=True))
