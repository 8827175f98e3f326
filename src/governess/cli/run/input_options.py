"""The options of `governess run` that tell what is run."""

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from governess._programs.units import parse_size
from governess.cli.run.execution import Parsed
from governess.cli.run.inputs import Batching, Fill, Format, InputOptions, Piping, SourceError, parse_delimiter
from governess.cli.run.option_groups import Function, add_options, names_of

__all__ = ["INPUT_NAMES", "input_options", "inputs_of"]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no number")
    return int(text)


def _positive(text: str) -> int:
    if (number := _count(text)) == 0:
        raise ValueError("it has to be at least 1")
    return number


def _columns(text: str) -> re.Pattern[str]:
    try:
        columns = re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    if columns.match(""):
        raise ValueError(
            f"{text!r} is a regular expression that matches nothing: did you mean {shlex.quote(re.escape(text))}?"
        )
    return columns


def _header(text: str) -> bool:
    if text not in (":", ".*\\n", "1"):
        raise ValueError(f"{text!r}: the header is the first line, --header :")
    return True


def _replacement(text: str) -> str:
    if not text.strip():
        raise ValueError("it needs a string to replace, such as {}")
    return text


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "-a",
        "--arg-file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Read arguments from FILE; - is standard input.",
    ),
    click.option("-0", "--null", is_flag=True, help="Arguments in files end with NUL (find -print0)."),
    click.option(
        "-d",
        "--delimiter",
        type=Parsed(parse_delimiter, "text"),
        metavar="D",
        help=r"Arguments in files end with D: , or \t.",
    ),
    click.option(
        "-C", "--colsep", type=Parsed(_columns, "regexp"), metavar="RE", help="RE separates columns: {1}, {2} …"
    ),
    click.option("--csv", "is_csv", is_flag=True, help="Arguments are rows of CSV: {1}, {2} …"),
    click.option(
        "--header",
        type=Parsed(_header, "text"),
        metavar=":",
        help="The first line has the names of the columns: {name}.",
    ),
    click.option(
        "--trim",
        type=click.Choice(["n", "l", "r", "lr", "rl"]),
        help="Remove blanks left and right of arguments. Default with --colsep: lr.",
    ),
    click.option("-r", "--no-run-if-empty", "skip_empty", is_flag=True, help="Leave out empty arguments."),
    click.option(
        "--link",
        "--xapply",
        "links",
        is_flag=True,
        help="Take one argument of each ::: at a time; shorter lists are repeated.",
    ),
    click.option("-n", "--max-args", type=Parsed(_count, "number"), metavar="N", help="N arguments for each command."),
    click.option(
        "-N", "--max-replace-args", type=Parsed(_count, "number"), metavar="N", help="The same: they are {1} to {N}."
    ),
    click.option("-L", "max_lines", type=Parsed(_positive, "number"), metavar="N", help="N lines for each command."),
    click.option("-X", "repeats", is_flag=True, help="As many arguments as fit; the word with {} is repeated."),
    click.option("-m", "spreads", is_flag=True, help="As many arguments as fit, in the place of {}."),
    click.option("--xargs", "fills", is_flag=True, help="Like -m, but not spread over the slots."),
    click.option(
        "-s",
        "--max-chars",
        type=Parsed(_positive, "number"),
        metavar="N",
        help="At most N characters for each command.",
    ),
    click.option(
        "-I",
        "replacement",
        type=Parsed(_replacement, "text"),
        metavar="STRING",
        default="{}",
        help="STRING stands for the argument, instead of {}.",
    ),
    click.option(
        "-q", "--quote", "as_it_stands", is_flag=True, help="A command of one word is not a line for the shell."
    ),
    click.option("--shell", metavar="SHELL", help="The shell for lines. Default: sh; bash for exported functions."),
    click.option("--shuf", "shuffles", is_flag=True, help="Run the commands in random order."),
    click.option(
        "--pipe",
        "--spreadstdin",
        "pipes",
        is_flag=True,
        help="Give standard input to the commands, in blocks of whole lines.",
    ),
    click.option(
        "--block",
        "--block-size",
        type=Parsed(parse_size, "size"),
        metavar="SIZE",
        help="The size of these blocks. Default: 1M.",
    ),
    click.option("--recend", metavar="TEXT", help=r"The text that ends a record for --pipe. Default: \n."),
    click.option("--recstart", metavar="TEXT", help="The text that begins a record for --pipe."),
    click.option(
        "--remove-rec-sep",
        "--removerecsep",
        "--rrs",
        "removes_separators",
        is_flag=True,
        help="Remove these texts from the blocks.",
    ),
    click.option("-x", "--exit", "--plus", "--will-cite", "--gnu", "--no-notice", "ignored", is_flag=True, hidden=True),
)


INPUT_NAMES = names_of(_OPTIONS)
"""The names of the parameters."""


def input_options(function: Function) -> Function:
    """Add the options about what is run to a click command; its function gets them by name."""
    return add_options(_OPTIONS, function)


def inputs_of(values: dict[str, Any], slots: int) -> InputOptions:
    """Return what is run, from the values of the options.

    Args:
        values: the values.
        slots: how many commands run at once.

    Raises:
        SourceError: options contradict each other.
    """
    piping = _piping(values) if values["pipes"] else None
    if piping is None and (given := _given(values, "block", "recend", "recstart", "removes_separators")):
        raise SourceError(f"{given} is for --pipe, which is not given")
    return InputOptions(
        files=values["files"],
        form=_format(values),
        header=bool(values["header"]),
        links=values["links"],
        batching=Batching() if piping is not None else _batching(values, slots),
        replacement=values["replacement"],
        shuffles=values["shuffles"],
        as_it_stands=values["as_it_stands"],
        shell=values["shell"],
        piping=piping,
        tag=values["tagstring"] if values["tagstring"] is not None else "{}" if values["tags"] else None,
    )


def _given(values: dict[str, Any], *names: str) -> str | None:
    spelt = {"removes_separators": "--remove-rec-sep", "repeats": "-X", "spreads": "-m", "fills": "--xargs"}
    return next((spelt.get(name, f"--{name}") for name in names if values[name]), None)


def _format(values: dict[str, Any]) -> Format:
    if values["null"] and values["delimiter"] is not None:
        raise SourceError("-0 and -d contradict each other: give one of them")
    columns = values["colsep"]
    if columns is None and values["header"]:
        columns = re.compile("\t")
    form = Format(
        delimiter=b"\0" if values["null"] else values["delimiter"] or b"\n",
        columns=columns,
        trim=values["trim"] or ("lr" if values["colsep"] is not None and not values["is_csv"] else ""),
        skip_empty=values["skip_empty"],
    )
    if not values["is_csv"]:
        return form
    comma = os.fsdecode(parse_delimiter(values["colsep"].pattern)) if values["colsep"] is not None else ","
    if len(comma) != 1:
        raise SourceError(f"--csv has one character between columns, and --colsep {comma} is not one")
    return replace(form, csv=True, columns=None, comma=comma)


def _batching(values: dict[str, Any], slots: int) -> Batching:
    sizes = [values[name] for name in ("max_args", "max_replace_args", "max_lines") if values[name] is not None]
    if len(sizes) > 1:
        raise SourceError("-n, -N and -L each say how many arguments a command gets: give one of them")
    size = sizes[0] if sizes else None
    fills = size is None and (values["repeats"] or values["spreads"] or values["fills"] or values["max_chars"])
    if size is None and not fills:
        return Batching()
    return Batching(
        size=size,
        fills=bool(fills),
        shares=1 if values["fills"] else slots,
        longest=values["max_chars"],
        fill=_fill(values),
    )


def _fill(values: dict[str, Any]) -> Fill:
    if values["repeats"]:
        return Fill.REPEAT
    spreads = values["spreads"] or values["fills"] or values["max_args"] is not None
    return Fill.SPREAD if spreads else Fill.REPEAT


def _piping(values: dict[str, Any]) -> Piping:
    if given := _given(values, "repeats", "spreads", "fills", "links", "colsep", "null", "delimiter"):
        raise SourceError(f"{given} is about arguments, and with --pipe there are none: see --recend")
    start, end = values["recstart"], values["recend"]
    number = values["max_replace_args"] or values["max_args"]
    return Piping(
        block=values["block"] or 2**20,
        records=number,
        lines=values["max_lines"] or 1,
        start=_separator(start or ""),
        end=_separator(end) if end is not None else (b"" if start else b"\n"),
        removes_separators=values["removes_separators"],
        header=bool(values["header"]),
    )


def _separator(text: str) -> bytes:
    return parse_delimiter(text) if text else b""
