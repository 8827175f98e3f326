"""Where the program is looked for: in PATH of the child's own environment."""

import errno
import os
from pathlib import Path

import pytest

from governess.children._spawn import Spawner
from spawning import popens_result, result


@pytest.fixture
def shelves(tmp_path: Path) -> Path:
    """Directories with a program `tool`: one that works, one that may not be run, one that is no directory."""
    for name, mode in (("good", 0o755), ("other", 0o755), ("closed", 0o644)):
        (tmp_path / name).mkdir()
        tool = tmp_path / name / "tool"
        tool.write_text(f"#!/bin/sh\necho {name}\n")
        tool.chmod(mode)
    (tmp_path / "file").write_text("")
    return tmp_path


PATHS = {
    "one": "{0}/good",
    "the first of two": "{0}/other:{0}/good",
    "after a missing one": "{0}/missing:{0}/good",
    "after a file": "{0}/file:{0}/good",
    "after one that may not be run": "{0}/closed:{0}/good",
    "only one that may not be run": "{0}/closed:{0}/missing",
    "ends with a slash": "{0}/good/",
    "an empty entry, which is the working directory": ":{0}/other",
    "an empty entry at the end": "{0}/missing:",
    "empty": "",
    "nowhere": "{0}/missing",
    "unset": None,
}


@pytest.mark.parametrize("in_bytes", [False, True], ids=["str", "bytes"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_path_of_the_child(spawner: Spawner, shelves: Path, path: str | None, in_bytes: bool) -> None:
    """The first program that can be run is; else the error is Popen's, and a refusal is remembered."""
    env = {"A": "1"} if path is None else {"PATH": path.format(shelves)}
    if in_bytes:
        env = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
    options = {"env": env, "cwd": shelves / "good", "stdout": -1}
    assert result(spawner, ["tool"], **options) == popens_result(["tool"], **options)


def test_path_of_the_parent(spawner: Spawner, shelves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment of its own the child has the parent's, and so has the search."""
    monkeypatch.setenv("PATH", f"{shelves}/good:{os.environ['PATH']}")
    assert result(spawner, ["tool"], stdout=-1) == (0, b"good\n", b"")
    monkeypatch.delenv("PATH")
    assert result(spawner, ["tool"]) == popens_result(["tool"])


def test_refusal_is_remembered(spawner: Spawner, shelves: Path) -> None:
    """A program that may not be run is the error, though the later places do not have it at all."""
    failure = result(spawner, ["tool"], env={"PATH": f"{shelves}/closed:{shelves}/missing"})
    assert (failure.errno, failure.file) == (errno.EACCES, "tool")


def test_both_paths(spawner: Spawner) -> None:
    """PATH in str and in bytes is an error, as with Popen."""
    env = {"PATH": "/bin", b"PATH": b"/bin"}
    assert result(spawner, ["true"], env=env) == popens_result(["true"], env=env)
