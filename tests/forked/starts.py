"""How tests start `governess`: forked where it can be, else as an interpreter of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .processes import Forks, Popen

__all__ = ["Starts"]

#: What only `subprocess` itself can do.
OF_POPEN = {"preexec_fn", "process_group", "umask", "user", "group", "extra_groups"}


class Starts:
    """Starts `governess`.

    Attributes:
        can_fork: whether it can be forked here.
    """

    def __init__(self) -> None:
        self._forks: Forks | None = None
        # CLONE_PARENT is of Linux, and coverage measures interpreters from their start.
        self.can_fork = sys.platform == "linux" and not any(name.startswith("COVERAGE") for name in os.environ)

    def open(self) -> None:
        """Start the server, where it can work."""
        if self.can_fork and self._forks is None:
            self._forks = Forks()

    def close(self) -> None:
        """End the server."""
        if self._forks is not None:
            self._forks.close()
            self._forks = None

    @property
    def path(self) -> list[str]:
        """Folders for PATH, the first with a program `governess`."""
        own = str(Path(sys.executable).parent)
        return [own] if self._forks is None else [str(self._forks.folder), own]

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[Any]:
        """Start `governess WORDS…`, with the options of `subprocess.Popen`."""
        forks = self._forks
        if forks is None or OF_POPEN & options.keys() or forks.would_read(options.get("env") or os.environ):
            return subprocess.Popen([sys.executable, "-m", "governess", *words], **options)
        return Popen(forks, *words, **options)

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run `governess WORDS…` to its end, with options of `subprocess.run`; the output is captured."""
        input = options.pop("input", None)
        timeout = options.pop("timeout", 60)
        streams = {"stdin": subprocess.DEVNULL if input is None else subprocess.PIPE}
        streams |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.popen(*words, **streams, **options) as process:
            try:
                output, errors = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
