"""The child's 0, 1 and 2: every kind in every place."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fresh import run_fresh
from governess.children._spawn import Spawner
from spawning import WAYS, _native, popens_result, result

PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT

# Tells what it reads, and writes to both of its outputs.
TALK = ["/bin/sh", "-c", "cat; readlink /proc/$$/fd/0; echo out; echo err >&2"]
WISHES = ("None", "PIPE", "DEVNULL", "number", "file", "STDOUT")


@pytest.mark.parametrize("stdin", ["PIPE", "DEVNULL", "number", "file"])
def test_every_permutation(spawner: Spawner, stdin: str, tmp_path: Path) -> None:
    """Whatever the three are, what arrives where is what arrives with Popen."""
    for stdout, stderr in itertools.product(WISHES[:-1], WISHES):
        (tmp_path / "in").write_text("input\n")
        seen = []
        for run in (lambda *args, **kwargs: result(spawner, *args, **kwargs), popens_result):
            with open(tmp_path / "in") as source, open(tmp_path / "out", "w+") as target:
                kinds = {"None": None, "PIPE": PIPE, "DEVNULL": DEVNULL, "STDOUT": STDOUT}
                options = {
                    "stdin": {**kinds, "number": source.fileno(), "file": source}[stdin],
                    "stdout": {**kinds, "number": target.fileno(), "file": target}[stdout],
                    "stderr": {**kinds, "number": target.fileno(), "file": target}[stderr],
                }
                found = run(TALK, **options)
            seen.append((pipes_alike(found), (tmp_path / "out").read_text().replace("\n", "").startswith("input")))
        assert seen[0] == seen[1], (stdin, stdout, stderr)


def test_stdout_to_itself(spawner: Spawner) -> None:
    """STDOUT is for stderr alone."""
    assert result(spawner, ["true"], stdout=STDOUT).kind in (ValueError, popens_result(["true"], stdout=STDOUT).kind)


def pipes_alike(result: object) -> object:
    """The result without the numbers of pipes."""
    return type(result)(*(re.sub(rb"\[\d+\]", b"[]", each) if isinstance(each, bytes) else each for each in result))


# In a process of its own, since it closes and exchanges the standard descriptors. What it found goes to a file.
LOW_NUMBERS = """
    import asyncio, itertools, json, os, subprocess, sys
    from governess.children._spawn.command import Command
    from governess.children._spawn import spawner
    way, out = {way!r}, {out!r}
    if way != "popen":
        from governess.children._spawn import _native
        _native.set_way(way)

    for number, name in enumerate("abc"):
        descriptor = os.open(out + name, os.O_RDWR | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)

    SCRIPT = ("import os, sys\\n"
              "def name(fd):\\n"
              " try: return os.readlink(f'/proc/self/fd/{{fd}}').split(':')[0]\\n"
              " except OSError: return None\\n"
              "open(sys.argv[1], 'w').write(repr([name(fd) for fd in (0, 1, 2)]))")

    async def ours(stdio):
        spawned = (await spawner().spawn(Command(argv(), False, *stdio, {{}}))).claim()
        spawned.child.wait_for_exit(20)
        spawned.child.reap()
        for descriptor in spawned.pipes.values():
            os.close(descriptor)

    def popens(stdio):
        process = subprocess.Popen(argv(), stdin=stdio[0], stdout=stdio[1], stderr=stdio[2])
        process.communicate()

    def argv():
        return ["python", "-S", "-c", SCRIPT, out]

    def seen(run):
        open(out, "w").close()
        try:
            run()
        except OSError as error:
            return error.errno
        return eval(open(out).read())

    saved = [os.dup(number) for number in range(3)]
    wrong = []
    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
        for closed, stdio in CASES:
            results = []
            for run in (lambda: runner.run(ours(stdio)), lambda: popens(stdio)):
                for number in closed:
                    os.close(number)
                results.append(seen(run))
                for number in closed:
                    os.dup2(saved[number], number)
            if results[0] != results[1]:
                wrong.append((closed, stdio, *results))
    open(out, "w").write(repr(wrong))
"""
LOW_CASES = {
    "crossing": [((), stdio) for stdio in itertools.product((0, 1, 2), (0, 1, 2), (0, 1, 2, STDOUT))],
    "closed": [
        (closed, stdio)
        for closed in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
        for stdio in ((None, None, None), (PIPE, PIPE, PIPE), (DEVNULL, PIPE, STDOUT), (PIPE, DEVNULL, None))
    ],
    "one": [((), (1, 0, 0)), ((), (2, 0, 1))],
}


@pytest.mark.parametrize("way", [*WAYS, "popen"])
@pytest.mark.parametrize("cases", ["crossing", "closed"])
@pytest.mark.slow
def test_low_numbers(way: str, cases: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's 0, 1 and 2 in every order, and closed: the child's are those that it has with Popen."""
    if way == "popen":
        monkeypatch.setenv("GOVERNESS_PURE", "1")
    elif _native is None:
        pytest.skip("the extension is not built")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    out = str(tmp_path / "out")
    run_fresh(LOW_NUMBERS.replace("CASES", repr(LOW_CASES[cases])).format(way=way, out=out))
    assert Path(out).read_text() == "[]"


def test_path_is_opened_in_the_child(spawner: Spawner, tmp_path: Path) -> None:
    """A Path as stdio is read, or made and emptied, by the child."""
    (tmp_path / "in").write_text("input")
    (tmp_path / "out").write_text("old")
    assert result(spawner, ["cat"], stdin=tmp_path / "in", stdout=tmp_path / "out", stderr=tmp_path / "err") == (
        0,
        b"",
        b"",
    )
    assert (tmp_path / "out").read_text() == "input"
    assert (tmp_path / "err").read_text() == ""


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_missing_path_is_named(spawner: Spawner, stream: str, tmp_path: Path) -> None:
    """A Path that cannot be opened is what the error names."""
    failure = result(spawner, ["true"], **{stream: tmp_path / "missing" / "file"})
    assert (failure.kind, failure.file) == (FileNotFoundError, str(tmp_path / "missing" / "file"))
