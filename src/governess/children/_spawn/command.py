"""A command that is to be started, and the child that was spawned for it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from governess.children._child import Child
from governess.children._group import Group
from governess.children._reaper import reap_later

__all__ = ["Command", "Spawned"]

Program = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Stdio = int | IO[Any] | os.PathLike[Any] | None


class Command:
    """A child to be started.

    Attributes:
        args: the program and its arguments; with `shell`, one line for ``/bin/sh``.
        shell: whether the shell runs it.
        stdin: PIPE, DEVNULL, a descriptor, an open file, the Path of one, which opens while the child starts, or None
            for the parent's; so `stdout` and `stderr`, whose files are created or emptied.
        stdout: likewise, for its standard output.
        stderr: likewise, for its standard error; STDOUT for the same place as `stdout`.
        options: all other arguments of `subprocess.Popen`; and four of the native spawner's own, in force before the
            program's first instruction: `rlimits`, which maps ``resource.RLIMIT_…`` to (soft, hard); `nice`, added to
            the parent's; `parent_death_signal`, which comes when the parent dies (Linux); `controlling_terminal`, the
            descriptor of a terminal, which implies `start_new_session`.
        keep_group: whether the group that the child leads (by ``process_group=0`` or ``start_new_session=True``) is to
            stay within reach when the child is gone: the `Spawned` has a `Group` then.
    """

    __slots__ = ("args", "keep_group", "options", "shell", "stderr", "stdin", "stdout")

    def __init__(
        self,
        args: Program | Sequence[Program],
        shell: bool = False,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
        options: Mapping[str, Any] = MappingProxyType({}),
        *,
        keep_group: bool = False,
    ) -> None:
        self.args = args
        self.shell = shell
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.options = options
        self.keep_group = keep_group

    def __repr__(self) -> str:
        # Without the options, since the environment may hold secrets.
        return f"Command({self.args!r}, stdin={self.stdin!r}, stdout={self.stdout!r}, stderr={self.stderr!r})"

    @property
    def argv(self) -> tuple[Any, ...]:
        """The words that were given, for people to read."""
        if isinstance(self.args, (str, bytes, os.PathLike)):
            return (self.args,)
        return tuple(self.args)


class Spawned:
    """A child that was just started, and our ends of its pipes.

    Its receiver calls `claim`. If it is dropped before that, it kills the child, since no other object references it.

    Attributes:
        child: the child.
        pipes: our descriptor for each of the child's 0, 1, 2 that is a pipe.
        group: the group that the child leads, if the command wants it kept.
    """

    def __init__(self, command: Command, child: Child, pipes: dict[int, int]) -> None:
        """Own the child and the descriptors until they are claimed."""
        self.child = child
        self.pipes = pipes
        self.group = Group(child) if command.keep_group else None
        self._claimed = False

    def claim(self) -> Spawned:
        """Transfer the child and the descriptors to the caller."""
        self._claimed = True
        return self

    def discard(self) -> None:
        """Kill the child and the group that it leads; close the descriptors, and let the reaper do the rest."""
        if self._claimed:
            return
        try:
            self._end()
        except BaseException:  # KeyboardInterrupt: a second try does what is left
            self._end()
            raise
        finally:
            self._claimed = True

    def _end(self) -> None:
        while self.pipes:
            os.close(self.pipes.popitem()[1])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.child.kill()
        if sys.platform != "win32":
            group = self.group or Group(self.child)
            group.kill()
            group.close()
        reap_later(self.child)

    def __del__(self) -> None:
        if not self._claimed:
            self.discard()
