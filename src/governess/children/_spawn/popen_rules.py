"""What `subprocess.Popen` makes of its arguments, for the spawner that does without it: argv, users, groups, audit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["POPEN_USES_POSIX_SPAWN", "argv_of", "audit_posix_spawn", "group_number", "group_numbers", "user_number"]


def argv_of(args: Any, shell: bool, executable: Any) -> list[Any]:
    """Return the argv of the program, or of the shell that runs the line.

    Raises:
        TypeError: the line is a path.
    """
    if isinstance(args, os.PathLike) and shell:
        raise TypeError("path-like args is not allowed when shell is true")
    argv: list[Any] = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    return ["/bin/sh" if executable is None else executable, "-c", *argv] if shell else argv


#: Whether `subprocess` calls `os.posix_spawn` on this system for plain commands; from 3.13 on with `close_fds` too.
POPEN_USES_POSIX_SPAWN = bool(vars(subprocess).get("_USE_POSIX_SPAWN"))
_CLOSES_BY_POSIX_SPAWN: bool | None = vars(subprocess).get("_HAVE_POSIX_SPAWN_CLOSEFROM")


def audit_posix_spawn(program: Any, argv: list[Any], env: Any, close_fds: bool) -> None:
    """Raise the audit event of `os.posix_spawn` where `subprocess.Popen` would use that."""
    if not close_fds or _CLOSES_BY_POSIX_SPAWN:
        is_older = _CLOSES_BY_POSIX_SPAWN is None
        sys.audit("os.posix_spawn", program, argv, os.environ if env is None and is_older else env)


def user_number(user: str | int) -> int:
    """Return the number of a user, given by name or number.

    Raises:
        LookupError: there is no user of that name.
        TypeError, ValueError: it is neither a name nor a number.
    """
    if isinstance(user, str):
        import pwd

        return pwd.getpwnam(user).pw_uid
    return _checked(user, "User")


def group_number(group: str | int) -> int:
    """Return the number of a group, given by name or number.

    Raises:
        LookupError: there is no group of that name.
        TypeError, ValueError: it is neither a name nor a number.
    """
    if isinstance(group, str):
        import grp

        return grp.getgrnam(group).gr_gid
    return _checked(group, "Group")


def group_numbers(groups: Iterable[str | int]) -> tuple[int, ...]:
    """Return the numbers of groups; errors as `group_number`."""
    if isinstance(groups, str):
        raise ValueError("Groups must be a list, not a string")
    return tuple(map(group_number, groups))


def _checked(number: int, what: str) -> int:
    if not isinstance(number, int):
        raise TypeError(f"{what} must be a string or an integer, not {type(number)}")
    if number < 0:
        raise ValueError(f"{what} ID cannot be negative, got {number}")
    return number
