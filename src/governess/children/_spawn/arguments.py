"""What `_native` wants to know of a child, from what `subprocess.Popen` is told."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from governess.children._spawn import _native
from governess.children._spawn.command import Command

__all__ = ["arguments_of", "program_of"]

_NONE = -1


def arguments_of(command: Command) -> tuple[Any, ...]:
    """Return the arguments of `_native.Channel.submit`, but for the key.

    Raises:
        TypeError, ValueError, LookupError: as `subprocess.Popen` raises it.
    """
    if command.options and (unknown := command.options.keys() - _OPTIONS):
        raise TypeError(f"a child has no option {', '.join(map(repr, sorted(unknown)))}; see subprocess.Popen")
    return _arguments(command, **command.options)


def program_of(command: Command) -> Any:
    """Return the program as an error names it."""
    executable = command.options.get("executable")
    return _argv(command, executable)[0] if executable is None else executable


def _arguments(
    command: Command,
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
    parent_death_signal: int = 0,
    controlling_terminal: int | None = None,
) -> tuple[Any, ...]:
    if startupinfo is not None or creationflags != 0:
        name = "startupinfo" if startupinfo is not None else "creationflags"
        raise ValueError(f"{name} is only supported on Windows platforms")
    if command.stdout == subprocess.STDOUT:
        raise ValueError("STDOUT can only be used for stderr")
    pass_fds = tuple(map(int, pass_fds))
    if pass_fds and not close_fds:
        warnings.warn("pass_fds overriding close_fds.", RuntimeWarning, stacklevel=2)
        close_fds = True
    argv = list(command.args) if type(command.args) is tuple and not command.shell else _argv(command, executable)
    program = argv[0] if executable is None else executable
    sys.audit("subprocess.Popen", program, argv, cwd, env)
    return (
        tuple(argv),
        program,
        _search_path(program, env),
        env,
        cwd,
        _streams(command),
        close_fds,
        pass_fds,
        restore_signals,
        start_new_session or controlling_terminal is not None,
        _NONE if process_group is None else process_group,
        None if extra_groups is None else _groups(extra_groups),
        _NONE if group is None else _group(group),
        _NONE if user is None else _user(user),
        umask,
        _NONE if pipesize is None else pipesize,
        nice,
        parent_death_signal,
        _NONE if controlling_terminal is None else controlling_terminal,
        () if rlimits is None else tuple((resource, soft, hard) for resource, (soft, hard) in rlimits.items()),
    )


def _argv(command: Command, executable: Any) -> list[Any]:
    args = command.args
    if isinstance(args, os.PathLike) and command.shell:
        raise TypeError("path-like args is not allowed when shell is true")
    argv: list[Any] = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    return ["/bin/sh" if executable is None else executable, "-c", *argv] if command.shell else argv


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


def _streams(command: Command) -> tuple[int | os.PathLike[Any], ...]:
    streams: list[int | os.PathLike[Any]] = []
    for wish in (command.stdin, command.stdout, command.stderr):
        if wish is None:
            streams.append(_native.INHERIT)
        elif isinstance(wish, (int, os.PathLike)):
            streams.append(wish)
        else:
            streams.append(int(wish.fileno()))
    return tuple(streams)


def _user(user: str | int) -> int:
    if isinstance(user, str):
        import pwd

        return pwd.getpwnam(user).pw_uid
    return _checked(user, "User")


def _group(group: str | int) -> int:
    if isinstance(group, str):
        import grp

        return grp.getgrnam(group).gr_gid
    return _checked(group, "Group")


def _groups(groups: Iterable[str | int]) -> tuple[int, ...]:
    if isinstance(groups, str):
        raise ValueError("Groups must be a list, not a string")
    return tuple(map(_group, groups))


def _checked(number: int, what: str) -> int:
    if not isinstance(number, int):
        raise TypeError(f"{what} must be a string or an integer, not {type(number)}")
    if number < 0:
        raise ValueError(f"{what} ID cannot be negative, got {number}")
    return number


_OPTIONS = frozenset(_arguments.__kwdefaults__ or ())
