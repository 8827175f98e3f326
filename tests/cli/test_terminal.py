"""What people see on a terminal."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("needs a pseudo terminal", allow_module_level=True)

import fcntl
import pty
import struct
import termios

from tests.terminals import OnTerminal

from forked import Starts
from governess.cli.run.output import Writer
from governess.cli.run.progress import Bar, Snapshot

ASK = "printf 'password: ' >/dev/tty; read x </dev/tty; echo got $x {}"
WAIT_FOR = "while [ ! -e {} ]; do sleep 0.02; done"


def on_terminal(starts: Starts, folder: Path, *words: str, width: int = 70, stdout: int | None = None) -> str:
    """Run governess on a terminal of its own; give all that it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = starts.popen(
        *words,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        cwd=folder,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 4096):
            seen += data
            if b"1/3" in seen:
                (folder / "go").touch()
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)
    process.wait()
    return seen.decode()


def visible(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")


def test_bar(starts: Starts, tmp_path: Path) -> None:
    """A bar tells how far the commands are while they run, and is gone at the end."""
    script = "[ {} = 1 ] || " + WAIT_FOR.format("go") + "; echo {}"

    seen = visible(on_terminal(starts, tmp_path, "run", "-j3", "--table", script, ":::", *"123", width=140))

    assert re.search(r"━.* 1/3  0:00:0\d left  2 running  2, 3", seen)
    last_screen = seen.rpartition("\x1b[J")[2]
    assert "running" not in last_screen
    assert re.search(r"command +exit +wall +CPU +peak memory", last_screen)
    assert "3 commands: 3 succeeded, in " in last_screen


def test_blocks_stand_above_the_bar(starts: Starts, tmp_path: Path) -> None:
    """Output on the same terminal starts on a line of its own, with or without a newline at its end."""
    script = "[ {} = 1 ] || " + WAIT_FOR.format("go") + "; printf out{}"

    seen = visible(on_terminal(starts, tmp_path, "run", "-j3", script, ":::", *"123"))

    assert re.search(r"(?m)(?:^|\x1b\[J)out1\n.* 1/3", seen)
    assert not re.search(r"running[^\x1b]*out", seen)


def test_output_elsewhere(starts: Starts, tmp_path: Path) -> None:
    """With standard output in a file the terminal has the bar and the table alone."""
    with open(tmp_path / "out", "wb") as out:
        seen = on_terminal(starts, tmp_path, "run", "echo", "hello", ":::", "x", stdout=out.fileno())

    assert (tmp_path / "out").read_text() == "hello x\n"
    assert "1 command: 1 succeeded" in seen


@pytest.mark.parametrize("width", [40, 70])
def test_wide_commands(starts: Starts, tmp_path: Path, width: int) -> None:
    """No line of the table is wider than the terminal."""
    seen = visible(on_terminal(starts, tmp_path, "run", "false", ":::", "x" * 300, width=width))

    assert all(len(line) <= width for line in seen.splitlines()[:-1])
    assert "…" in seen


def test_commands_cannot_speak_to_the_terminal(starts: Starts, tmp_path: Path) -> None:
    """Escape sequences in a command do not reach the terminal, and rich's markup is plain text."""
    seen = on_terminal(starts, tmp_path, "run", "false", ":::", "\x1b]0;evil\x07", "[bold red]x[/]", "[link=http://x]y")

    assert "\x1b]0;" not in seen
    assert r"\x1b]0;evil\x07" in seen
    assert "[bold red]x[/]" in seen


def test_dumb_terminal(starts: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot redraw a line gets plain lines."""
    ours, theirs = pty.openpty()
    starts.popen("run", "true", ":::", "x", stderr=theirs, env={**os.environ, "TERM": "dumb"}).wait()
    seen = os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)

    assert b"[1/1] exit 0, " in seen
    assert b"\x1b" not in seen


def governess_run(*words: str) -> OnTerminal:
    return OnTerminal(sys.executable, "-m", "governess", "run", *words)


# Takes single keys, as less does, reads its input to the end, and ends when a key is pressed.
PAGER = """
import os, sys, termios, tty
terminal = os.open("/dev/tty", os.O_RDWR)
before = termios.tcgetattr(terminal)
tty.setcbreak(terminal)
print(f"<{sys.stdin.read()!r}", flush=True)
os.close(os.open(sys.argv[1], os.O_WRONLY))
os.read(terminal, 1)
print(">", flush=True)
termios.tcsetattr(terminal, termios.TCSANOW, before)
"""


def test_a_pager(tmp_path: Path) -> None:
    """While a pager has the terminal nothing else is written there; it sees the end of the output, then we report."""
    (tmp_path / "pager.py").write_text(PAGER)
    os.mkfifo(tmp_path / "read")
    line = '"$0" -m governess run -j1 "sleep 0.5; echo {}; test {} = a" ::: a b | "$0" pager.py read'
    with OnTerminal("sh", "-c", f"cd '{tmp_path}'; {line}", sys.executable) as terminal:
        (tmp_path / "read").read_bytes()
        terminal.type("q")
        assert terminal.wait_for_end() == 0
        assert "<'a\\nb\\n'\n>\n" in terminal.seen
        assert "2 commands: 1 succeeded, 1 failed" in terminal.seen.partition(">\n")[2]


def test_tty() -> None:
    """With --tty each command has the terminal, one after the other."""
    with governess_run("--tty", "--", "sh", "-c", ASK, ":::", "1", "2") as terminal:
        for number in "12":
            terminal.wait_for("password: ")
            terminal.type("secret\n")
            terminal.wait_for(f"got secret {number}\n")
        terminal.wait_for("2 commands: 2 succeeded")
        assert terminal.wait_for_end() == 0


def test_tty_and_arguments_from_a_pipe() -> None:
    """With --tty a command reads from the terminal, also when its arguments come from standard input."""
    line = f"printf 'a\\nb\\n' | {sys.executable} -m governess run --tty 'read x; echo got $x {{}}'"
    with OnTerminal("sh", "-c", line) as terminal:
        terminal.type("1\n2\n")
        terminal.wait_for("got 1 a\n")
        terminal.wait_for("got 2 b\n")
        assert terminal.wait_for_end() == 0


def test_tty_and_interrupt() -> None:
    """With --tty Ctrl-C ends the command that has the terminal, and the run."""
    with governess_run("--tty", "--", "sh", "-c", "echo running; exec sleep 60 {}", ":::", "1", "2") as terminal:
        terminal.wait_for("running")
        terminal.wait_for_foreground()
        terminal.type("\x03")
        terminal.wait_for("1 failed, 1 not started")
        assert terminal.wait_for_end() == 130


def test_tty_and_stop(tmp_path: Path) -> None:
    """With --tty Ctrl-Z stops the command and the run; fg continues both."""
    (tmp_path / "ask").write_text(ASK.replace("{}", "$1"))
    with OnTerminal("bash", "--norc", "--noprofile", "--noediting", "-i") as terminal:
        terminal.type(f"PS1='ready> '; {sys.executable} -m governess run --tty -- sh {tmp_path}/ask ::: 1\n")
        terminal.wait_for("password: ")
        terminal.wait_for_reader("sh")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.wait_for("ready> ")
        terminal.type("fg\n")
        terminal.wait_for("governess")
        terminal.type("secret\n")
        terminal.wait_for("got secret 1\n")
        terminal.wait_for("1 command: 1 succeeded")


def test_without_tty() -> None:
    """A command that reads from the terminal fails without --tty, with one line that tells of it; nothing hangs."""
    with governess_run("--", "sh", "-c", f"trap 'exit 0' TERM; {ASK}", ":::", "1") as terminal:
        terminal.wait_for("governess run: sh -c ")
        terminal.wait_for(": stopped by SIGTTIN, since it reads from the terminal, which another process group has; ")
        terminal.wait_for("--tty gives each command the terminal, one after the other")
        terminal.wait_for("no terminal")
        terminal.wait_for("1 command: 0 succeeded, 1 failed")
        assert terminal.wait_for_end() == 1


def test_tty_and_jobs(starts: Starts) -> None:
    """--tty with several jobs at once is refused."""
    done = starts.run("run", "--tty", "-j2", "true", ":::", "1", text=True)

    assert done.returncode == 255
    assert "--tty runs one command after the other: leave out --jobs, or give 1" in done.stderr


def snapshot(width: int, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[str, int]:
    monkeypatch.setenv("COLUMNS", str(width))
    now = Snapshot(**{"finished": 30, "failed": 2, "running": 4, "known": 120, "names": ("a b", "c" * 50), **more})
    line, cells = Bar(Writer(lambda error: None), lambda: now)._line(now, 60.0)
    return re.sub(r"\x1b\[[0-9;]*m", "", line), cells


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (200, "━" * 7 + "─" * 23 + " 30/120  2 failed  0:03:00 left  4 running  a b, " + "c" * 50),
        (100, "━" * 7 + "─" * 23 + " 30/120  2 failed  0:03:00 left  4 running  a b, ccccccccccccccccccc…"),
        (80, "━━━━━━──────────────────── 30/120  2 failed  0:03:00 left  4 running  a b"),
        (60, "━━━━───────────── 30/120  2 failed  0:03:00 left  4 running"),
        (40, "━━────── 30/120  2 failed  0:03:00 left"),
        (30, "━━─────── 30/120  2 failed"),
        (20, "30/120  2 failed"),
        (10, "30/120  2"),
    ],
)
def test_width_of_the_bar(width: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar never takes the last column, and gives up its least important parts first."""
    seen, cells = snapshot(width, monkeypatch)

    assert (seen, cells) == (line, len(line))
    assert cells < width


def test_bar_of_an_unknown_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the input has not ended, there is neither a bar nor an end in sight."""
    assert snapshot(80, monkeypatch, is_complete=False)[0].startswith("30/120+  2 failed  0:01:00  4 running  a b, c")


def test_names_cannot_speak_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences in what runs are spelt out in the bar."""
    assert snapshot(100, monkeypatch, names=("\x1b]0;evil\x07",))[0].endswith(r"\x1b]0;evil\x07")
