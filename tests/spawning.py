"""Starting a child by a certain spawner or by subprocess.Popen, and what came of it in a form that can be compared."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from governess.children._spawn import Spawner
from governess.children._spawn.command import Command, Spawned
from governess.children._spawn.popen import PopenSpawner

try:
    from governess.children._spawn import _native
    from governess.children._spawn.native import NativeSpawner
except ImportError as error:
    _native = None
    NOT_BUILT = f"the extension is not built: {error}"
else:
    NOT_BUILT = ""

needs_extension = pytest.mark.skipif(_native is None, reason=NOT_BUILT)

#: The ways of the native spawner, by the names that `_native.set_way` knows.
WAYS = ("clone with a pidfd", "vfork with a pidfd", "clone", "vfork")


class Result(NamedTuple):
    """A child's end, and what it wrote into our pipes."""

    returncode: int
    output: bytes
    complaints: bytes


class Failure(NamedTuple):
    """What the start of a child raised."""

    kind: type
    errno: int | None
    file: Any


@contextmanager
def spawner_by(way: str):
    """The spawner of that name; the ways of the native one are tried where the system has them."""
    if way == "popen":
        yield PopenSpawner("a test")
        return
    if _native is None:
        pytest.skip(NOT_BUILT)
    before = _native.get_way()
    try:
        _native.set_way(way)
    except ValueError as error:
        pytest.skip(str(error))
    try:
        yield NativeSpawner()
        assert _native.get_way() == way, "the system refused this way"
    finally:
        _native.set_way(before)


def command(args: Any, *, shell: bool = False, stdin: Any = None, stdout: Any = None, stderr: Any = None, **options):
    return Command(args, shell, stdin, stdout, stderr, options)


def spawned(spawner: Spawner, args: Any, loop_factory: Callable = asyncio.SelectorEventLoop, **options: Any) -> Spawned:
    """Start a child; the caller reaps it, and closes the pipes."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(spawner.spawn(command(args, **options))).claim()


def result(spawner: Spawner, args: Any, loop_factory: Callable = asyncio.SelectorEventLoop, **options: Any):
    """Run a child to its end and return the Result, or the Failure of its start."""
    try:
        born = spawned(spawner, args, loop_factory, **options)
    except Exception as error:
        return failure(error)
    return end(born)


def end(born: Spawned) -> Result:
    """Read what the child writes, and reap it."""
    if (ours := born.pipes.get(0)) is not None:
        os.close(ours)
    texts = [b"", b""]
    for number, ours in born.pipes.items():
        if number > 0:
            with open(ours, "rb") as file:
                texts[number - 1] = file.read()
    assert born.child.wait_for_exit(20)
    return Result(int(born.child.reap()), *texts)


def popens_result(args: Any, **options: Any):
    """Do the same by subprocess.Popen."""
    try:
        process = subprocess.Popen(args, **options)
    except Exception as error:
        return failure(error)
    output, complaints = process.communicate(timeout=20)
    return Result(process.returncode, output or b"", complaints or b"")


def failure(error: Exception) -> Failure:
    """What is compared of an error; whether Popen names a Path or its str depends on how it starts the child."""
    file = getattr(error, "filename", None)
    return Failure(type(error), getattr(error, "errno", None), os.fspath(file) if file is not None else None)
