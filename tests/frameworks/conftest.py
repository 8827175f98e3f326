"""Programs over real packages, each in an interpreter of its own; one that is not installed is a skip with that reason.

A program finds these names in it; the child that it starts must be governess's, and exit with 7.
"""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

Program = Callable[..., str]

HEAD = """
import asyncio, sys
import governess

policy = governess.DefaultEventLoopPolicy(loop_factory={loop!r})
born = []

async def child():
    "Start a child; return its status, if governess has started it, and in a loop of this policy."
    with governess.observe(on_spawn=born.append):
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
        status = await process.wait()
    assert [each.pid for each in born] == [process.pid], born
    born.clear()
    return status
"""


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """The name of each loop in turn."""
    if request.param != "asyncio":
        _require(request.param)
    return request.param


@pytest.fixture
def program(request: pytest.FixtureRequest, loop: str, tmp_path: Path) -> Program:
    """Writes a program that uses the PACKAGES of the test's file, runs it, and tells its output."""
    for package in request.module.PACKAGES:
        _require(package)

    def program(text: str, *command: str) -> str:
        path = write(tmp_path, loop, text)
        done = subprocess.run(
            [sys.executable, *command, str(path)], capture_output=True, text=True, timeout=60, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return program


def write(folder: Path, loop: str, text: str) -> Path:
    """Write a program with what it finds in it."""
    path = folder / "program.py"
    path.write_text(HEAD.format(loop=loop) + textwrap.dedent(text))
    return path


def _require(package: str) -> None:
    try:
        version(package)
    except PackageNotFoundError:
        if os.environ.get("GOVERNESS_REQUIRE_FRAMEWORKS") == "1":
            raise
        pytest.skip(f"{package} is not installed")
