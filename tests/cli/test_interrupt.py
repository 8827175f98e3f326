"""Ctrl-C, SIGTERM and SIGHUP: nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

from governess.children._spawn import can_die_with_parent
from guardians import children_of, guarded_by, guardians_of

from .conftest import Roll, Start

ANSWER = "exec 3>roll; echo >&3; "
STUBBORN = "trap '' TERM INT HUP; "
FAMILY = ANSWER + "(" + STUBBORN + ANSWER + "while :; do sleep 60; done) & wait"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal(start: Start, roll: Roll, number: signal.Signals, status: int) -> None:
    """A signal ends all children by TERM; the table is told, and the status is that of the signal."""
    process = start("run", "-j4", "sh", "-c", ANSWER + "exec sleep 60", ":::", *"123456")
    roll.wait_for(4)
    process.send_signal(number)
    _, stderr = process.communicate()
    roll.wait_until_all_are_gone()

    assert status == process.returncode
    assert stderr.count(b" SIGTERM ") == 4
    assert b"4 commands: 0 succeeded, 4 failed, 2 not started, in " in stderr


def test_stop_and_continue(start: Start, roll: Roll, tmp_path: Path) -> None:
    """Ctrl-Z stops the commands and governess run, which says so in one line; SIGCONT continues both."""
    # The shell waits by itself: one that starts programs is in the state D while its child is stopped in a vfork.
    os.mkfifo(tmp_path / "never")
    process = start("run", "-j2", "sh", "-c", ANSWER + "read line <never", ":::", *"12")
    roll.wait_for(2)
    process.send_signal(signal.SIGTSTP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    shells = [child for child in children_of(process.pid) if child not in guardians_of(process.pid)]
    assert len(shells) == 2
    wait_until(lambda: {state_of(pid) for pid in shells} == {"T"})
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: "T" not in {state_of(pid) for pid in shells})
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    roll.wait_until_all_are_gone()
    assert process.returncode == 130
    assert stderr.count(b"stopped, and its commands with it; fg continues them") == 1


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not can_die_with_parent(), reason="nobody tells the commands")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT])
def test_sudden_end(start: Start, roll: Roll, number: signal.Signals) -> None:
    """If governess run itself is killed, so are the commands and what they have started."""
    script = "(" + ANSWER + "exec sleep 60) & " + ANSWER + "sleep 60; :"
    process = start("run", "-j2", "sh", "-c", script, ":::", *"12")
    roll.wait_for(4)
    wait_until(lambda: [guarded_by(guardian) for guardian in guardians_of(process.pid)] == [2])
    process.send_signal(number)
    process.communicate()
    roll.wait_until_all_are_gone()

    assert process.returncode == -number


def test_left_behind(start: Start, tmp_path: Path) -> None:
    """What a command leaves running when it has ended is not ended, not even by the end of governess run."""
    leave = "exec >/dev/null 2>&1; sleep 60 & echo $! >left"
    process = start("run", "-j1", "sh", "-c", "{}", ":::", leave, "kill -KILL $PPID; sleep 60")
    process.communicate()
    time.sleep(0.2)  # for whoever might still end it
    left = int((tmp_path / "left").read_text())
    assert process.returncode == -signal.SIGKILL
    os.kill(left, signal.SIGKILL)


def test_stubborn_grandchildren(start: Start, roll: Roll) -> None:
    """Grandchildren that ignore TERM are killed after the grace, all at once."""
    process = start("run", "-j3", "--grace", "0.5", "sh", "-c", FAMILY, ":::", *"123")
    roll.wait_for(6)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate()
    roll.wait_until_all_are_gone()

    assert process.returncode == 130
    assert 0.4 < time.monotonic() - began < 5


def test_second_signal(start: Start, roll: Roll) -> None:
    """A second Ctrl-C does not wait for the grace."""
    process = start("run", "-j2", "--grace", "1000", "sh", "-c", FAMILY, ":::", *"12")
    roll.wait_for(4)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert b"governess run: SIGINT: ending what runs; " in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()
    roll.wait_until_all_are_gone()

    assert process.returncode == 130


def test_signal_while_the_reader_sleeps(start: Start, roll: Roll) -> None:
    """Ctrl-C works while nobody reads the output."""
    script = "head -c 1000000 /dev/zero; [ {} = 9 ] && " + ANSWER + "exec sleep 60"
    process = start("run", "-j2", "sh", "-c", script, ":::", "1", "9", stderr=subprocess.DEVNULL)
    roll.wait_for(1)
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=10) == 130
    roll.wait_until_all_are_gone()


def test_ignored_signal_stays_ignored(start: Start, roll: Roll) -> None:
    """Under nohup a hangup ends nothing."""
    script = ANSWER + "kill -HUP $PPID; sleep 0.1; kill -TERM $PPID; exec sleep 60"
    process = start(
        *("run", "sh", "-c", script, ":::", "x"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    roll.wait_for(1)
    process.communicate()
    roll.wait_until_all_are_gone()

    assert process.returncode == 143


def test_output_before_the_signal(start: Start, roll: Roll) -> None:
    """What a child wrote before it was ended is written."""
    process = start("run", "sh", "-c", "echo early; " + ANSWER + "exec sleep 60", ":::", "x")
    roll.wait_for(1)
    process.send_signal(signal.SIGTERM)

    assert process.communicate()[0] == b"early\n"


def test_signal_while_standard_input_is_read(start: Start) -> None:
    """Ctrl-C before the first command is quiet."""
    process = start("run", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    # The process sleeps in read() once /proc says so; until then the signal may come earlier, which is as good.
    process.stdin.write(b"echo never " * 10_000)  # and no end of the line
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate()

    assert stdout == b""
    assert process.returncode in (130, -signal.SIGINT)
