"""Starting a child by `subprocess.Popen`: what works on every POSIX system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from typing import Any

from governess.children.child import Child
from governess.children.command import Birth, Command
from governess.children.observers import tell_of_spawn
from governess.children.pidfd import open_pidfd

__all__ = ["is_replaced", "start"]


def start(command: Command) -> Birth:
    """Start the child and return it; block until it has exec'ed.

    Raises:
        OSError: as `subprocess.Popen` raises it.
        ValueError, TypeError, subprocess.SubprocessError: likewise.
    """
    options = dict(command.options)
    if beyond := sorted(options.keys() & _BEYOND_POPEN):
        raise NotImplementedError(
            f"{', '.join(beyond)}: only the native spawner can do this before the program starts, "
            "and it is not in use (`governess info` says why; with preexec_fn it never is)"
        )
    with _Pipes(options.pop("pipesize", -1)) as pipes:
        process = (subprocess.Popen if is_replaced() else _Popen)(
            command.args,
            shell=command.shell,
            stdin=pipes.for_child(0, command.stdin),
            stdout=pipes.for_child(1, command.stdout),
            stderr=pipes.for_child(2, command.stderr),
            **options,
        )
        child = Child(process.pid, command.argv, pidfd=getattr(process, "pidfd", None))
        # A dropped Popen without a returncode is reaped by the next Popen (subprocess._cleanup), behind our back.
        process.returncode = 0
        birth = Birth(command, child, pipes.keep_ours())
    tell_of_spawn(child)
    return birth


def is_replaced() -> bool:
    """Return whether something else stands in the place of `subprocess.Popen`: a mock in somebody's test."""
    return subprocess.Popen is not _Popen.__base__


_BEYOND_POPEN = frozenset({"controlling_terminal", "nice", "parent_death_signal", "rlimits"})


class _Popen(subprocess.Popen[bytes]):
    """Opens the pidfd in the moment when the pid is known.

    Popen goes on to wait for the exec, and gives the GIL away for that: with many threads it comes back late enough
    for a short child to be dead and, if there is a thief, gone.
    """

    pidfd: int | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            super().__init__(*args, **options)
        except BaseException:
            if self.pidfd is not None:
                os.close(self.pidfd)  # of a child that could not exec
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "pid" and value:
            self.pidfd = open_pidfd(value)


class _Pipes:
    """The pipes between us and a child in the making: the child's ends are closed at the end, ours after a failure.

    They are made here and not by Popen, whose file objects cannot be parted from their descriptors.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._ours: dict[int, int] = {}
        self._cleanup = contextlib.ExitStack()
        self._keep = False

    def __enter__(self) -> _Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def for_child(self, number: int, wish: Any) -> Any:
        """Return what the child gets as its descriptor `number`."""
        if isinstance(wish, os.PathLike):
            return self._open(number, wish)
        if wish != subprocess.PIPE or isinstance(wish, bool):
            return wish
        ends = os.pipe()
        ours, theirs = reversed(ends) if number == 0 else ends
        self._cleanup.callback(os.close, theirs)
        self._cleanup.callback(self._close_ours, ours)
        self._ours[number] = ours
        if self._size > 0 and hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, self._size)
        return theirs

    def _open(self, number: int, path: os.PathLike[Any]) -> int:
        descriptor = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._cleanup.callback(os.close, descriptor)
        return descriptor

    def keep_ours(self) -> dict[int, int]:
        """Return our ends, which stay open."""
        self._keep = True
        return self._ours

    def _close_ours(self, descriptor: int) -> None:
        if not self._keep:
            os.close(descriptor)
