"""What `governess run` shows, as a process of its own."""

import re
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .conftest import Run, Start

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)


def read_some(process: subprocess.Popen[bytes], size: int) -> bytes:
    assert process.stdout is not None
    return process.stdout.read(size)


@pytest.mark.parametrize("options", [["-j1"], ["-j4"], ["-j4", "-k"], ["-j2", "--line-buffer"], ["-j1", "-u"]])
def test_the_first_is_live(start: Start, options: list[str]) -> None:
    """What the first command writes is there while it runs; then it is told to end by what it reads."""
    wait = "[ {} = 1 ] || exit 0; echo first; while [ ! -e go ]; do sleep 0.02; done; echo last"
    process = start("run", "--quiet", *options, wait, ":::", "1", "2", "3")

    assert read_some(process, 6) == b"first\n"
    assert isinstance(process.args, list)
    Path(f"/proc/{process.pid}/cwd/go").touch()
    assert read_some(process, 5) == b"last\n"
    assert process.wait() == 0


def test_whole_blocks(start: Start) -> None:
    """With --group nothing is there before a command has ended; the one that ends first is written first."""
    line = "[ {} = a ] || { echo $$ > new; mv new pid; }; echo {}1; "
    line += "[ {} = b ] || while [ ! -e pid ] || kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done; echo {}2"
    process = start("run", "--quiet", "-j2", "--group", line, ":::", "a", "b")

    assert process.communicate()[0].split() == [b"b1", b"b2", b"a1", b"a2"]


@pytest.mark.parametrize("slots", ["-j1", "-j3"])
@pytest.mark.parametrize("line", ["yes {}", "echo {}; exec sleep 100"])
def test_head(start: Start, slots: str, line: str) -> None:
    """When the reader of standard output goes away, all ends at once, also commands that write nothing more."""
    process = start("run", slots, line, ":::", "1", "2", "3", "4")
    assert read_some(process, 2)[1:] == b"\n"
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(30) == 141


@pytest.mark.parametrize("order", [["-k"], []])
def test_output_that_waits_is_bounded(start: Start, tmp_path: Path, order: list[str]) -> None:
    """Past the limit, commands wait that write much while another one is live; all of it is written in the end."""
    line = "[ {} = 1 ] && { echo 1; until [ -e go ]; do sleep 0.02; done; exit 0; }; "
    # Not before the first one is live: without -k, that is the one that writes first.
    line += "until [ -e live ]; do sleep 0.02; done; head -c 3000000 /dev/zero; touch {}.done"
    process = start("run", "--quiet", "-j4", *order, "--spool", "100K", line, ":::", "1", "2", "3", "4", "5")
    assert read_some(process, 2) == b"1\n"
    (tmp_path / "live").touch()

    spied = threading.Event()
    spied.wait(1.0)  # as long as it takes for all of it if nobody waited
    assert list(tmp_path.glob("*.done")) == []
    (tmp_path / "go").touch()
    assert len(process.communicate()[0]) == 4 * 3_000_000
    assert process.returncode == 0
    assert len(list(tmp_path.glob("*.done"))) == 4


def test_memory_for_a_slow_reader(start: Start) -> None:
    """A command that writes faster than the reader takes it waits, too, and nothing is lost."""
    process = start("run", "--quiet", "head -c {} /dev/zero; echo end", ":::", "200000000")
    assert process.stdout is not None
    assert len(process.stdout.read(1_000_000)) == 1_000_000
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert peak is not None
    assert int(peak[1]) < 100_000
    rest = process.stdout.read()
    assert (len(rest), rest[-4:]) == (200_000_004 - 1_000_000, b"end\n")


def test_tags_and_commands(governess: Run) -> None:
    """--tag, --tagstring and -v mark the output of each command; -t tells each on standard error."""
    done = governess("run", "--tag", "echo x; echo y >&2; : {}", ":::", "a")
    assert (done.stdout, done.stderr[:4]) == ("a\tx\n", "a\ty\n")
    assert (
        governess("run", "--tagstring", "{#}:{/.}", "-v", "echo", "{}", ":::", "d/a.b").stdout
        == "1:a\techo d/a.b\n1:a\td/a.b\n"
    )
    assert governess("run", "--quiet", "-t", "echo", ":::", "a b").stderr == "echo 'a b'\n"


def test_quiet(governess: Run) -> None:
    """With --quiet there is nothing on standard error but what the commands write."""
    done = governess("run", "--quiet", "echo out; echo err >&2; exit 3", ":::", "x")

    assert (done.returncode, done.stdout, done.stderr) == (1, "out\n", "err\n")


def test_table(governess: Run) -> None:
    """The table has the failed commands; with --table it has all; there is none if none has failed."""
    words = ("-k", "exit {}", ":::", "0", "3")

    def rows(*options: str) -> list[str]:
        return re.findall(r"(?m)^exit (\d)  ", governess("run", *options, *words).stderr)

    assert rows() == ["3"]
    assert rows("--table") == ["0", "3"]
    assert "command " not in governess("run", "true", ":::", "x").stderr


def test_retries_in_order(governess: Run) -> None:
    """A command that is run again keeps its place in the order, and others do not wait for its slot for ever."""
    line = "head -c 300000 /dev/zero | tr '\\0' {}; [ {} != a ] || [ -e again ] || { touch again; exit 1; }"
    done = governess(
        "run", "--quiet", "-k", "-j2", "--spool", "100K", "--tries", "2", "--backoff", "0.3s..1s", line, ":::", *"abcd"
    )

    assert done.returncode == 0
    assert re.sub(r"(.)\1*", r"\1", done.stdout) == "abcd"
    assert len(done.stdout) == 5 * 300_000


def test_few_descriptors_for_much_output() -> None:
    """Output that waits needs one descriptor, however many commands have written it."""
    line = "head -c 2000000 /dev/zero"
    words = [
        sys.executable,
        "-m",
        "governess",
        "run",
        "--quiet",
        "-k",
        "-j4",
        line + "; : {}",
        ":::",
        *map(str, range(60)),
    ]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))

    done = subprocess.run(words, capture_output=True, preexec_fn=limit)

    assert (done.returncode, len(done.stdout), done.stderr) == (0, 120_000_000, b"")
