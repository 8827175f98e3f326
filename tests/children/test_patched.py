"""A program whose `os` and `subprocess` somebody has patched, as gevent does."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator

import pytest

if sys.platform == "win32":
    pytest.skip("children need no pidfd or pipe of this kind on Windows", allow_module_level=True)

import governess
from governess.children._spawn import blocking
from governess.children._spawn.command import Spawned, command_of
from governess.transports._child_pipe import PipeEnd


class TheirPopen(subprocess.Popen[bytes]):
    """Somebody's own Popen."""


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a process that is no child of this one."""
    line = subprocess.run(["sh", "-c", "sleep 60 >&- & echo $!"], stdout=subprocess.PIPE, check=True).stdout
    yield int(line)
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(line), signal.SIGKILL)


def started(command: list[str]) -> Spawned:
    spawned = blocking.start(command_of(command, None, None, None, {}))
    spawned.claimed = True  # or its end would end the child
    return spawned


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pidfds")
def test_pidfd_of_their_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that somebody's own Popen has started has a pidfd."""
    monkeypatch.setattr(subprocess, "Popen", TheirPopen)
    child = started(["sh", "-c", "exit 3"]).child
    assert child.pidfd is not None
    assert child.wait_for_exit(60)
    assert child.reap() == 3


def test_no_pidfd_of_a_stranger(monkeypatch: pytest.MonkeyPatch, stranger: int) -> None:
    """What is no child of this process, since a Popen is a fake, is not watched by a pidfd."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: types.SimpleNamespace(pid=stranger, returncode=None))
    child = started(["true"]).child
    assert child.pidfd is None
    child.set_exit(governess.Exit(0))


def test_their_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our end of a pipe is closed at once, whatever stands for `os.close`."""
    reader, writer = os.pipe()
    monkeypatch.setattr(os, "close", lambda descriptor: None)
    PipeEnd({0: writer}, 0).close()
    monkeypatch.undo()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_whole_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that somebody's own Popen starts is written to, read and awaited."""
    monkeypatch.setattr(subprocess, "Popen", TheirPopen)

    async def main() -> tuple[bytes, int | None]:
        process = await asyncio.create_subprocess_exec("sh", "-c", "cat; exit 3", stdin=-1, stdout=-1)
        output, _ = await process.communicate(b"hello")
        return output, process.returncode

    assert governess.run(main()) == (b"hello", 3)
