"""What is to be started, and what came of it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from governess.children.child import Child
from governess.children.group import Group
from governess.children.reaper import entrust

__all__ = ["Birth", "Command"]

Program = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Stdio = int | IO[Any] | os.PathLike[Any] | None


class Command:
    """A child to be started.

    Attributes:
        args: the program and its arguments; with `shell`, one line for ``/bin/sh``.
        shell: whether the shell runs it.
        stdin: PIPE, DEVNULL, a descriptor, an open file, the Path of one, which opens while the child starts, or None
            for the parent's; so `stdout` and `stderr`, whose files are created or emptied.
        stdout: where the child writes.
        stderr: where the child complains; STDOUT for the same place.
        options: all other arguments of `subprocess.Popen`; and four of the native spawner's own, in force before the
            program's first instruction: `rlimits`, which maps ``resource.RLIMIT_…`` to (soft, hard); `nice`, added to
            the parent's; `parent_death_signal`, which comes when the parent dies (Linux); `controlling_terminal`, the
            descriptor of a terminal, which implies `start_new_session`.
        keeps_group: whether the group that the child leads (by ``process_group=0`` or ``start_new_session=True``) is to
            stay within reach when the child is gone: the `Birth` has a `Group` then.
    """

    __slots__ = ("args", "keeps_group", "options", "shell", "stderr", "stdin", "stdout")

    def __init__(
        self,
        args: Program | Sequence[Program],
        shell: bool = False,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
        options: Mapping[str, Any] = MappingProxyType({}),
        *,
        keeps_group: bool = False,
    ) -> None:
        self.args = args
        self.shell = shell
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.options = options
        self.keeps_group = keeps_group

    def __repr__(self) -> str:
        # Without the options, since the environment may hold secrets.
        return f"Command({self.args!r}, stdin={self.stdin!r}, stdout={self.stdout!r}, stderr={self.stderr!r})"

    @property
    def argv(self) -> tuple[Any, ...]:
        """The words that were given, for people to read."""
        if isinstance(self.args, (str, bytes, os.PathLike)):
            return (self.args,)
        return tuple(self.args)


class Birth:
    """A child that was just started, and our ends of its pipes.

    Whoever takes it calls `claim`. Dropped before that, it kills the child: nobody would ever know of it.

    Attributes:
        child: the child.
        pipes: our descriptor for each of the child's 0, 1, 2 that is a pipe.
        group: the group that the child leads, if the command wants it kept.
    """

    def __init__(self, command: Command, child: Child, pipes: dict[int, int]) -> None:
        """Stand for the child and the descriptors until somebody claims them."""
        self.child = child
        self.pipes = pipes
        self.group = Group(child) if command.keeps_group else None
        self._claimed = False

    def claim(self) -> Birth:
        """Take the child and the descriptors over; they are the caller's from here on."""
        self._claimed = True
        return self

    def discard(self) -> None:
        """Kill the child and the group that it leads; close the descriptors, and let the reaper do the rest."""
        if self._claimed:
            return
        self._claimed = True
        for descriptor in self.pipes.values():
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.child.kill()
        if sys.platform != "win32":
            group = self.group or Group(self.child)
            group.kill()
            group.close()
        entrust(self.child)

    def __del__(self) -> None:
        self.discard()
