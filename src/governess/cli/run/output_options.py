"""The options of `governess run` that tell what is shown."""

from collections.abc import Callable
from typing import Any

import click

from governess._programs.units import parse_size
from governess.cli.run.execution import Parsed
from governess.cli.run.inputs import SourceError
from governess.cli.run.option_groups import Function, add_options, names_of
from governess.cli.run.output import Grouping
from governess.cli.run.output.delivery import SPOOL
from governess.cli.run.show import Show

__all__ = ["OUTPUT_NAMES", "output_options", "show_of"]

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "-k", "--keep-order", "--keeporder", is_flag=True, help="Write the output in the order of the commands."
    ),
    click.option(
        "--group", "wholes", is_flag=True, help="Write the output of a command when it has ended, not while it runs."
    ),
    click.option(
        "--line-buffer",
        "--linebuffer",
        "--lb",
        "by_lines",
        is_flag=True,
        help="Write lines as they come; lines of several commands mix.",
    ),
    click.option(
        "-u", "--ungroup", "ungroups", is_flag=True, help="Let the commands write directly; anything may mix."
    ),
    click.option("--tag", "tags", is_flag=True, help="Begin each line with the arguments."),
    click.option(
        "--tagstring",
        "--tag-string",
        metavar="TEXT",
        help="Begin each line with TEXT, which may contain {} and the like.",
    ),
    click.option("-v", "--verbose", "heads", count=True, help="Write each command before its output."),
    click.option("-t", "traces", is_flag=True, help="Write each command to standard error when it starts."),
    click.option("--dry-run", "--dryrun", is_flag=True, help="Write the commands, and run none."),
    click.option(
        "--spool",
        type=Parsed(parse_size, "size"),
        metavar="SIZE",
        default=SPOOL,
        help="How much output may be held back; above it, commands wait. Default: 1G.",
    ),
    click.option(
        "--bar", "--eta", "--progress", "bar", is_flag=True, help="Show the bar also if standard output is a pipe."
    ),
    click.option("--table", is_flag=True, help="Show all commands in the table at the end, not only the failed ones."),
    click.option("--quiet", "--silent", is_flag=True, help="Show no bar, no table and no summary."),
)

OUTPUT_NAMES = names_of(_OPTIONS)
"""The names of the parameters."""


def output_options(function: Function) -> Function:
    """Add the options about what is shown to a click command; its function gets them by name."""
    return add_options(_OPTIONS, function)


def show_of(values: dict[str, Any], *, tty: bool) -> Show:
    """Return how the output is shown, from the values of the options.

    Raises:
        SourceError: options contradict each other.
    """
    chosen = [
        (grouping, name)
        for grouping, name, key in (
            (Grouping.WHOLE, "--group", "wholes"),
            (Grouping.LINES, "--line-buffer", "by_lines"),
            (Grouping.NONE, "-u", "ungroups"),
        )
        if values[key]
    ]
    if len(chosen) > 1:
        raise SourceError(f"{chosen[0][1]} and {chosen[1][1]} contradict each other: give one of them")
    grouping = chosen[0][0] if chosen else Grouping.LIVE
    if grouping is Grouping.NONE and values["keep_order"]:
        raise SourceError("-k needs the output of the commands, and with -u they write it themselves: give one of them")
    if grouping is Grouping.NONE and (values["tags"] or values["tagstring"] is not None):
        raise SourceError("tags need the output of the commands, and with -u they write it themselves: leave one out")
    return Show(
        grouping=Grouping.NONE if tty else grouping,
        keep_order=values["keep_order"],
        spool=values["spool"],
        heads=bool(values["heads"]),
        traces=values["traces"],
        bar=values["bar"],
        table=values["table"],
        quiet=values["quiet"],
    )
