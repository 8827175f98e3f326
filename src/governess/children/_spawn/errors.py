"""The error of a start that has failed, as `subprocess.Popen` raises it."""

from __future__ import annotations

import os

from governess.children._spawn.command import Command
from governess.children._spawn.popen_rules import argv_of

__all__ = ["error_of_start"]


def error_of_start(command: Command, error: int, step: str) -> OSError:
    """Return the error of the step that has failed; as Popen's, it names the program, `cwd` or a stream's file.

    Args:
        command: what was to be started.
        error: the number of the error: `errno`.
        step: what has failed, in the words of the extension.
    """
    executable = command.options.get("executable")
    program = argv_of(command.args, command.shell, executable)[0] if executable is None else executable
    files = {"cwd": command.options.get("cwd"), "exec": program}
    files |= {"stdin": command.stdin, "stdout": command.stdout, "stderr": command.stderr}
    if isinstance(file := files.get(step), (str, bytes, os.PathLike)):
        return OSError(error, os.strerror(error), file)
    failure = OSError(error, os.strerror(error))
    failure.add_note(f"what failed in the start of the child: {step}")
    return failure
