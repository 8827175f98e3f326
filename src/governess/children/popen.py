"""Starting a child by `subprocess.Popen`: what works on every system."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from governess.children.child import Child
from governess.children.command import Birth, Command
from governess.children.observers import tell_of_spawn
from governess.children.pidfd import open_pidfd
from governess.children.stdio import Pipes

if sys.platform == "win32":
    from governess.children.windows import WindowsChild

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
    with Pipes(options.pop("pipesize", -1)) as pipes:
        process = (subprocess.Popen if is_replaced() else _Popen)(
            command.args,
            shell=command.shell,
            stdin=pipes.for_child(0, command.stdin),
            stdout=pipes.for_child(1, command.stdout),
            stderr=pipes.for_child(2, command.stderr),
            **options,
        )
        child = _child_of(process, command)
        birth = Birth(command, child, pipes.keep_ours())
    tell_of_spawn(child)
    return birth


def is_replaced() -> bool:
    """Return whether something else stands in the place of `subprocess.Popen`: a mock in somebody's test."""
    return subprocess.Popen is not _Popen.__base__


def _child_of(process: Any, command: Command) -> Child:
    if sys.platform == "win32":
        return WindowsChild(process, command.argv)
    child = Child(process.pid, command.argv, pidfd=getattr(process, "pidfd", None))
    # A dropped Popen without a returncode is reaped by the next Popen (subprocess._cleanup), behind our back.
    process.returncode = 0
    return child


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
