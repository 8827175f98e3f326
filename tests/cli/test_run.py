"""`governess run`, as a process of its own."""

import os
import re
import select
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from .conftest import Run, Start

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs sh")

PRINT = (sys.executable, "-c", "import sys; print(*sys.argv[1:])")


def exits(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; {code}")


@pytest.mark.windows
def test_arguments(governess: Run) -> None:
    """A command is run once for each argument, and a table and a sum are told on standard error."""
    done = governess("run", "--table", *PRINT, "{}", "{#}", ":::", "a b", "$c", env={"COLUMNS": "300"})

    assert (done.returncode, sorted(done.stdout.splitlines())) == (0, ["$c 2", "a b 1"])
    assert re.search(r"^command +exit +wall +CPU +peak memory$", done.stderr, re.MULTILINE)
    assert re.search(r"^2 commands: 2 succeeded, in ", done.stderr, re.MULTILINE)


@pytest.mark.windows
def test_keep_order(governess: Run) -> None:
    """With -k output comes in the order of the commands, whichever ends first."""
    code = "import os, sys, time\nwhile sys.argv[1] == '1' and not os.path.exists('2'): time.sleep(0.01)\n"
    code += "print(sys.argv[1]); open(sys.argv[1], 'w').close()"

    done = governess("run", "-k", "-j2", sys.executable, "-c", code, "{}", ":::", "1", "2")

    assert done.stdout == "1\n2\n"


@pytest.mark.windows
def test_status_counts_the_failures(governess: Run) -> None:
    """The exit status is the number of failed commands."""
    done = governess("run", *exits("sys.exit(int(sys.argv[1]))"), ":::", "0", "3", "0", "255")

    assert done.returncode == 2
    assert re.search(r"^4 commands: 2 succeeded, 2 failed", done.stderr, re.MULTILINE)


@pytest.mark.windows
def test_timeout(governess: Run) -> None:
    """A command that takes too long is ended, told as timed out, and counts as failed."""
    done = governess("run", "--timeout", "0.3", *exits("import time; time.sleep(60)"), ":::", "x")

    assert done.returncode == 1
    assert "[1/1] timed out, " in done.stderr


@pytest.mark.windows
def test_command_that_does_not_exist(governess: Run) -> None:
    """A command that does not exist is 127, told in one line, and the others go on."""
    done = governess("run", "-j1", "{}", "--version", ":::", "no-such-command", sys.executable)

    assert (1, f"Python {sys.version.split()[0]}\n") == (done.returncode, done.stdout)
    assert done.stderr.count("governess run: cannot run no-such-command: ") == 1
    assert re.search(r"^no-such-command --version +127 ", done.stderr, re.MULTILINE)


@pytest.mark.windows
def test_lines_of_a_file(governess: Run, tmp_path: Path) -> None:
    """A file holds a command a line for the shell; blank lines and comments are skipped."""
    (tmp_path / "list").write_text("echo one\n\n  # no\necho two&& exit 3\n")

    done = governess("run", "-k", "list")

    assert (done.returncode, done.stdout.split()) == (1, ["one", "two"])


@pytest.mark.windows
def test_large_output(governess: Run) -> None:
    """More output than memory keeps is written whole, from both streams, also when it waits for its turn."""
    code = "import sys; sys.stdout.write(sys.argv[1] * 3_000_000); sys.stderr.write('e' * 2_000_000)"

    done = governess("run", "-k", "-j4", sys.executable, "-c", code, ":::", *"abcd")

    assert "".join(letter * 3_000_000 for letter in "abcd") == done.stdout
    assert done.stderr.count("e") >= 8_000_000


@posix
def test_output_is_never_torn(governess: Run) -> None:
    """What one child writes, in many small pieces, stands in one block among those of many others."""
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo {} $i; echo {} $i >&2; done"

    done = governess("run", "-j16", "sh", "-c", script, ":::", *map(str, range(150)))

    for text in (done.stdout, re.sub(r"(?m)^(?!\d+ \d$).*\n", "", done.stderr)):
        lines = [line.split() for line in text.splitlines()]
        assert len(lines) == 150 * 9
        for first in range(0, len(lines), 9):
            block = lines[first : first + 9]
            assert [[block[0][0], str(number)] for number in range(1, 10)] == block


@posix
def test_status_is_101_at_most(governess: Run) -> None:
    """More than 101 failures are exit status 101."""
    assert governess("run", "-j4", "false", ":::", *map(str, range(105))).returncode == 101


@posix
def test_not_executable(governess: Run, tmp_path: Path) -> None:
    """A file that cannot be executed is 126."""
    (tmp_path / "text").write_text("text")

    done = governess("run", "./text", ":::", "x")

    assert done.returncode == 1
    assert "governess run: cannot run ./text: Permission denied\n" in done.stderr
    assert re.search(r"^./text x +126 ", done.stderr, re.MULTILINE)


@posix
def test_signal_in_the_table(governess: Run) -> None:
    """A child that a signal ended is told by the signal's name, with its time and memory."""
    done = governess("run", "--", "sh", "-c", "kill -USR1 $$", ":::", "x")

    assert done.returncode == 1
    assert re.search(r"SIGUSR1 +\d\.\d\d s +\d\.\d\d s +≤? ?\d+\.\d MiB$", done.stderr, re.MULTILINE)


@posix
def test_standard_input_of_commands(governess: Run) -> None:
    """Commands can come from standard input; a child's own is empty."""
    done = governess("run", "-k", "-", input="echo a\ncat\necho $((1 + 1))\n")

    assert (done.returncode, done.stdout) == (0, "a\n2\n")


@posix
def test_standard_input_of_arguments(governess: Run) -> None:
    """Without `:::` the lines of standard input are the arguments, for one word only after `--`."""
    assert governess("run", "-k", "echo", "<{}>", input="a b\nc\n").stdout == "<a b>\n<c>\n"
    assert governess("run", "-k", "--", "echo", input="a b\nc\n").stdout == "a b\nc\n"


@posix
def test_arguments_never_meet_a_shell(governess: Run) -> None:
    """Blanks, quotes, dollars and semicolons in an argument reach the command as they stand."""
    evil = "$(echo x); `y` 'z' \"w\" *  \\ "

    assert evil + "\n" == governess("run", "printf", "%s\\n", "{}", ":::", evil).stdout


@posix
def test_undecodable_argument(start: Start, tmp_path: Path) -> None:
    """Bytes that are no text pass through to the command, and are spelt out in the table."""
    (tmp_path / "list").write_bytes(b"\xff\xfe\n")

    process = start("run", "echo", "::::", "list")
    stdout, stderr = process.communicate()

    assert (process.returncode, stdout) == (0, b"\xff\xfe\n")
    assert rb"\udcff\udcfe" in stderr


@posix
def test_slots(governess: Run) -> None:
    """So many run at once as -j says, and {%} numbers their slots."""
    done = governess("run", "-j3", "echo", "{%}", ":::", *map(str, range(20)))

    assert {"1", "2", "3"} >= set(done.stdout.split())


@posix
def test_all_at_once(governess: Run, tmp_path: Path) -> None:
    """With -j 0 all run at once: each can wait for all others."""
    script = ": > {}.up; while [ $(ls | grep -c up) -lt 12 ]; do sleep 0.02; done"

    assert governess("run", "-j0", "--timeout", "30", "sh", "-c", script, ":::", *map(str, range(12))).returncode == 0


@posix
def test_halt_soon(governess: Run) -> None:
    """With --halt soon a failure lets the others finish and starts no more."""
    script = "case {} in 1) exit 1;; 2) sleep 0.3; echo 2;; *) echo {};; esac"

    done = governess("run", "-j2", "--halt", "soon", "sh", "-c", script, ":::", *"12345")

    assert (done.returncode, done.stdout) == (1, "2\n")
    assert "2 commands: 1 succeeded, 1 failed, 3 not started, in " in done.stderr


@posix
def test_halt_now(governess: Run) -> None:
    """With --halt now a failure ends the others too."""
    script = "[ {} = 1 ] && exit 1; exec sleep 60"

    done = governess("run", "-j3", "--halt", "now", "sh", "-c", script, ":::", *"21345")

    assert done.returncode == 1  # that of the one that failed
    assert len(re.findall(r"^sh .* SIGTERM ", done.stderr, re.MULTILINE)) == 2
    assert "3 commands: 0 succeeded, 3 failed, 2 not started, in " in done.stderr


@posix
def test_timeout_of_one_that_will_not_end(governess: Run) -> None:
    """A command that ignores TERM is killed after the grace."""
    script = "trap '' TERM; while :; do sleep 60; done"

    done = governess("run", "--timeout", "0.3", "--grace", "0.2", "sh", "-c", script, ":::", "x")

    assert done.returncode == 1
    assert "timed out" in done.stderr


@posix
def test_grandchild_that_holds_the_pipes(governess: Run) -> None:
    """A command is over when it exits, though a process that it left behind still could write."""
    began = time.monotonic()

    done = governess("run", "-k", "sh", "-c", "sleep 20 & echo $!", ":::", "x")

    os.kill(int(done.stdout), 9)
    assert done.returncode == 0
    assert time.monotonic() - began < 10


@posix
def test_reader_that_goes_away(start: Start) -> None:
    """When the reader of standard output goes away, all ends quietly with 141."""
    process = start(
        "run", "-j4", "sh", "-c", "echo {}; [ {} = 3 ] && exec sleep 60; exit 0", ":::", *map(str, range(50))
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()

    assert process.wait() == 141
    assert b"Traceback" not in stderr
    assert b"commands:" not in stderr


@posix
def test_reader_that_goes_away_at_the_end(start: Start) -> None:
    """It is 141 too when all commands have ended and their output is not yet written."""
    process = start("run", "seq", "100000", ":::", "200000")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()

    assert process.wait() == 141
    assert b"peak memory" not in stderr


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk(start: Start) -> None:
    """Standard output that takes no more is told in one line, and ends all."""
    with open("/dev/full", "wb") as full:
        process = start("run", "-j2", "sh", "-c", "echo x; [ {} = 1 ] && exec sleep 60", ":::", "1", "2", stdout=full)
        _, stderr = process.communicate()

    assert process.returncode == 255
    assert b"governess run: cannot write to standard output: No space left on device\n" in stderr


@posix
def test_closed_standard_descriptors(governess: Run, tmp_path: Path) -> None:
    """With all standard descriptors closed the commands run nevertheless."""
    line = f"{shlex.quote(sys.executable)} -m governess run touch ::: a b <&- >&- 2>&-"

    assert subprocess.run(["sh", "-c", line], cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@posix
def test_few_descriptors() -> None:
    """Where descriptors run short, commands wait for others to end."""
    line = 'ulimit -n 40; exec "$@"'
    words = [sys.executable, "-m", "governess", "run", "-j0", "sh", "-c", "sleep 0.1; echo {}", ":::"]

    done = subprocess.run(["sh", "-c", line, "sh", *words, *map(str, range(40))], capture_output=True, text=True)

    assert (0, {str(number): 1 for number in range(40)}) == (done.returncode, Counter(done.stdout.split()))


@pytest.mark.windows
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "nowhere"], "governess run: cannot read nowhere: No such file or directory"),
        (["run", "echo", "{2}", ":::", "a"], "governess run: {2} asks for source 2"),
        (["run", "-j", "few", "x"], "governess run: Invalid value for '-j'"),
        (["run", "--timeout", "nan", "x"], "governess run: Invalid value for '--timeout'"),
        (["run", "--timeout", "0", "x"], "governess run: Invalid value for '--timeout': a timeout of 0 seconds"),
        (["run", "--halt", "later", "x"], "governess run: Invalid value for '--halt'"),
        (["run", "--watcher", "owl", "true", ":::", "x"], "governess run: "),
        (["run", "--loop", "hula", "true", ":::", "x"], "governess run: "),
        (["run", "--loop", "os:getpid", "true", ":::", "x"], "governess run: the loop 'os:getpid' cannot be used: "),
        (["run", "--loop", "no.such:x", "true", ":::", "x"], "governess run: the loop 'no.such:x' cannot be used: "),
        (["run", "--bogus"], "governess run: No such option: --bogus (see --help)"),
        (["run", "--keep-ordr"], "governess run: No such option: --keep-ordr; did you mean --keep-order?"),
        (["dance"], "governess: there is no command 'dance'; --help lists them"),
        (["stat"], "governess: there is no command 'stat' (did you mean 'start'?); --help lists them"),
    ],
)
def test_wrong_calls(governess: Run, words: list[str], complaint: str) -> None:
    """A wrong call is told in one line, and is exit status 255, as with GNU parallel."""
    done = governess(*words)

    assert (done.returncode, done.stdout) == (255 if words[0] == "run" else 2, "")
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


@posix
@pytest.mark.parametrize("watcher", ["auto", "pidfd", "threaded", "multiloop", "safe", "fast"])
@pytest.mark.parametrize("loop", ["auto", "asyncio", "uvloop"])
def test_watchers_and_loops(governess: Run, watcher: str, loop: str) -> None:
    """Every watcher works on every loop."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    script = "exit $(({} % 3))"

    done = governess(
        *("run", "-j4", "--watcher", watcher, "--loop", loop),
        *("sh", "-c", script, ":::", *map(str, range(30))),
    )

    assert done.returncode == 20
    assert "30 commands: 10 succeeded, 20 failed, in " in done.stderr


@posix
@pytest.mark.skipif(hasattr(select, "kqueue"), reason="kqueue works here")
def test_watcher_of_another_platform(governess: Run) -> None:
    """A watcher that cannot work here is a wrong call."""
    done = governess("run", "--watcher", "kqueue", "true", ":::", "x")

    assert done.returncode == 255
    assert "Traceback" not in done.stderr
    assert "kqueue" in done.stderr


@posix
@pytest.mark.parametrize(("name", "valid"), [("--watcher", "threaded"), ("--loop", "asyncio")])
def test_unknown_name(governess: Run, name: str, valid: str) -> None:
    """An unknown watcher or loop is answered with the valid ones."""
    assert valid in governess("run", name, "owl", "true", ":::", "x").stderr


@posix
def test_many_commands_are_told_rarely(governess: Run) -> None:
    """Of very many commands only failures and each tenth part are told."""
    done = governess("run", "-j4", "sh", "-c", "exit $(({} == 7))", ":::", *map(str, range(200)))

    told = re.findall(r"^\[\d+/200\] (.*)$", done.stderr, re.MULTILINE)
    assert 11 >= len(told) >= 10
    assert sum(line.startswith("exit 1, ") for line in told) == 1
