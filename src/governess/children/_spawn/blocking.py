"""Starting a child by `subprocess.Popen` in the calling thread, which waits for the exec."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from governess.children._child import Child
from governess.children._pidfd import open_pidfd
from governess.children._registry import tell_of_spawn
from governess.children._spawn.command import Command, Spawned
from governess.children._spawn.stdio import Pipes
from governess.children._spawn.with_parent import end_with_parent, is_guardian_usable, promise

if sys.platform == "win32":
    from governess.children._windows import WindowsChild

__all__ = ["POPEN", "start"]

#: What `subprocess.Popen` is, unless somebody has replaced it.
POPEN = subprocess.Popen

_BEYOND_POPEN = frozenset({"controlling_terminal", "nice", "parent_death_signal", "rlimits"})


def start(command: Command) -> Spawned:
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
    if (dies_with_parent := options.pop("die_with_parent", False)) and not is_guardian_usable():
        raise NotImplementedError(
            "die_with_parent: without the native spawner, this needs a guardian, which cannot run here: "
            "it needs Linux's pidfds, and Python's own executable"
        )
    _refuse_no_change(options)
    guard = promise(options) if dies_with_parent else None
    with Pipes(options.pop("pipesize", -1)) as pipes:
        process = (_Popen if subprocess.Popen is POPEN else subprocess.Popen)(
            command.args,
            shell=command.shell,
            stdin=pipes.for_child(0, command.stdin),
            stdout=pipes.for_child(1, command.stdout),
            stderr=pipes.for_child(2, command.stderr),
            **options,
        )
        child = _child_of(process, command)
        spawned = Spawned(child, pipes.keep_ours())
        spawned.keep_group(command)
        if guard is not None:
            end_with_parent(spawned, guard, is_registered=False, has_death_signal=False)
    tell_of_spawn(child)
    return spawned


def _refuse_no_change(options: dict[str, Any]) -> None:
    """Refuse 2**32-1 as a user or group: it means "as it is" to the kernel (setreuid(2)), and Popen passes it on."""
    groups = options.get("extra_groups")
    if groups is not None and not isinstance(groups, str):
        groups = options["extra_groups"] = list(groups)  # which Popen reads again
    for number in (options.get("user"), options.get("group"), *(groups or ())):
        if number == 2**32 - 1:
            raise OverflowError(f"{number} is not the number of a user or group")


def _child_of(process: Any, command: Command) -> Child:
    if sys.platform == "win32":
        return WindowsChild(process, command.argv)
    pidfd = process.pidfd if isinstance(process, _Popen) else _pidfd_of_child(process.pid)
    child = Child(process.pid, command.argv, pidfd=pidfd)
    # A dropped Popen without a returncode is reaped by the next Popen (subprocess._cleanup), behind our back.
    process.returncode = 0
    return child


def _pidfd_of_child(pid: Any) -> int | None:
    """Return a descriptor of what somebody's own Popen has started; None if that is no child, as of a fake Popen."""
    if not isinstance(pid, int) or (pidfd := open_pidfd(pid)) is None:
        return None
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except OSError:
        os.close(pidfd)
        return None
    return pidfd


class _Popen(subprocess.Popen[bytes]):
    """Opens the pidfd in the moment when the pid is known.

    Popen goes on to wait for the exec, and gives the GIL away for that: with many threads it comes back late enough
    for a short child to be dead and, if there is a thief, gone.
    """

    pidfd: int | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            super().__init__(*args, **options)
        except BaseException as error:
            if self.pidfd is not None:
                os.close(self.pidfd)  # of a child that could not exec
            if isinstance(error, Exception) and vars(self).get("pid"):
                # Popen has waited for it. If somebody else was faster, it would do so again with its next instance, and
                # reap another child with that pid (`subprocess._cleanup`).
                self.returncode = 0
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "pid" and value:
            self.pidfd = open_pidfd(value)
