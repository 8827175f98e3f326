"""How one command ended, and how that is written for the user."""

import re
import shlex
import signal
import sys
from dataclasses import dataclass
from typing import Any

from governess.cli.run.sources import Command

if sys.platform != "win32":
    import resource

__all__ = ["Outcome", "duration", "memory", "printable", "shown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one command ended."""

    number: int
    command: Command
    code: int
    """The exit status, the negative number of the signal, or 126 and 127 for a command that could not start."""
    wall: float = 0.0
    cpu: float | None = None
    """Seconds of processor time, user and system; None if the system does not report it."""
    peak: int | None = None
    """The peak of the memory in use, in bytes; None if the system does not report it."""
    peak_is_bound: bool = False
    """Whether the peak may be lower: on Linux a child starts with the peak of the process that started it."""
    timed_out: bool = False
    lacked_terminal: bool = False
    """Whether it was ended because it used the terminal, and did not have it."""
    remark: str = ""
    """A word to show beside the code, such as `lost`."""

    @classmethod
    def of(
        cls,
        number: int,
        command: Command,
        code: int,
        wall: float,
        *,
        timed_out: bool = False,
        lacked_terminal: bool = False,
    ) -> "Outcome":
        """Return the outcome for a returncode; a `governess.Exit` holds more than the number."""
        lost, dumped = getattr(code, "lost", False), getattr(code, "core_dumped", False)
        remark = "lost" if lost else "core" if dumped else ""
        usage: Any = getattr(code, "rusage", None)
        cpu, peak, peak_is_bound = None, None, False
        if usage is not None:
            cpu = usage.ru_utime + usage.ru_stime
            peak, peak_is_bound = _peak(usage)
        return cls(
            number,
            command,
            int(code),
            wall,
            cpu,
            peak,
            peak_is_bound,
            timed_out=timed_out,
            lacked_terminal=lacked_terminal,
            remark=remark,
        )

    @property
    def failed(self) -> bool:
        """Whether it counts as failed."""
        return self.code != 0 or self.timed_out or self.lacked_terminal

    @property
    def status(self) -> str:
        """The exit status or the signal's name, in a few characters."""
        if self.timed_out:
            return "timed out"
        if self.lacked_terminal:
            return "no terminal"
        if self.remark == "lost":
            return "lost"
        if self.code < 0:
            return _signal_name(-self.code) + (f" ({self.remark})" if self.remark else "")
        text = str(self.code) if self.code < 0x8000_0000 else f"{self.code:#x}"  # as Windows shows exception codes
        return f"{text} ({self.remark})" if self.remark else text


def duration(seconds: float | None) -> str:
    """Format a duration: `0.04 s`, `2:05` minutes, `1:00:00` hours."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def memory(size: int | None, *, at_most: bool = False) -> str:
    """Format an amount of memory: `9.8 MiB`, or `≤ 9.8 MiB`."""
    if size is None:
        return "-"
    text = f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.2f} GiB"
    return f"≤ {text}" if at_most else text


def shown(command: Command, width: int | None = None) -> str:
    """Format a command as one line of printable characters; if it is too wide, its middle is left out.

    Args:
        command: an argv, which is quoted for a shell, or a line for a shell.
        width: the maximum number of characters; None for no limit.
    """
    text = command if isinstance(command, str) else shlex.join(command)
    if width is not None and len(text) > 4 * width:
        text = text[: 2 * width] + text[-2 * width :]
    text = printable(text)
    if width is not None and len(text) > width:
        head = width * 2 // 3
        text = f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"
    return text


def printable(text: str) -> str:
    """Escape unprintable characters, so that a file name, argument or message cannot control the terminal."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_escape, text)


def _peak(usage: Any) -> tuple[int, bool]:
    """Return the peak of memory in bytes, and whether it may be the peak of this process instead.

    Linux counts what a process had mapped before exec: with vfork, that is the memory of its parent (`exec_mmap()` in
    fs/exec.c takes over the old peak).
    """
    if sys.platform == "darwin":
        return usage.ru_maxrss, False
    ours = -1
    if sys.platform == "linux":
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * 1024, usage.ru_maxrss <= ours


_UNPRINTABLE = re.compile(r"[\W_]")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode()


def _signal_name(number: int) -> str:
    if sys.platform != "win32" and signal.SIGRTMIN < number <= signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
