"""What the command line cannot do is told in one line, whoever's words that holds, and never by a traceback."""

import os
import sys
from pathlib import Path

import pytest

from cli.conftest import Run, Start
from fresh import run_fresh

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")

RED = "\x1b[31m"


@pytest.mark.parametrize(
    "words",
    [
        ["run", f"/missing/{RED}"],
        ["run", "echo", "::::", f"/missing/{RED}"],
        ["run", f"--{RED}"],
        ["run", "--halt", RED, "echo", ":::", "a"],
        ["run", "--loop", RED, "echo", ":::", "a"],
        ["run", "--timeout", RED, "echo", ":::", "a"],
        ["python", f"--{RED}"],
        ["python", "--loop", RED, "-c", ""],
        [RED],
    ],
    ids=" ".join,
)
def test_words_of_others(governess: Run, words: list[str]) -> None:
    """An escape sequence in an option, an argument or a file's name is spelt out in the message."""
    done = governess(*words)
    assert done.returncode == (255 if words[0] == "run" else 2)
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert r"\x1b[31m" in done.stderr


@pytest.mark.parametrize("words", [["info"], ["--version"], ["--help"], ["run", "--help"], ["python", "--help"]])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(start: Start, words: list[str]) -> None:
    """What cannot be written to standard output is told in one line, with status 255."""
    with open("/dev/full", "wb") as full:
        process = start(*words, stdout=full)
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (255, b"governess: No space left on device\n")


def test_a_reader_that_has_gone(start: Start) -> None:
    """Nothing is said when nobody reads standard output any more."""
    read, write = os.pipe()
    os.close(read)
    process = start("info", stdout=write)
    os.close(write)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode not in (0, None)


def test_no_thread(tmp_path: Path) -> None:
    """Where no thread can be had, `governess run` says so in one line, with status 255."""
    run_fresh(
        """
        import contextlib, io, threading
        from governess.cli import main

        start = threading.Thread.start

        def refuse(thread):
            if thread.name != "governess-guardian":
                raise RuntimeError("can't start new thread")
            start(thread)

        threading.Thread.start = refuse
        complaints = io.StringIO()
        with contextlib.redirect_stderr(complaints):
            assert main(["run", "echo", "{}", ":::", "a", "b"]) == 255
        assert complaints.getvalue() == "governess: can't start new thread\\n", complaints.getvalue()
        """
    )
