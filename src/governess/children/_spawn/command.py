"""A command that is to be started, what the extension wants to know of it, and the child that was spawned for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from governess.children._child import Child
from governess.children._reaper import reap_later
from governess.children._spawn.popen_rules import (
    POPEN_USES_POSIX_SPAWN,
    argv_of,
    audit_posix_spawn,
    group_number,
    group_numbers,
    user_number,
)

if sys.platform == "win32":
    from governess.children._windows import WindowsGroup as Group
    from governess.children._windows import WindowsGroup as Session
else:
    from governess.children._group import Group
    from governess.children._session import Session

__all__ = [
    "Command",
    "Outcome",
    "Spawned",
    "arguments_of",
    "command_of",
    "discard_outcome",
    "shell_command_of",
]

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
        options: all other arguments of `subprocess.Popen`; `die_with_parent`, which ends the child with this process,
            and the group or session that it leads; and four of the native spawner's own, in force before the program's
            first instruction: `rlimits`, which maps ``resource.RLIMIT_…`` to (soft, hard); `nice`, added to
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


def command_of(
    argv: Sequence[Program], stdin: Stdio, stdout: Stdio, stderr: Stdio, options: Mapping[str, Any]
) -> Command:
    """Return the command of a program and its arguments.

    Raises:
        ValueError: an option has a value that asyncio refuses.
    """
    return Command(argv, False, stdin, stdout, stderr, _allowed(options) if options else {})


def shell_command_of(
    line: str | bytes, stdin: Stdio, stdout: Stdio, stderr: Stdio, options: Mapping[str, Any]
) -> Command:
    """Return the command of a line for the shell.

    Raises:
        ValueError: it is no line, or an option has a value that asyncio refuses.
    """
    if not isinstance(line, (bytes, str)):
        raise ValueError("cmd must be a string")
    return Command(line, True, stdin, stdout, stderr, _allowed(options) if options else {})


# asyncio refuses what would make a child's streams anything but bytes: `BaseEventLoop.subprocess_exec`.
_FIXED = {"universal_newlines": False, "bufsize": 0, "text": False, "encoding": None, "errors": None}


def _allowed(options: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in _FIXED.items():
        if options.get(name, value) != value:
            raise ValueError(f"{name} must be {value}")
    return {name: value for name, value in options.items() if name not in _FIXED}


class Spawned:
    """A child that was just started, and our ends of its pipes.

    Its receiver claims it. If it is dropped before that, it kills the child, since no other object references it.

    Attributes:
        child: the child.
        pipes: our descriptor for each of the child's 0, 1, 2 that is a pipe.
        group: the group that the child leads, if the command wants it kept.
        claimed: whether the receiver owns the child and the descriptors from here on.
    """

    __slots__ = ("child", "claimed", "group", "pipes")

    def __init__(self, child: Child, pipes: dict[int, int]) -> None:
        self.child = child
        self.pipes = pipes
        self.group: Group | None = None
        self.claimed = False

    def keep_group(self, command: Command) -> None:
        """Keep the group or session that the child leads within reach, if the command says so."""
        if command.keep_group:
            in_terminal = command.options.get("controlling_terminal") is not None
            self.group = Session(self.child) if in_terminal else Group(self.child)
            self.group._is_killed_when_dropped = True

    def claim(self) -> Spawned:
        """Transfer the child and the descriptors to the caller."""
        self.claimed = True
        return self

    def discard(self) -> None:
        """Kill the child and the group that it leads; close the descriptors, and let the reaper do the rest."""
        if self.claimed:
            return
        try:
            self._end()
        except BaseException:  # KeyboardInterrupt: a second try does what is left
            self._end()
            raise
        finally:
            self.claimed = True

    def _end(self) -> None:
        while self.pipes:
            os.close(self.pipes.popitem()[1])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.child.kill()
        group = self.group
        if group is None and sys.platform != "win32":
            group = Group(self.child)
        if group is not None:
            group.kill()
            group.close()
        reap_later(self.child)

    def __del__(self) -> None:
        if not getattr(self, "claimed", True):  # set last: without it, an interrupt has kept this from being made
            self.discard()


#: Of a start. The receiver takes the child out of the list, since the loop may keep a future that is done for longer.
Outcome = asyncio.Future[list[Spawned]]


def discard_outcome(outcome: Outcome) -> None:
    """End the child of a start that was cancelled in the moment when the child was born."""
    if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
        outcome.result().pop().discard()


_NONE = -1


def arguments_of(
    command: Command,
    is_guarded: bool,
    /,
    *,
    executable: Any = None,
    preexec_fn: None = None,
    close_fds: bool = True,
    cwd: Any = None,
    env: Mapping[Any, Any] | None = None,
    startupinfo: Any = None,
    creationflags: int = 0,
    restore_signals: bool = True,
    start_new_session: bool = False,
    pass_fds: Iterable[int] = (),
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Iterable[str | int] | None = None,
    umask: int = _NONE,
    pipesize: int | None = None,
    process_group: int | None = None,
    rlimits: Mapping[int, tuple[int, int]] | None = None,
    nice: int = 0,
    die_with_parent: bool = False,
    parent_death_signal: int = 0,
    controlling_terminal: int | None = None,
    **unknown: object,
) -> tuple[Any, ...]:
    """Return the arguments of `_native.Channel.submit`, but for the key, from a command and its options.

    `is_guarded` says whether the guardian ends the child when this process is gone.

    Raises:
        TypeError, ValueError, LookupError: as `subprocess.Popen` raises it.
    """
    if unknown:
        raise TypeError(f"a child has no option {', '.join(map(repr, sorted(unknown)))}; see subprocess.Popen")
    if startupinfo is not None or creationflags != 0:
        name = "startupinfo" if startupinfo is not None else "creationflags"
        raise ValueError(f"{name} is only supported on Windows platforms")
    if command.stdout == subprocess.STDOUT:
        raise ValueError("STDOUT can only be used for stderr")
    pass_fds = tuple(map(int, pass_fds))
    if pass_fds and not close_fds:
        warnings.warn("pass_fds overriding close_fds.", RuntimeWarning, stacklevel=2)
        close_fds = True
    streams: list[Any] = [command.stdin, command.stdout, command.stderr]
    for number, wish in enumerate(streams):
        if wish is not None and not isinstance(wish, (int, os.PathLike)):
            streams[number] = int(wish.fileno())
    if die_with_parent:
        # The guardian gives it a grace. If that is killed together with this process (pkill -9 python), the child gets
        # this TERM all the same. Where there is no guardian, nobody can KILL it later.
        parent_death_signal = signal.SIGTERM if is_guarded else signal.SIGKILL
    args, shell = command.args, command.shell
    argv = list(args) if type(args) is tuple and not shell else argv_of(args, shell, executable)
    program = argv[0] if executable is None else executable
    sys.audit("subprocess.Popen", program, argv, cwd, env)
    search_path = _search_path(program, env)
    if search_path is None and POPEN_USES_POSIX_SPAWN:
        is_plain = cwd is process_group is user is group is extra_groups is None
        if is_plain and not pass_fds and not start_new_session and umask < 0:
            audit_posix_spawn(program, argv, env, close_fds)
    return (
        tuple(argv),
        program,
        search_path,
        env,
        cwd,
        tuple(streams),
        close_fds,
        pass_fds,
        restore_signals,
        start_new_session or controlling_terminal is not None,
        _NONE if process_group is None else process_group,
        None if extra_groups is None else group_numbers(extra_groups),
        _NONE if group is None else group_number(group),
        _NONE if user is None else user_number(user),
        umask,
        _NONE if pipesize is None else pipesize,
        nice,
        parent_death_signal,
        _NONE if controlling_terminal is None else controlling_terminal,
        () if rlimits is None else tuple((resource, soft, hard) for resource, (soft, hard) in rlimits.items()),
    )


def _search_path(program: Any, env: Mapping[Any, Any] | None) -> str | bytes | None:
    """Return where to look for the program, or None if it has a directory: PATH of the child's own environment."""
    if ("/" in program) if type(program) is str else (b"/" in os.fsencode(program)):
        return None
    if env is None:
        return os.environ.get("PATH", os.defpath)
    path, path_in_bytes = _variable(env, "PATH"), _variable(env, b"PATH")
    if path is not None and path_in_bytes is not None:
        raise ValueError("env cannot contain 'PATH' and b'PATH' keys")
    return next((found for found in (path, path_in_bytes) if found is not None), os.defpath)


def _variable(env: Mapping[Any, Any], name: str | bytes) -> Any:
    try:
        return env[name]
    except (KeyError, TypeError):  # os.environ knows str alone, os.environb bytes
        return None
