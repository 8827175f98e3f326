"""Progress while the commands run: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from governess.cli.run.outcome import Outcome, duration, shown
from governess.cli.run.output import Writer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Bar", "Lines", "Progress", "State", "stderr_is_terminal"]

State = Callable[[], tuple[int, int, int]]
"""Tells how many commands have finished, have failed, and run."""


class Progress(Protocol):
    """Tells how far the commands have come."""

    def finished(self, outcome: Outcome) -> None:
        """Note one more command's end."""

    def tick(self) -> None:
        """Do what is due a few times a second."""

    def close(self) -> None:
        """Leave nothing half drawn."""


def stderr_is_terminal() -> bool:
    """Return whether standard error is a terminal that can redraw a line."""
    return os.isatty(2) and os.environ.get("TERM") != "dumb" and (sys.platform != "win32" or _windows_can_redraw())


class Lines:
    """A line for each command that ends; where they are very many, one for a failure and one now and then."""

    MANY = 100
    FAILURES = 20
    WIDTH = 80

    def __init__(self, writer: Writer, total: int, state: State) -> None:
        self._writer = writer
        self._total = total
        self._state = state
        self._failures = 0
        self._step = max(total // 10, 1)

    def finished(self, outcome: Outcome) -> None:
        """Write a line if one is due."""
        done, failed, _ = self._state()
        if self._total <= self.MANY or (outcome.failed and self._failures < self.FAILURES):
            self._failures += outcome.failed
            command = shown(outcome.command, self.WIDTH)
            status = outcome.status if not outcome.status[0].isdigit() else f"exit {outcome.status}"
            self._writer.say(f"[{done}/{self._total}] {status}, {duration(outcome.wall)}: {command}\n")
        elif done % self._step == 0:
            self._writer.say(f"[{done}/{self._total}] {failed} failed\n")

    def tick(self) -> None:
        """Do nothing: lines are written when a command ends."""

    def close(self) -> None:
        """Do nothing: no line is half written."""


class Bar:
    """One line at the bottom of the terminal, redrawn while commands run."""

    PATIENCE = 0.15
    """Seconds before it is drawn at all."""

    def __init__(self, writer: Writer, total: int, state: State) -> None:
        self._writer = writer
        self._total = total
        self._state = state
        self._started = time.monotonic()
        self._console: Console | None = None
        self._last = ""

    def finished(self, outcome: Outcome) -> None:
        """Do nothing: the next tick shows it."""

    def tick(self) -> None:
        """Draw the bar as things stand."""
        elapsed = time.monotonic() - self._started
        if elapsed >= self.PATIENCE and (line := self._line(elapsed)) != self._last:
            self._last = line
            self._writer.show_bar(line)

    def close(self) -> None:
        """Take the bar away."""
        if self._last:
            self._last = ""
            self._writer.show_bar("")

    def _line(self, elapsed: float) -> str:
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        console = self._console = self._console or Console(stderr=True)
        done, failed, running = self._state()
        text = Text(f" {done}/{self._total}", no_wrap=True, overflow="crop")
        if failed:
            text.append(f"  {failed} failed", "bold red")
        text.append(f"  {running} running  {_clock(elapsed)}", "dim")
        # The last column stays free: a terminal would go to the next line after it.
        width = min(40, console.width - 1 - text.cell_len)
        options = console.options.update(width=max(console.width - 1, 1), no_wrap=True, overflow="crop")
        with console.capture() as captured:
            if width >= 5:
                console.print(ProgressBar(total=self._total, completed=done, width=width), end="")
            text.truncate(options.max_width)
            console.print(text, end="", soft_wrap=True)
        return captured.get()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _windows_can_redraw() -> bool:
    from rich.console import Console

    return not Console(stderr=True).legacy_windows
