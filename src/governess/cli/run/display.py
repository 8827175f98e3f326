"""What the user sees of a run: the outputs of the commands, how far they are, and a report at the end."""

import os
import shutil
import stat
from collections.abc import Callable, Collection
from pathlib import Path

from governess.cli.run.inputs import Plan
from governess.cli.run.item_jobs import item_of
from governess.cli.run.job_file import FilePlan
from governess.cli.run.outcome import full_text, printable, shown
from governess.cli.run.output import CommandOutput, Delivery, Grouping, Writer
from governess.cli.run.progress import Bar, Failures, Lines, Progress, Silence, Snapshot, stderr_is_terminal
from governess.cli.run.report import Tally, plain_table, rich_table, summary
from governess.cli.run.show import Show
from governess.jobs import Attempt, Files, Inherited, JobResult, Output, Summary

__all__ = ["Display", "is_pipe"]

# Of how many commands the bar may tell the names.
NAMES = 10


class Display:
    """Shows a run.

    Args:
        plan: what is run.
        show: what of it is shown.
        writer: writes it.
        state: returns what came of the run so far, and what runs.
        on_trouble: called when output that has to wait cannot be stored.
        tty: whether each command has the terminal.
    """

    def __init__(
        self,
        plan: Plan | FilePlan,
        show: Show,
        writer: Writer,
        state: Callable[[], tuple[Summary, Collection[Attempt]]],
        on_trouble: Callable[[OSError], None],
        *,
        tty: bool,
    ) -> None:
        self._plan = plan
        self._show = show
        self._writer = writer
        self._state = state
        self._tty = tty
        self._delivery = Delivery(
            writer, on_trouble, grouping=show.grouping, keep_order=show.keep_order, limit=show.spool
        )
        self._tally = Tally(all=show.table)
        self._escapes = os.isatty(1)
        self._terminal = stderr_is_terminal()
        self._progress = self._make_progress()

    def _make_progress(self) -> Progress:
        show, writer = self._show, self._writer
        if show.quiet:
            return Silence()
        if not self._terminal or self._tty:
            return Lines(writer, self._snapshot)
        if show.grouping is Grouping.NONE or (is_pipe(1) and not show.bar):
            return Failures(writer, self._snapshot)  # a pager may have the terminal
        return Bar(writer, self._snapshot)

    @property
    def ticks(self) -> bool:
        """Whether `tick` does anything."""
        return isinstance(self._progress, Bar)

    def tick(self) -> None:
        """Update what is shown."""
        self._progress.tick()

    def relieve(self) -> None:
        """Have commands go on that wait for what is written."""
        self._delivery.relieve()

    def output(self, attempt: Attempt) -> Output:
        """Return where the output of a command goes."""
        if self._tty:
            return Inherited(foreground=True)
        if self._show.grouping is Grouping.NONE:
            self._writer.write(1, self._heading(attempt))
            return Inherited()
        return self._open(attempt)

    def _open(self, attempt: Attempt) -> CommandOutput:
        item = item_of(attempt.job)
        tag = "" if item is None or isinstance(self._plan, FilePlan) else self._plan.tag(item, attempt.slot)
        output = self._delivery.open(attempt.number, tag=self._encoded(tag))
        output.feed(1, self._heading(attempt))
        return output

    def _heading(self, attempt: Attempt) -> bytes:
        return self._encoded(full_text(attempt.command)) + b"\n" if self._show.heads else b""

    def _encoded(self, text: str) -> bytes:
        return os.fsencode(printable(text) if self._escapes else text)

    def started(self, attempt: Attempt) -> None:
        """Show that a command has been started."""
        if self._show.traces:
            self._writer.say(f"{shown(attempt.command)}\n")
        if isinstance(attempt.output, CommandOutput):
            attempt.output.started(attempt.running)

    def ended(self, attempt: Attempt, *, runs_again: bool = False) -> None:
        """Write what a command has written, when its turn comes."""
        output = attempt.output
        if isinstance(output, Files):
            written = self._open(attempt)
            if any(map(_holds_anything, output)):
                written.attach(output)
            output = written
        if isinstance(output, CommandOutput):
            self._delivery.close(output, runs_again=runs_again)

    def finished(self, result: JobResult, attempt: Attempt | None, *, is_shown: bool = True) -> None:
        """Show that a command has ended for good."""
        self._tally.add(result)
        if attempt is not None:
            self.ended(attempt)
        elif self._show.keep_order:
            self._delivery.close(self._delivery.open(result.number))  # others wait for its number
        if is_shown:
            self._progress.finished(result)

    def already(self, number: int) -> None:
        """Leave out a command that an earlier run of the journal has finished."""
        if self._show.keep_order:
            self._delivery.close(self._delivery.open(number))

    def close(self) -> None:
        """Remove what shows how far the commands are."""
        self._progress.close()

    def report(self, wall: float) -> str:
        """Return the table and the summary.

        Args:
            wall: how many seconds the run took.
        """
        plan = self._plan
        if self._show.quiet:
            return ""
        if not plan.taken and plan.total in (0, None):
            return "" if plan.total is None else "governess run: nothing to run: the list is empty\n"
        table = rich_table(self._tally) if self._terminal else plain_table(self._tally, _columns())
        before = self._state()[0].from_journal
        not_started = plan.known - self._tally.finished - before
        known = f"{before} more were done before, by the journal\n" if before else ""
        if before and not self._tally.finished:
            return known
        return table + known + summary(self._tally, not_started, wall, is_complete=plan.total is not None)

    def _snapshot(self) -> Snapshot:
        found, running = self._state()
        names: tuple[str, ...] = ()
        if isinstance(self._progress, Bar):
            names = tuple(map(_name, sorted(running, key=lambda attempt: attempt.number)[:NAMES]))
        return Snapshot(found.finished, found.failed, len(running), self._plan.known, found.total is not None, names)


def _name(attempt: Attempt) -> str:
    item = item_of(attempt.job)
    return shown(attempt.command, 80) if item is None or not item.arguments else item.name


def _holds_anything(file: Path) -> bool:
    try:
        with file.open("rb") as opened:  # which has NFS ask the server for the size
            return os.fstat(opened.fileno()).st_size > 0
    except FileNotFoundError:  # a command that could not be started has none
        return False
    except OSError:  # who reads it will tell
        return True


def is_pipe(descriptor: int) -> bool:
    """Return whether a descriptor is a pipe or a socket."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _columns() -> int:
    return shutil.get_terminal_size((100, 24)).columns
