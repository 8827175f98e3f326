"""What the user sees on standard error while the commands run."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from governess.cli.run.outcome import Outcome, duration, printable, shown
from governess.cli.run.output import Writer
from governess.cli.run.pager import pager_has_terminal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Bar", "Failures", "Lines", "Progress", "Silence", "Snapshot", "State", "stderr_is_terminal"]


class Snapshot(NamedTuple):
    """How far the commands are."""

    finished: int
    """How many have ended."""
    failed: int
    """How many of these have failed."""
    running: int
    """How many are running."""
    known: int
    """How many there are, as far as it is known."""
    is_complete: bool = True
    """Whether there are no more than these."""
    names: Sequence[str] = ()
    """What runs, those that were started first before the others."""


State = Callable[[], Snapshot]


class Progress(Protocol):
    """Shows how many commands have ended."""

    def finished(self, outcome: Outcome) -> None:
        """Note that one more command has ended."""

    def tick(self) -> None:
        """Update the display; called a few times a second."""

    def close(self) -> None:
        """Finish the display."""


def stderr_is_terminal() -> bool:
    """Return whether standard error is a terminal that can redraw a line."""
    return os.isatty(2) and os.environ.get("TERM") != "dumb" and (sys.platform != "win32" or _windows_can_redraw())


class Silence:
    """Shows nothing."""

    def finished(self, outcome: Outcome) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Failures(Silence):
    """Writes a line for each failure, up to a number."""

    MOST = 20
    WIDTH = 80

    def __init__(self, writer: Writer, state: State) -> None:
        self._writer = writer
        self._state = state
        self._failures = 0

    def finished(self, outcome: Outcome) -> None:
        """Write a line if the command has failed, unless a pager has the terminal: the table tells it afterwards."""
        if outcome.failed and self._failures < self.MOST and not pager_has_terminal():
            self._failures += 1
            self._tell(outcome, self._state())

    def _tell(self, outcome: Outcome, now: Snapshot) -> None:
        command = shown(outcome.command, self.WIDTH)
        status = outcome.status if not outcome.status[0].isdigit() else f"exit {outcome.status}"
        self._writer.say(f"[{now.finished}/{_total(now)}] {status}, {duration(outcome.duration)}: {command}\n")


class Lines(Failures):
    """Writes a line for each command that ends; with very many commands, for failures and for every tenth part."""

    MANY = 100
    STEP = 1000

    def finished(self, outcome: Outcome) -> None:
        """Write a line if one is due."""
        now = self._state()
        if now.known <= self.MANY:
            self._tell(outcome, now)
            return
        super().finished(outcome)
        step = max(now.known // 10, 1) if now.is_complete else self.STEP
        if now.finished % step == 0:
            self._writer.say(f"[{now.finished}/{_total(now)}] {now.failed} failed\n")


def _total(now: Snapshot) -> str:
    return f"{now.known}" if now.is_complete else f"{now.known}+"


class Bar:
    """Redraws one line at the bottom of the terminal while commands run."""

    DELAY = 0.15
    """How many seconds after the start the bar is first drawn."""
    LONGEST = 30
    """How many columns the bar itself takes at most."""
    SHORTEST = 5
    LEAST_NAME = 8

    def __init__(self, writer: Writer, state: State) -> None:
        self._writer = writer
        self._state = state
        self._started = time.monotonic()
        self._console: Console | None = None
        self._last = ""

    def finished(self, outcome: Outcome) -> None:
        """Do nothing: the next tick shows it."""

    def tick(self) -> None:
        """Draw the bar if it has changed."""
        elapsed = time.monotonic() - self._started
        if elapsed < self.DELAY:
            return
        line, width = self._line(self._state(), elapsed)
        if line != self._last:
            self._last = line
            self._writer.show_bar(line, width)

    def close(self) -> None:
        """Remove the bar."""
        if self._last:
            self._last = ""
            self._writer.show_bar("")

    def _line(self, now: Snapshot, elapsed: float) -> tuple[str, int]:
        from rich.console import Console
        from rich.text import Text

        console = self._console = self._console or Console(stderr=True)
        # The last column stays empty: after it a terminal would continue on the next line.
        room = max(console.width - 1, 1)
        text = Text(f"{now.finished}/{_total(now)}", no_wrap=True, overflow="crop")
        if now.failed:
            text.append(f"  {now.failed} failed", "bold red")
        least = self.SHORTEST + 1 if now.is_complete else 0
        for part, spare in ((f"  {_left(now, elapsed)}", 0), (f"  {now.running} running", least)):
            if text.cell_len + len(part) + spare <= room:
                text.append(part, "dim")
        width = min(self.LONGEST, room // 3, room - text.cell_len - 1)
        if width < self.SHORTEST or not now.is_complete:
            width = 0
        left = room - text.cell_len - (width + 1 if width else 0) - 2
        if names := _names(now.names, left, self.LEAST_NAME):
            text.append(f"  {names}", "dim")
        line = Text(no_wrap=True, overflow="crop")
        if width:
            # Not rich's own bar, which without colours ends where its filled part does.
            filled = width * now.finished // max(now.known, 1)
            line.append("━" * filled, "bar.complete").append("─" * (width - filled), "bar.back").append(" ")
        line.append_text(text).truncate(room)
        with console.capture() as captured:
            console.print(line, end="", soft_wrap=True)
        return captured.get(), line.cell_len


def _left(now: Snapshot, elapsed: float) -> str:
    """Return about how long it still takes; as long as that cannot be told, how long it has taken."""
    if not now.finished or not now.is_complete or now.finished == now.known:
        return _clock(elapsed)
    return f"{_clock(elapsed / now.finished * (now.known - now.finished))} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _names(names: Sequence[str], room: int, least: int) -> str:
    """Return as many names as there is room for, the last one shortened."""
    from rich.cells import cell_len, set_cell_size

    text = ""
    for name in names:
        name = printable(name) or "''"
        start = f"{text}, " if text else ""
        left = room - cell_len(start)
        if cell_len(name) > left:
            # A name of which little would be left tells nothing.
            return text if left < least else f"{start}{set_cell_size(name, left - 1)}…"
        text = start + name
    return text


def _windows_can_redraw() -> bool:
    from rich.console import Console

    return not Console(stderr=True).legacy_windows
