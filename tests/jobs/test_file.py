"""Files of jobs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from governess.jobs import Backoff, Command, JobOptions, RetryOn
from governess.jobs._file import JobFileError, is_job_file, read_jobs

pytestmark = pytest.mark.windows


def fill(command: Command, argument: str, number: int, *, append: bool) -> Callable[[int], Command]:
    def put(text: str) -> str:
        return text.replace("{}", argument)

    return lambda slot: put(command) if isinstance(command, str) else tuple(map(put, command))


WHOLE = """
[pools]
gpu = 2
memory = "1G"

[defaults]
tries = 2

[jobs.fetch]
run = "curl -O http://example.org/"   # a line for the shell
tries = 5
backoff = "1s..60s"
retry_on = [75, "timeout"]
timeout = "2m"

[jobs.resize]
each = ["a.png", "b.png", 3]
run = ["convert", "{}", "{}.jpg"]
after = "fetch"
memory = "500M"
cpus = 1.5
tokens = { gpu = 1 }
outputs = ["{}.jpg"]
cwd = "pictures"
env = { QUALITY = 9 }

[jobs."the end"]
run = ["tar", "cf", "all.tar"]
after = ["resize"]
timeout = "200%"
stdin = "list"
nice = 5
grace = 1
"""


def test_a_whole_file(tmp_path: Path) -> None:
    """Every key is read, and a name with `each` stands for all of its jobs."""
    path = tmp_path / "jobs.toml"
    path.write_text(WHOLE)
    found = read_jobs(path, fill)
    jobs = {job.name: job for job in found.plan}
    assert found.pools == {"gpu": 2, "memory": 2**30}
    assert list(jobs) == ["fetch", "resize[a.png]", "resize[b.png]", "resize[3]", "the end"]
    assert jobs["fetch"].command == "curl -O http://example.org/"
    assert jobs["fetch"].options == JobOptions(
        tries=5, backoff=Backoff(1, 60), retry_on=RetryOn.parse("75,timeout"), timeout=120
    )
    resize = jobs["resize[b.png]"]
    assert resize.in_slot(1) == ("convert", "b.png", "b.png.jpg")
    assert (resize.after, resize.outputs, resize.cwd, resize.env) == (
        ("fetch",),
        ("b.png.jpg",),
        "pictures",
        {"QUALITY": "9"},
    )
    assert resize.options == JobOptions(tries=2, memory=500 * 2**20, cpus=1.5, tokens={"gpu": 1})
    end = jobs["the end"]
    assert end.after == ("resize[a.png]", "resize[b.png]", "resize[3]")
    assert end.stdin == Path("list")
    assert end.options == JobOptions(tries=2, timeout_factor=2.0, nice=5, grace=1)


def test_json_lines(tmp_path: Path) -> None:
    """Each line is an object with the same keys, and a name."""
    path = tmp_path / "jobs.jsonl"
    lines = [{"run": "echo a"}, {"name": "b", "run": ["echo", "b"], "tries": 3}, {"run": "echo c", "after": ["b"]}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    jobs = list(read_jobs(path, options=JobOptions(timeout=7)).plan)
    assert [(job.command, job.name, job.after) for job in jobs] == [
        ("echo a", "", ()),
        (("echo", "b"), "b", ()),
        ("echo c", "", ("b",)),
    ]
    assert jobs[1].options == JobOptions(tries=3, timeout=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[jobs.a]\nrun = "x"\nouputs = ["y"]\n',
            "jobs.toml:3: jobs.a: unknown key 'ouputs' (did you mean",
        ),
        (
            '[job.a]\nrun = "x"\n',
            "jobs.toml:1: unknown table or key 'job' (did you mean 'jobs'?); jobs",
        ),
        ("[jobs.a]\n", 'jobs.toml:1: jobs.a has no command: run = "…" for a line of the shell, or a list of words'),
        (
            "[jobs.a]\nrun = 3\n",
            "jobs.toml:2: jobs.a: run is a line for the shell, or a list of words, not a number",
        ),
        (
            "[jobs.a]\nrun = []\n",
            "jobs.toml:2: jobs.a: run is a line for the shell, or a list of words, not a list",
        ),
        ('[jobs.a]\nrun = "x"\ntries = "many"\n', "jobs.toml:3: jobs.a: tries: a whole number is needed, not a string"),
        ('[jobs.a]\nrun = "x"\ntries = 0\n', "jobs.toml:3: jobs.a: a job has at least one try, not 0"),
        ('[jobs.a]\nrun = "x"\nmemory = "lots"\n', "jobs.toml:3: jobs.a: memory: 'lots' is no size such as"),
        ('[jobs.a]\nrun = "x"\ntimeout = "0"\n', "jobs.toml:3: jobs.a: timeout: a timeout of 0 seconds lets nothing"),
        ('[jobs.a]\nrun = "x"\nretry_on = ["never"]\n', "jobs.toml:3: jobs.a: retry_on: 'never' is neither an exit"),
        ('[jobs.a]\nrun = "x"\nafter = ["b"]\n', "jobs.toml:3: a waits for 'b', and no job is called so"),
        (
            '[jobs.a]\nrun="x"\nafter=["b"]\n[jobs.b]\nrun="x"\nafter=["a"]\n',
            ("jobs.toml:3: jobs wait for each other in a circle, so none can start: a (line 3) → b (line 6) → a"),
        ),
        ('[jobs.a]\nrun = "x"\neach = "y"\n', "jobs.toml:3: jobs.a: each is a list of arguments, not a string ('y')"),
        ('[jobs.a]\nrun = "x"\nenv = ["y"]\n', "jobs.toml:3: jobs.a: variables are a table"),
        ('[jobs."a b"]\nrun = "x"\ncpu = 1\n', "jobs.toml:3: jobs.a b: unknown key 'cpu' (did you mean 'cpus'?)"),
        ("[defaults]\nrun = 'x'\n", "jobs.toml:2: defaults: unknown key 'run'"),
        ("[pools]\ngpu = 0\n", "jobs.toml:2: the pool gpu has a number above 0, not '0'"),
        ("jobs = 3\n", "jobs.toml:1: jobs is a table: [jobs]"),
        ("[jobs]\na = 3\n", "jobs.toml:2: jobs.a is a table: [jobs.a]"),
        ("\n[jobs.a\n", "jobs.toml:2: "),
        ("", "jobs.toml holds no jobs"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """The error names the file, the line, the job, and what there should be."""
    monkeypatch.chdir(tmp_path)
    Path("jobs.toml").write_text(text, encoding="utf-8")
    with pytest.raises(JobFileError) as caught:
        read_jobs("jobs.toml", fill)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"run": "a"}\n{"run": \n', "jobs.jsonl:2: it is not JSON: Expecting value at column 9"),
        (b'{"run": "a"}\n\n[1]\n', "jobs.jsonl:3: each line is an object"),
        (b'{"run": "a", "name": 3}\n', "jobs.jsonl:1: a name is a string, not 3"),
        (b'{"run": "a", "colour": 3}\n', "jobs.jsonl:1: the job: unknown key 'colour'"),
        (b'{"run": "a"}\n{"run": "\xff"}\n', "jobs.jsonl:2: it is not in UTF-8"),
        (b'{"run": "a", "each": ["b"]}\n', "jobs.jsonl:1: the job: each cannot be used here"),
        (b'{"name": "x", "run": "a"}\n{"name": "x", "run": "a"}\n', "jobs.jsonl:2: two jobs are called 'x'"),
        (
            b'{"name": "x", "run": "a"}\n{"run": "a", "after": ["y"]}\n',
            "jobs.jsonl:2: the job waits for 'y', and no job",
        ),
    ],
)
def test_wrong_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, message: str) -> None:
    """The error names the line."""
    monkeypatch.chdir(tmp_path)
    Path("jobs.jsonl").write_bytes(text)
    with pytest.raises(JobFileError) as caught:
        read_jobs("jobs.jsonl")
    assert str(caught.value).startswith(message)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """A file that cannot be read is told of by its name."""
    with pytest.raises(JobFileError, match=r"cannot read .*nowhere.toml: No such file"):
        read_jobs(tmp_path / "nowhere.toml")
    assert [is_job_file(name) for name in ("a.toml", "a.JSONL", "a.txt", "toml")] == [True, True, False, False]
