"""How ends and times are told."""

from __future__ import annotations

import signal

__all__ = ["again_text", "end_text", "seconds", "status_of"]


def end_text(code: int | None) -> str:
    """Return how a process has ended, in words."""
    if code is None:
        return "has not run"
    if code >= 0:
        return f"has ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def status_of(code: int | None) -> int:
    """Return the exit status that stands for the end of a process, as a shell has it: 128 and a signal's number."""
    if code is None:
        return 1
    return code if code >= 0 else 128 - code


def again_text(pause: float, deaths: int) -> str:
    """Return when it is started again, in words."""
    times = "" if deaths < 2 else f" (death {deaths} in a row)"
    return f"starts again in {seconds(pause)}{times}"


def seconds(value: float | None) -> str:
    """Return seconds with two figures: `0.12 s`, `1.2 s`, `12 s`."""
    if value is None:
        return "-"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
