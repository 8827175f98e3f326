"""The options of a child by name, for type checkers and editors."""

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
    """What every function that starts a program takes: what `subprocess.Popen` does, and three options more.

    The three are `limits`, `die_with_parent` and `pty`.

    Attributes:
        cwd: the working directory.
        env: the environment, in place of the parent's.
        executable: the program, if it is not the first word.
        pass_fds: descriptors that stay open in the child.
        close_fds: whether all other descriptors but 0, 1 and 2 are closed in the child. The default is True.
        restore_signals: whether SIGPIPE and SIGXFSZ get their default handlers again. The default is True.
        user: under which user it runs: a name or a number.
        group: under which group.
        extra_groups: the supplementary groups.
        umask: the file mode creation mask.
        pipesize: bytes that its pipes hold.
        preexec_fn: called in the child before the program starts. It can deadlock.
        startupinfo: Windows alone.
        creationflags: Windows alone.
        limits: what it may use.
        die_with_parent: whether it is ended when this process ends, in whatever way (Linux).
        pty: whether it gets a terminal of its own; or the (rows, columns) of that.
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
    """What `create_subprocess_exec` takes besides.

    Attributes:
        process_group: the number of the process group that it joins; 0 for one of its own.
        start_new_session: whether it leads a session.
    """

    process_group: int | None
    start_new_session: bool


class RunOptions(ChildOptions, total=False):
    """What `run` takes besides what its result depends on; `run` says what each is."""

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
    """What `Cmd.run` takes: all that `run` takes."""

    input: Buffer | str | None
    capture: bool
    encoding: str | None
    check: bool
    timeout: float | None


class StartOptions(ChildOptions, total=False):
    """What `start`, `cmd` and `ProcessPool.start` take; `start` says what each is."""

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
