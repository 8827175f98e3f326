"""What of a run is shown, and how."""

from dataclasses import dataclass

from governess.cli.run.output import Grouping

__all__ = ["Show"]


@dataclass(frozen=True, slots=True)
class Show:
    """What of a run is shown, and how."""

    grouping: Grouping = Grouping.LIVE
    """How the outputs of the commands are kept apart."""
    keep_order: bool = False
    """Whether they are written in the order of the commands."""
    spool: int = 2**30
    """How many bytes of them may wait."""
    heads: bool = False
    """Whether each command is written before its output."""
    traces: bool = False
    """Whether each command is written to standard error when it starts."""
    bar: bool = False
    """Whether there is a bar also if standard output is a pipe."""
    table: bool = False
    """Whether the table at the end has all commands."""
    quiet: bool = False
    """Whether governess itself shows nothing but what went wrong."""
