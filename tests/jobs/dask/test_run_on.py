"""`governess run --on`: commands on the workers of a cluster."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cluster, Run

pytestmark = pytest.mark.slow  # `make cluster` runs them


def test_outputs_and_statuses(module_cluster: Cluster, run: Run) -> None:
    """Commands run on the workers as they would here: their outputs, their order with -k, and their statuses."""
    done = run("-k", "--on", module_cluster.address, "echo out {}; echo err {} >&2; exit {}", ":::", "0", "3")
    assert done.stdout == "out 0\nout 3\n"
    assert "err 0\n" in done.stderr
    assert "err 3\n" in done.stderr
    assert done.returncode == 1


def test_a_command_that_is_not_there(module_cluster: Cluster, run: Run) -> None:
    """A program that a worker does not have is 127, and the message names the worker."""
    done = run("--on", module_cluster.address, "--", "no-such-program", ":::", "x")
    assert "127" in done.stderr
    assert f"cannot run no-such-program: No such file or directory on {socket.gethostname()} tcp://" in done.stderr


def test_folder_environment_and_input(module_cluster: Cluster, run: Run, tmp_path: Path) -> None:
    """A command runs in the folder of the run, reads what it was given, and knows its worker."""
    line = 'cat; pwd; echo "${GOVERNESS_WORKER%%:*}"'
    done = run("--pipe", "--on", module_cluster.address, line, input="some\nlines\n")
    assert done.stdout == f"some\nlines\n{tmp_path}\ntcp\n"


def test_large_output(module_cluster: Cluster, run: Run) -> None:
    """Output far beyond the bound under way arrives whole and in order."""
    done = run("--on", module_cluster.address, "seq", ":::", "1000000")
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 1000001))


def test_a_timeout(module_cluster: Cluster, run: Run, nobody_left: None) -> None:
    """A command that takes too long is ended over there, with all that it has started."""
    done = run("--on", module_cluster.address, "--timeout", "1", "sleep 60 & sleep 60; :", ":::", "x")
    assert "timed out" in done.stderr
    assert done.returncode == 1


def test_memory(module_cluster: Cluster, run: Run, nobody_left: None) -> None:
    """A command that uses more memory than it has declared is ended over there."""
    hungry = f"{sys.executable} -c 'x = bytes([1]) * 300_000_000; import time; time.sleep(60)' {{}}"
    done = run("--on", module_cluster.address, "--memory", "100M", hungry, ":::", "x")
    assert "memory" in done.stderr
    assert done.returncode == 1


def test_a_journal(module_cluster: Cluster, run: Run, tmp_path: Path) -> None:
    """A journal has what commands wrote, how they ended, and where; ps shows where each of them ran."""
    words = ["--journal", "journal", "--on", module_cluster.address, "--tries", "2"]
    done = run(*words, "echo out {}; echo err {} >&2; exit {}", ":::", "0", "5")
    assert done.returncode == 1
    shown = subprocess.run(
        [sys.executable, "-m", "governess", "ps", "--journal", "journal", "--all", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    jobs = json.loads(shown.stdout)["jobs"]
    assert [(job["state"], job["tries"], job["last"]["code"]) for job in jobs] == [("done", 1, 0), ("failed", 2, 5)]
    assert all(job["last"]["host"].startswith(f"{socket.gethostname()} tcp://127.0.0.1:") for job in jobs)
    assert (tmp_path / "journal/out/2.2.out").read_text() == "out 5\n"
    assert (tmp_path / "journal/out/2.2.err").read_text() == "err 5\n"
    again = run(*words, "--resume-failed", "echo again {}", ":::", "0", "5")
    assert again.returncode == 0


@pytest.mark.parametrize("journal", [None, "journal", "shared/journal"])
def test_a_shared_folder(module_cluster: Cluster, run: Run, tmp_path: Path, journal: str | None) -> None:
    """With a shared folder commands write into it, and what they wrote is where it belongs when they have ended."""
    shared = tmp_path / "shared"
    shared.mkdir()
    words = ["--shared", "shared", "--on", module_cluster.address]
    words += ["--journal", journal] if journal else []
    done = run("-k", *words, "seq {}; readlink /proc/self/fd/1 >&2", ":::", "3", "200000")
    assert done.returncode == 0
    if journal is None:
        assert done.stdout == "".join(f"{number}\n" for end in (3, 200000) for number in range(1, end + 1))
        assert f"{shared}/.governess-" in done.stderr
    else:
        assert (tmp_path / journal / "out/2.1.out").read_text().endswith("\n200000\n")
        assert f"{shared}/" in (tmp_path / journal / "out/1.1.err").read_text()
    assert list(shared.iterdir()) == ([shared / "journal"] if journal == "shared/journal" else [])


def test_ctrl_c_in_a_terminal(tmp_path: Path, nobody_left: None) -> None:
    """Ctrl-C, which reaches the workers of a try too, ends the run and its commands as it does without a cluster."""
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from governess.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "run", "--on", "local-cluster:2", "echo {}; sleep 60", ":::", "a", "b"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "governess run: SIGINT: ending what runs" in errors


def test_a_cluster_for_a_try(run: Run) -> None:
    """`--on local-cluster:2` starts two workers, and ends them."""
    done = run("-k", "--on", "local-cluster:2", "echo", ":::", "a", "b", "c")
    assert (done.stdout, done.returncode) == ("a\nb\nc\n", 0), done.stderr


def test_a_shared_folder_for_a_try(run: Run, tmp_path: Path) -> None:
    """`--shared` holds for the workers of `local-cluster` too."""
    (shared := tmp_path / "shared").mkdir()
    done = run("--on", "local-cluster:1", "--shared", "shared", "readlink /proc/self/fd/1 >&2; : {}", ":::", "a")
    assert done.returncode == 0
    assert f"{shared}/.governess-" in done.stderr
