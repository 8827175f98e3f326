"""How commands, durations and sizes are written for the user."""

import shlex

from governess.cli.printable import printable
from governess.jobs import Command
from governess.jobs import JobResult as Outcome

__all__ = ["Outcome", "duration", "full_text", "memory", "printable", "shown"]


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
    text = full_text(command)
    if width is not None and len(text) > 4 * width:
        text = text[: 2 * width] + text[-2 * width :]
    text = printable(text)
    if width is not None and len(text) > width:
        head = width * 2 // 3
        text = f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"
    return text


def full_text(command: Command) -> str:
    """Return a command as it could be typed: a line as it stands, an argv quoted."""
    return command if isinstance(command, str) else shlex.join(command)
