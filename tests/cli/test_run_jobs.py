"""What `governess run` does by the job runner: tries, limits, pools, files of jobs, logs."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)

from governess.cli.run.execution import parse_cpus

from .conftest import Run


def test_tries(governess: Run, tmp_path: Path) -> None:
    """A command that fails is run again as often as is said, and counts as what its last try was."""
    done = governess("run", "--retries", "3", "echo {} >>log; [ $(wc -l <log) -ge 3 ]", ":::", "x")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "log").read_text() == "x\n" * 3


def test_tries_that_are_used_up(governess: Run, tmp_path: Path) -> None:
    """After the last try the command counts as failed, once."""
    done = governess("run", "--tries", "2", "echo {} >>log; exit 4", ":::", "x")
    assert done.returncode == 1
    assert (tmp_path / "log").read_text() == "x\n" * 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--halt", "now,fail=1"], 3),
        (["--halt", "soon,fail=1"], 3),
        (["--halt", "now,success=1"], 0),
        (["--halt", "now,done=3"], 2),
        (["--halt", "soon,fail=50%"], 50),
        ([], 2),
    ],
)
def test_exit_status(governess: Run, words: list[str], status: int) -> None:
    """The exit status follows GNU parallel."""
    assert governess("run", "-j1", *words, "exit {}", ":::", "0", "3", "4", "0").returncode == status


def test_delay(governess: Run, tmp_path: Path) -> None:
    """Some time goes by between two starts."""
    governess("run", "-j3", "--delay", "200ms", "date +%s.%N >>log; echo {}", ":::", "1", "2", "3")
    starts = sorted(map(float, (tmp_path / "log").read_text().split()))
    assert starts[1] - starts[0] > 0.1
    assert starts[2] - starts[0] > 0.3


def test_memfree_holds_starts_back(governess: Run, tmp_path: Path) -> None:
    """While less memory is free than is said, nothing starts, and nothing is ended."""
    done = governess("run", "--memfree", "1M", "--load", "10000", "echo {}", ":::", "x")
    assert (done.returncode, done.stdout) == (0, "x\n")


def test_memory(governess: Run) -> None:
    """A command that uses more than it declared is ended as `memory`."""
    hungry = f"{sys.executable} -c 'x = bytearray(300 << 20); import time; time.sleep(60)'"
    done = governess("run", "-j2", "--memory", "100M", ":::", hungry, "sleep 0.3")
    assert done.returncode == 1
    assert re.search(r"\] memory, ", done.stderr)
    assert "2 commands: 1 succeeded, 1 failed" in done.stderr


def test_pools(governess: Run) -> None:
    """A command that needs more than there is, is a wrong call; tokens have numbers."""
    done = governess("run", "--token", "gpu=2", "--pool", "gpu=1", "true", ":::", "x")
    assert done.returncode == 255
    assert "each job needs 2 tokens 'gpu', and the pool has 1" in done.stderr
    done = governess("run", "-j4", "--token", "gpu", "--pool", "gpu=1", "echo $GOVERNESS_TOKEN_GPU {}", ":::", *"abc")
    assert sorted(done.stdout.split("\n")) == ["", "0 a", "0 b", "0 c"]


def test_timeout_by_the_median(governess: Run) -> None:
    """A percentage of the median is a timeout as well."""
    done = governess("run", "-j2", "--timeout", "500%", "sleep {}", ":::", "0.1", "0.1", "0.1", "0.1", "60")
    assert done.returncode == 1
    assert "timed out" in done.stderr


def test_folder(governess: Run, tmp_path: Path) -> None:
    """Commands run in the folder of --wd; one that does not exist is a wrong call."""
    (tmp_path / "sub").mkdir()
    assert governess("run", "--wd", "sub", "pwd; : {}", ":::", "x").stdout == f"{tmp_path}/sub\n"
    done = governess("run", "--wd", "nowhere", "pwd", ":::", "x")
    assert (done.returncode, done.stderr) == (255, "governess run: --wd nowhere: there is no such folder\n")


def test_nice(governess: Run) -> None:
    """The commands have a higher niceness."""
    nice = os.nice(0)
    assert governess("run", "--nice", "3", "nice; : {}", ":::", "x").stdout == f"{min(nice + 3, 19)}\n"


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1e7", ""])
def test_wrong_cpus(wrong: str) -> None:
    """What is no number of processors is told."""
    assert parse_cpus("0.5") == 0.5
    with pytest.raises(ValueError, match="is no number of processors above 0"):
        parse_cpus(wrong)


def test_joblog_of_a_journal(governess: Run, tmp_path: Path) -> None:
    """With a journal, which has the outputs, the log counts what was written as well; a failure has its status."""
    done = governess("run", "-j1", "--journal", "journal", "--joblog", "log", "printf {}; exit {}", ":::", "7", "0")
    assert done.returncode == 1
    lines = [line.split("\t") for line in (tmp_path / "log").read_text().splitlines()[1:]]
    assert [(line[5], line[6], line[8]) for line in lines] == [
        ("1", "7", "printf 7; exit 7"),
        ("1", "0", "printf 0; exit 0"),
    ]


def test_joblog(governess: Run, tmp_path: Path) -> None:
    """The log has the columns of GNU parallel."""
    commands = ["echo hello", "exit 3", "kill -9 $$"]
    (tmp_path / "list").write_text("\n".join(commands) + "\n")
    began = time.time()
    assert governess("run", "-j1", "--joblog", "log", "list").returncode == 2
    head, *rows = (tmp_path / "log").read_text().splitlines()
    assert head == "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    columns = [row.split("\t") for row in rows]
    assert [[row[0], row[1], row[4], row[5], row[6], row[7], row[8]] for row in columns] == [
        ["1", ":", "0", "6", "0", "0", "echo hello"],
        ["2", ":", "0", "0", "3", "0", "exit 3"],
        ["3", ":", "0", "0", "0", "9", "kill -9 $$"],
    ]
    assert all(began - 1 <= float(row[2]) <= time.time() + 1 for row in columns)
    assert governess("run", "--joblog", "log", "--timeout", "0.2", "sleep {}", ":::", "60").returncode == 1
    assert (tmp_path / "log").read_text().splitlines()[1].split("\t")[6:] == ["-1", "15", "sleep 60"]
    assert governess("run", "--joblog", "no/where", "true", ":::", "x").returncode == 255


@pytest.mark.parametrize("journal", [[], ["--journal", "journal"]])
def test_results(governess: Run, tmp_path: Path, journal: list[str]) -> None:
    """Outputs are in the files of GNU parallel's --results, and are written as well."""
    done = governess(
        "run", "-k", *journal, "--results", "out", "echo {1}-{2}; echo e >&2", ":::", "a", "b", ":::", "x/y"
    )
    assert done.stdout == "a-x/y\nb-x/y\n"
    files = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    folder = r"1/{}/2/x\_y/"
    assert files.keys() == {folder.format(a) + name for a in "ab" for name in ("seq", "stdout", "stderr")}
    assert files[folder.format("b") + "stdout"].read_text() == "b-x/y\n"
    assert files[folder.format("b") + "stderr"].read_text() == "e\n"
    assert files[folder.format("b") + "seq"].read_text() == "2"


JOBS = """
[jobs.fetch]
run = "echo fetched > data"
outputs = ["data"]

[jobs.part]
each = ["1", "a b"]
run = "cat data; echo {} > part.{}"
after = ["fetch"]

[jobs.sum]
run = ["sh", "-c", "cat part.*"]
after = ["part"]

[jobs.bad]
run = "exit 5"

[jobs.never]
run = "echo never"
after = ["bad", "sum"]
"""


def test_a_file_of_jobs(governess: Run, tmp_path: Path) -> None:
    """A file of jobs is run in its order; what waits for a failure is skipped."""
    (tmp_path / "jobs.toml").write_text(JOBS)
    done = governess("run", "-k", "--table", "jobs.toml")
    assert done.returncode == 1
    assert done.stdout == "fetched\nfetched\n1\na b\n"
    assert "skipped" in done.stderr
    assert "Traceback" not in done.stderr


def test_some_jobs_of_a_file(governess: Run, tmp_path: Path) -> None:
    """Names choose jobs, with all that they wait for."""
    (tmp_path / "jobs.toml").write_text(JOBS)
    done = governess("run", "jobs.toml", "fetch")
    assert (done.returncode, done.stdout) == (0, "")
    assert [path.name for path in tmp_path.glob("[dp]a*")] == ["data"]
    assert governess("run", "jobs.toml", "sum").returncode == 0
    done = governess("run", "jobs.toml", "summ")
    assert (done.returncode, done.stderr) == (
        255,
        "governess run: no job is called 'summ' (did you mean 'sum'?)\n",
    )


def test_dry_run_of_a_file(governess: Run, tmp_path: Path) -> None:
    """--dry-run writes the commands of a file of jobs."""
    (tmp_path / "jobs.jsonl").write_text('{"run": ["echo", "{.} is {}"], "each": ["a.b"]}\n{"run": "echo $((1+1))"}\n')
    assert governess("run", "--dry-run", "jobs.jsonl").stdout == "echo 'a is a.b'\necho $((1+1))\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--timeout", "50%", "x"], "'50%' is no percentage of the median above 100%"),
        (["--backoff", "5s..1s", "x"], "a back-off begins with 0 or more seconds and does not fall"),
        (["--retry-on", "sometimes", "x"], "'sometimes' is neither an exit status above 0 nor one of"),
        (["--load", "much", "x"], "'much' is neither a number of processes above 0 nor a percentage"),
        (["--memfree", "1X", "x"], "'1X' is no size such as 4096, 500M or 2G"),
        (["--pool", "gpu", "x"], "'gpu' is no pool such as gpu=2, cpus=4 or memory=8G"),
        (["--halt", "now,fail=0", "x"], "'now,fail=0' is none of never, soon, now, or WHEN,WHY=N"),
        (["--tries", "-1", "x"], "'-1' is no number of tries"),
        (["--resume", "x"], "--resume goes on with a journal: give --journal DIR"),
    ],
)
def test_wrong_options(governess: Run, words: list[str], complaint: str) -> None:
    """A wrong option is told in one line, with what it should be."""
    done = governess("run", *words, ":::", "a")
    assert done.returncode == 255
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_resumed_order(governess: Run) -> None:
    """With -k what an earlier run has done holds no output back."""
    words = ["-k", "--journal", "journal", "--resume", "echo {}", ":::"]
    assert governess("run", *words, "b", "d").stdout == "b\nd\n"
    done = governess("run", *words, *"abcde")
    assert done.stdout == "a\nc\ne\n"
    assert "2 more were done before" in done.stderr
    done = governess("run", *words, *"abcde")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "5 more were done before, by the journal\n"
