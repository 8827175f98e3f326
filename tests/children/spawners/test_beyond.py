"""What the native spawner alone can do: in force before the program's first instruction."""

import asyncio
import os
import pty
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from governess.children._pidfd import has_exited, open_pidfd
from governess.children._spawn import Spawner
from governess.children._spawn.popen import PopenSpawner
from spawning import WAYS, command, end, needs_extension, result, spawned

PIPE = subprocess.PIPE


def test_rlimits(native: Spawner) -> None:
    """Soft and hard limits are the child's from the start; -1 is no limit."""
    limits = {resource.RLIMIT_NOFILE: (50, 60), resource.RLIMIT_CORE: (0, 0), resource.RLIMIT_CPU: (-1, -1)}
    lines = result(native, ["cat", "/proc/self/limits"], stdout=PIPE, rlimits=limits).output.decode().splitlines()
    found = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert found["Max open files"] == ["50", "60"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max cpu time"] == ["unlimited", "unlimited"]


def test_wrong_rlimit(native: Spawner) -> None:
    """A soft limit above the hard one is the system's error, which names the step."""
    with pytest.raises(OSError, match="Invalid argument") as raised:
        spawned(native, ["true"], rlimits={resource.RLIMIT_NOFILE: (60, 50)})
    assert "rlimits" in raised.value.__notes__[0]


def test_nice(native: Spawner) -> None:
    """nice is added to the parent's."""
    expected = os.getpriority(os.PRIO_PROCESS, 0) + 3
    assert int(result(native, ["nice"], stdout=PIPE, nice=3).output) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")
def test_death_signal_survives_the_change_of_user(native: Spawner) -> None:
    """A change of user does not take the death signal back."""
    script = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    options = {"user": 65534, "parent_death_signal": signal.SIGTERM, "stdout": PIPE, "cwd": "/"}
    assert result(native, ["/usr/bin/env", "python3", "-S", "-c", script], **options).output in (b"15\n", b"")


PARENT = """
    import asyncio, signal, sys, time
    from governess.children._spawn import _native
    from governess.children._spawn.command import Command
    from governess.children._spawn import spawner

    async def main():
        _native.set_way({way!r})
        options = {{"parent_death_signal": signal.SIGKILL}}
        spawned = [
            (await spawner().spawn(Command(["sleep", "600"], options=options))).claim()
            for _ in range(8)
        ]
        print(*[spawned.child.pid for spawned in spawned], flush=True)

    asyncio.run(main())
    sys.stdin.read()
"""


@needs_extension
@pytest.mark.parametrize("way", WAYS)
def test_parent_death_signal(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children live as long as the process that started them, whatever thread that was, and no longer."""
    monkeypatch.delenv("GOVERNESS_PURE", raising=False)
    script = textwrap.dedent(PARENT.format(way=way))
    with subprocess.Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE) as parent:
        pidfds = [open_pidfd(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(pidfds) == 8
        assert not any(has_exited(pidfd, 0.02) for pidfd in pidfds)
        parent.kill()
    for pidfd in pidfds:
        assert has_exited(pidfd, 10)
        os.close(pidfd)


def test_controlling_terminal(native: Spawner) -> None:
    """The child leads a session whose terminal is the given one, which can be its stdin as well."""
    ours, theirs = pty.openpty()
    try:
        options = {"controlling_terminal": theirs, "stdin": theirs, "stdout": PIPE}
        found = result(native, "tty < /dev/tty; test -t 0; echo $?", shell=True, **options)
        assert found.output.decode().split() == ["/dev/tty", "0"] or found.output.decode().split()[-1] == "0"
        foreground = result(native, ["sh", "-c", "echo hello > /dev/tty"], **options)
        assert foreground.returncode == 0
        assert os.read(ours, 100) == b"hello\r\n"
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_terminal(native: Spawner) -> None:
    """What is no terminal cannot be a controlling one."""
    with open(os.devnull) as file, pytest.raises(OSError, match=r"[Ii]nappropriate ioctl") as raised:
        spawned(native, ["true"], controlling_terminal=file.fileno())
    assert "controlling_terminal" in raised.value.__notes__[0]


@pytest.mark.parametrize("option", ["rlimits", "nice", "parent_death_signal", "controlling_terminal"])
def test_popen_cannot(option: str) -> None:
    """Popen says clearly what it cannot do, instead of leaving it out."""
    with pytest.raises(NotImplementedError, match=f"{option}: only the native spawner"):
        asyncio.run(PopenSpawner("a test").spawn(command(["true"], **{option: 1})))


def test_fifo_is_opened_by_the_child(native: Spawner, tmp_path: Path) -> None:
    """A start that waits for the other end of a FIFO stops neither the loop nor other starts."""
    os.mkfifo(tmp_path / "fifo")

    async def main() -> None:
        waiting = asyncio.create_task(native.spawn(command(["cat"], stdin=tmp_path / "fifo", stdout=PIPE)))
        for _ in range(3):
            born = (await native.spawn(command(["true"]))).claim()
            assert end(born).returncode == 0
        assert not waiting.done()
        (tmp_path / "fifo").write_text("text")
        assert end((await waiting).claim()) == (0, b"text", b"")

    asyncio.run(main())
