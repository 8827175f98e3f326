"""The options of `governess run` that tell how commands are run, and what is made of them."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from governess._programs.units import parse_seconds, parse_size
from governess.children._cpus import usable_cpus
from governess.jobs import Backoff, Delay, FreeMemory, Gate, Halt, JobOptions, Journal, Load, RetryOn
from governess.jobs._file_values import parse_timeout
from governess.jobs._gates import parse_load
from governess.jobs._pools import Pools, parse_pool, parse_token
from governess.jobs._run import make_pools

__all__ = ["Parsed", "execution_options", "folder_of", "gates_of", "job_options", "journal_of", "pools_of"]

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]  # generic since click 8.2, and not at run time
else:
    _ParamType = click.ParamType


class Parsed(_ParamType):
    """A value that a function reads; its ValueError is the message for the user.

    Args:
        parse: the function.
        name: what the help calls the value.
    """

    def __init__(self, parse: Callable[[str], Any], name: str) -> None:
        self._parse = parse
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value that a text stands for."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_tries(text: str) -> int:
    """Return how often a job is run at most; 0 stands for no limit, as in GNU parallel.

    Raises:
        ValueError: it is no number.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no number of tries")
    return int(text) or 2**31


def parse_cpus(text: str) -> float:
    """Return a number of processors.

    Raises:
        ValueError: it is none.
    """
    try:
        cpus = float(text)
    except ValueError:
        cpus = -1.0
    if not 0 < cpus < 1e6:
        raise ValueError(f"{text!r} is no number of processors above 0")
    return cpus


def _load(text: str) -> float:
    return parse_load(text, usable_cpus())


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--timeout",
        type=Parsed(parse_timeout, "time"),
        metavar="T",
        help="End a command after T (90, 1.5s, 2m, or 200% of the median); it counts as failed.",
    ),
    click.option(
        "--grace",
        type=Parsed(parse_seconds, "time"),
        metavar="T",
        default=5.0,
        help="Time between TERM and KILL when a command is ended. Default: 5.",
    ),
    click.option(
        "--halt",
        type=Parsed(Halt.parse, "rule"),
        metavar="RULE",
        default="never",
        help="When to end the run: never, soon, now; or now,fail=1 soon,fail=30% now,success=1 now,done=2…",
    ),
    click.option(
        "--tries",
        "--retries",
        type=Parsed(parse_tries, "number"),
        metavar="N",
        default=1,
        help="Run a command that fails up to N times.",
    ),
    click.option(
        "--backoff",
        type=Parsed(Backoff.parse, "pauses"),
        metavar="A..B",
        default=Backoff(),
        help="Pauses between tries, doubled each time: 1s..60s. Default: none.",
    ),
    click.option(
        "--retry-on",
        type=Parsed(RetryOn.parse, "failures"),
        metavar="LIST",
        default=RetryOn(),
        help="Which failures are tried again: exit statuses, signal, timeout, memory, lost, failure. Default: all.",
    ),
    click.option("--delay", type=Parsed(parse_seconds, "time"), metavar="T", help="Wait T between two starts."),
    click.option(
        "--load",
        type=Parsed(_load, "load"),
        metavar="N",
        help="Start nothing while N processes are running: a number, or a percentage of the processors.",
    ),
    click.option(
        "--memfree",
        type=Parsed(parse_size, "size"),
        metavar="SIZE",
        help="Start nothing while less memory is free: 500M, 2G.",
    ),
    click.option(
        "--cpus", type=Parsed(parse_cpus, "number"), metavar="N", help="How many processors each command uses."
    ),
    click.option(
        "--memory",
        type=Parsed(parse_size, "size"),
        metavar="SIZE",
        help="How much memory each command uses; one that uses more is ended.",
    ),
    click.option(
        "--token",
        "tokens",
        type=Parsed(parse_token, "token"),
        multiple=True,
        metavar="NAME[=N]",
        help="What each command takes from a pool: gpu, gpu=2.",
    ),
    click.option(
        "--pool",
        "pools",
        type=Parsed(parse_pool, "pool"),
        multiple=True,
        metavar="NAME=N",
        help="What all commands share: gpu=2, cpus=4, memory=8G.",
    ),
    click.option("--wd", "--workdir", metavar="DIR", help="Run the commands in the folder DIR."),
    click.option("--joblog", metavar="FILE", help="Write a line for each command that has ended, like GNU parallel."),
    click.option("--results", metavar="DIR", help="Have the commands write into files of DIR, as with GNU parallel."),
    click.option("--nice", type=int, metavar="N", default=0, help="Add N to the niceness of the commands."),
)

_OPTIONS += (
    click.option("--journal", metavar="DIR", help="Record the run in DIR, so that --resume can go on with it."),
    click.option("--resume", is_flag=True, help="Run the commands that have not ended."),
    click.option("--resume-failed", is_flag=True, help="Run these, and those that failed."),
)

Function = TypeVar("Function", bound=Callable[..., Any])


def execution_options(function: Function) -> Function:
    """Add the options to a click command; its function gets them by name."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def job_options(values: dict[str, Any]) -> JobOptions:
    """Return how each command is run, from the values of the options."""
    timeout, factor = values["timeout"] or (None, None)
    return JobOptions(
        tries=values["tries"],
        backoff=values["backoff"],
        retry_on=values["retry_on"],
        timeout=timeout,
        timeout_factor=factor,
        grace=values["grace"],
        cpus=values["cpus"] or 0,
        memory=values["memory"],
        tokens=dict(values["tokens"]),
        nice=values["nice"],
    )


def journal_of(values: dict[str, Any]) -> Journal | None:
    """Return the journal of the run, from the values of the options.

    Raises:
        click.UsageError: there is something to go on with, and no journal.
    """
    folder, resume, failed = values["journal"], values["resume"], values["resume_failed"]
    if folder is None and (resume or failed):
        raise click.UsageError(
            f"--resume{'-failed' if failed else ''} goes on with a journal: give --journal DIR, also to the first run"
        )
    return None if folder is None else Journal(folder, resume=resume, retry_failed=failed)


def gates_of(values: dict[str, Any]) -> tuple[Gate, ...]:
    """Return what holds starts back, from the values of the options."""
    gates: list[Gate] = []
    if values["delay"]:
        gates.append(Delay(values["delay"]))
    if values["load"] is not None:
        gates.append(Load(values["load"]))
    if values["memfree"] is not None:
        gates.append(FreeMemory(values["memfree"]))
    return tuple(gates)


def pools_of(values: dict[str, Any], sizes: Mapping[str, float]) -> Pools:
    """Return what the commands share, from the values of the options, and where they say nothing from a file."""
    return make_pools({**sizes, **dict(values["pools"])})


def folder_of(values: dict[str, Any]) -> str | None:
    """Return the folder in which the commands run; None for that of this process.

    Raises:
        click.UsageError: there is no such folder.
    """
    folder: str | None = values["wd"]
    if folder == "...":
        raise click.UsageError("--wd ... is for other machines: mktemp -d makes a folder to give to --wd")
    if folder is not None and values["cluster"] is None and not os.path.isdir(folder):
        raise click.UsageError(f"--wd {folder}: there is no such folder")
    return folder
