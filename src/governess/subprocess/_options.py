"""The options with which a program is started, as types for type checkers and editors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, TypedDict

from governess.children._spawn.command import Program, Stdio
from governess.subprocess._limits import Limits
from governess.subprocess._lines import BinaryFile, LineListener
from governess.transports._write_buffer import Buffer

__all__ = ["ChildOptions", "CommandRunOptions", "ExecOptions", "RunOptions", "StartOptions"]


class ChildOptions(TypedDict, total=False):
    """The options of all functions that start a program.

    They are those of `subprocess.Popen`, with the same meaning, and three more: `limits`, `die_with_parent` and `pty`.

    Attributes:
        cwd: the working directory; None for that of this process.
        env: the environment; None for that of this process.
        executable: the program to run, if it is not the first word of the command.
        pass_fds: the descriptors of this process that stay open in the child.
        close_fds: whether all other descriptors except 0, 1 and 2 are closed in the child. The default is True.
        restore_signals: whether SIGPIPE and SIGXFSZ get their default actions again. The default is True.
        user: the user of the child, by name or number; None for that of this process.
        group: the group of the child, by name or number; None for that of this process.
        extra_groups: the supplementary groups of the child, by name or number; None for those of this process.
        umask: the file mode creation mask; -1, the default, for that of this process.
        pipesize: the capacity of the pipes in bytes (Linux); -1, the default, for that of the system.
        preexec_fn: a function that is called in the child before the program starts. It can deadlock.
        startupinfo: a `subprocess.STARTUPINFO` (Windows).
        creationflags: the flags of CreateProcess (Windows).
        limits: the `Limits` of the child.
        die_with_parent: whether the child is ended when this process ends, however it ends (Linux).
        pty: True for a terminal of its own, of 24 rows and 80 columns; or the (rows, columns) of that terminal.
    """

    cwd: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None
    env: Mapping[str, str] | Mapping[bytes, bytes] | Mapping[str, str | os.PathLike[str]] | None
    executable: Program | None
    pass_fds: Collection[int]
    close_fds: bool
    restore_signals: bool
    user: str | int | None
    group: str | int | None
    extra_groups: Sequence[str | int] | None
    umask: int
    pipesize: int
    preexec_fn: Callable[[], object] | None
    startupinfo: Any
    creationflags: int
    limits: Limits | None
    die_with_parent: bool
    pty: bool | tuple[int, int] | None


class ExecOptions(ChildOptions, total=False):
    """The options of `create_subprocess_exec` and `create_subprocess_shell`: those of `ChildOptions`, and two more.

    Attributes:
        process_group: the number of the process group that the child joins; 0 for a new group, which it leads; None for
            the group of this process.
        start_new_session: whether the child leads a new session.
    """

    process_group: int | None
    start_new_session: bool


class RunOptions(ChildOptions, total=False):
    """The options of `run` that do not change the type of its result; `run` and `ChildOptions` describe them.

    ``capture_output=True`` is accepted because `subprocess.run` has it; it changes nothing.
    """

    errors: str
    grace: float
    kill_timeout: float
    drain: float
    stdin: Stdio
    stdout: Stdio
    stderr: Stdio
    session: bool
    foreground: bool
    tee: BinaryFile | None
    on_line: LineListener | Mapping[str | re.Pattern[str], LineListener] | None
    capture_output: Literal[True]


class CommandRunOptions(RunOptions, total=False):
    """The options of `Cmd.run`, which are all options of `run`; `run` and `ChildOptions` describe them."""

    input: Buffer | str | None
    capture: bool
    encoding: str | None
    check: bool
    timeout: float | None


class StartOptions(ChildOptions, total=False):
    """The options of `start`, `cmd` and `ProcessPool.start`; `start` and `ChildOptions` describe them."""

    stdin: Stdio
    stdout: Stdio
    stderr: Stdio
    session: bool
    foreground: bool
    grace: float
    kill_timeout: float
    drain: float
    tee: BinaryFile | None
    on_line: LineListener | Mapping[str | re.Pattern[str], LineListener] | None
    limit: int
