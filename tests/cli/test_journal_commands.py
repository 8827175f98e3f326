"""`governess ps`, `governess logs` and `governess report`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)

from .conftest import Run, Start

JOBS = """
[jobs.fetch]
run = "sleep 0.1; echo fetched"
[jobs.part]
each = ["1", "2"]
run = "echo part {}; echo 'oops \\u001b[31m' >&2; [ {} = 1 ]"
after = ["fetch"]
[jobs.sum]
run = ["true"]
after = ["part"]
"""


@pytest.fixture
def journal(governess: Run, tmp_path: Path) -> Path:
    (tmp_path / "jobs.toml").write_text(JOBS)
    assert governess("run", "--tries", "2", "--journal", "journal", "jobs.toml").returncode == 1
    return tmp_path / "journal"


@pytest.mark.parametrize("command", ["ps", "logs", "top"])
def test_neither_services_nor_a_journal(governess: Run, command: str) -> None:
    """Where there are no services, the error tells how the command shows the jobs of a journal."""
    pytest.importorskip("textual")
    done = governess(command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is neither a governess.toml nor a Procfile here" in done.stderr
    assert "for the jobs of a journal, give --journal DIR" in done.stderr
    assert "--journal" not in governess("down").stderr


@pytest.mark.usefixtures("journal")
def test_ps(governess: Run) -> None:
    """Counts are shown, and the jobs that failed or have not run; all of them if that is asked."""
    text = governess("ps", "--journal", "journal").stdout.splitlines()
    assert text[0] == "4 jobs: 2 done, 1 failed, 1 skipped; not running"
    assert text[1].split() == ["job", "state", "tries", "time", "exit", "command"]
    assert [line.split()[:3] for line in text[2:]] == [["3", "failed", "2"], ["4", "skipped", "0"]]
    assert "sum: true (part[2] has not succeeded)" in text[3]
    assert len(governess("ps", "--journal", "journal", "--all").stdout.splitlines()) == 6
    failed = governess("ps", "--journal", "journal", "--failed").stdout.splitlines()
    assert [line.split()[0] for line in failed[2:]] == ["3"]


@pytest.mark.usefixtures("journal")
def test_ps_in_json(governess: Run) -> None:
    """JSON holds the same, and how each job last ended."""
    found = json.loads(governess("ps", "--journal", "journal", "--failed", "--json").stdout)
    assert found["counts"] == {"done": 2, "failed": 1, "skipped": 1}
    assert found["runner"] is None
    (job,) = found["jobs"]
    assert (job["name"], job["state"], job["tries"], job["last"]["code"]) == ("part[2]", "failed", 2, 1)
    assert job["after"] == ["fetch"]


def test_ps_while_it_runs(governess: Run, start: Start, tmp_path: Path) -> None:
    """A run can be looked at while it goes on, and followed to its end."""
    os.mkfifo(tmp_path / "go")
    process = start("run", "--journal", "journal", "-j1", "read line <go; echo {}", ":::", "a", "b")
    deadline = time.monotonic() + 30
    while "1 running" not in (text := governess("ps", "--journal", "journal").stdout):
        assert time.monotonic() < deadline
    assert f"2 jobs: 1 running, 1 waiting; run by process {process.pid}" in text
    follower = start("ps", "--journal", "journal", "--follow", stdout=subprocess.PIPE)
    assert follower.stdout is not None
    assert b"2 jobs: " in follower.stdout.readline()
    (tmp_path / "go").write_text("\n")
    while "1 done, 1 running" not in governess("ps", "--journal", "journal").stdout:
        assert time.monotonic() < deadline
    (tmp_path / "go").write_text("\n")
    assert process.wait(30) == 0
    told = follower.communicate(timeout=30)[0].decode()
    assert "1.1 done 0 " in told
    assert "2.1 done 0 " in told
    assert "not running" in governess("ps", "--journal", "journal").stdout


@pytest.mark.usefixtures("journal")
def test_logs(governess: Run) -> None:
    """What a job wrote is written to the same streams; a job is named, or numbered, and so are its starts."""
    done = governess("logs", "--journal", "journal", "part[2]")
    assert (done.returncode, done.stdout, done.stderr) == (0, "part 2\n", "oops \x1b[31m\n")
    assert governess("logs", "--journal", "journal", "2", "--stdout").stdout == "part 1\n"
    assert governess("logs", "--journal", "journal", "--try", "1", "--stderr", "3").stdout == ""


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["ps", "--journal", "nowhere"],
            "governess ps: there is no journal in nowhere: governess run",
        ),
        (["logs", "--journal", "journal", "x"], "governess logs: the journal journal has no job 'x': "),
        (["logs", "--journal", "journal", "sum"], "governess logs: job sum has not been started"),
        (
            ["logs", "--journal", "journal", "--try", "3", "part[2]"],
            "governess logs: job part[2] was started 2 times",
        ),
        (["report", "nowhere"], "governess report: there is no journal in nowhere"),
        (["report", "journal", "--trace", "no/where"], "governess report: cannot write no/where: No such file"),
    ],
)
def test_wrong_calls(governess: Run, words: list[str], complaint: str) -> None:
    """What cannot be shown is told in one line."""
    done = governess(*words)
    assert done.returncode == 255
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("journal")
def test_report(governess: Run, tmp_path: Path) -> None:
    """The report has the failed jobs with the end of what they wrote, the critical path, and the slowest."""
    text = governess("report", "journal").stdout
    assert text.startswith("4 jobs: 2 done, 1 failed, 1 skipped\n1 run, 4 starts, at most 2 at once\n")
    assert "\x1b" not in text
    assert "The end of what job 3 wrote\n  oops \\x1b[31m\n" in text
    path = text.partition("Critical path\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in path[1:2]] == ["1"]
    assert len(path) == 3

    found = json.loads(governess("report", "journal", "--json", "--trace", "trace").stdout)
    assert [len(job["history"]) for job in found["jobs"]] == [1, 1, 2, 0]
    assert found["critical_path"][0] == 1
    assert found["at_once"] == 2
    events = json.loads((tmp_path / "trace").read_text())["traceEvents"]
    bars = [event for event in events if event["ph"] == "X"]
    assert len(bars) == 4
    assert {event["tid"] for event in bars} == {1, 2}
    assert all(event["dur"] >= 0 for event in bars)


def test_a_folder_that_cannot_be_written(governess: Run, journal: Path) -> None:
    """A journal can be read where nothing can be written."""
    if os.geteuid() == 0:
        read_only = journal.parent / "read-only"
        read_only.mkdir()
        mount = ["mount", "--bind", "-o", "ro", str(journal), str(read_only)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("needs a file system that can be mounted")
    else:
        read_only = journal
        journal.chmod(0o500)
    try:
        done = governess("ps", "--journal", str(read_only))
        assert done.stdout.startswith("4 jobs: 2 done, 1 failed, 1 skipped; not running")
    finally:
        if read_only is journal:
            journal.chmod(0o700)
        else:
            subprocess.run(["umount", "-l", str(read_only)], check=True)


def test_after_a_kill(governess: Run, start: Start, tmp_path: Path) -> None:
    """After the death of a run its jobs are shown as it has left them."""
    process = start("run", "--journal", "journal", "touch up; exec sleep 60; : {}", ":::", "a")
    while not (tmp_path / "up").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    process.kill()
    process.wait()
    assert "1 job: 1 running; not running" in governess("ps", "--journal", "journal").stdout
    found = json.loads(governess("ps", "--journal", "journal", "--json").stdout)
    os.kill(found["jobs"][0]["last"]["pid"], signal.SIGKILL)
