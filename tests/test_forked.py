"""The starts of `governess` by a server that forks are like those of an interpreter."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forked import Popen, Starts

if sys.platform != "linux":
    pytest.skip("CLONE_PARENT is of Linux", allow_module_level=True)

TELL = """
import json, os, signal, sys
print(json.dumps([os.getppid(), os.getcwd(), os.environ.get("X"), os.getsid(0) == os.getppid(), sys.stdin.read()]))
"""


def test_streams_and_surroundings(starts: Starts, tmp_path: Path) -> None:
    """What runs has the input, the folder, the environment and the session that its start was given."""
    words = ("run", "--quiet", "--pipe", sys.executable, "-c", TELL)
    environment = {**os.environ, "X": "a b"}
    with starts.popen(
        *words, cwd=tmp_path, env=environment, text=True, start_new_session=True, stdin=-1, stdout=-1
    ) as process:
        output, _ = process.communicate("some input\n", 60)

    assert isinstance(process, Popen) == starts.can_fork
    assert json.loads(output) == [process.pid, str(tmp_path), "a b", True, "some input\n"]


def test_exit_statuses(starts: Starts) -> None:
    """The status of an exit and the signal of a death are those of a child of this process."""
    assert starts.run("run", "exit {}", ":::", "1", "2").returncode == 2
    with starts.popen("run", "echo {}; exec sleep 60", ":::", "x", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
        process.kill()
        assert process.wait(60) == -signal.SIGKILL


def test_a_shell(starts: Starts, tmp_path: Path) -> None:
    """A shell finds a program `governess`, whose input, output and status are those of the process that is forked."""
    path = os.pathsep.join((*starts.path, os.environ["PATH"]))
    line = "seq 3 | governess run --quiet -k 'echo {}; exit {}'"
    done = subprocess.run(["sh", "-c", line], env={**os.environ, "PATH": path}, cwd=tmp_path, capture_output=True)

    assert (done.stdout, done.returncode) == (b"1\n2\n3\n", 3), done.stderr


def test_what_an_interpreter_reads_in_a_shell(starts: Starts, tmp_path: Path) -> None:
    """With such a variable a shell gets an interpreter of its own, and so does `governess python`."""
    path = os.pathsep.join((*starts.path, os.environ["PATH"]))
    tell = "python -c 'import sys; print(\"governess.cli.app\" in sys.modules, sys.flags.optimize)'"
    line = f"governess {tell}; PYTHONOPTIMIZE=1 governess {tell}; PYTHONOPTIMIZE=1 governess --version"
    done = subprocess.run(["sh", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True)

    assert done.stdout.startswith("False 0\nFalse 1\ngoverness "), done.stderr


def test_what_an_interpreter_reads(starts: Starts) -> None:
    """With other variables that an interpreter reads when it starts, one is started."""
    with starts.popen("--version", env={**os.environ, "PYTHONWARNINGS": "error"}, stdout=subprocess.PIPE) as process:
        assert not isinstance(process, Popen)
        assert process.communicate()[0].startswith(b"governess ")
