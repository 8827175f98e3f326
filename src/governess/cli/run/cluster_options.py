"""The options of `governess run` that tell where commands run, and the engine that is made of them."""

import logging
import os
import re
from typing import Any

import click

from governess._programs.units import parse_seconds
from governess.cli.run.execution import Parsed
from governess.cli.run.option_groups import Function, add_options
from governess.jobs import ClusterEngine

__all__ = ["cluster_options", "engine_of"]

_OPTIONS = (
    click.option(
        "--on",
        "cluster",
        metavar="CLUSTER",
        help="Run the commands on a Dask cluster: tcp://HOST:PORT of its scheduler, or local-cluster:N to try it.",
    ),
    click.option(
        "--shared",
        metavar="DIR",
        help="A folder that this machine and the workers share: outputs are written into it, and not sent.",
    ),
    click.option(
        "--cluster-timeout",
        type=Parsed(parse_seconds, "time"),
        metavar="T",
        default=60.0,
        help="How long to wait if the scheduler is lost. Default: 60.",
    ),
)


def cluster_options(function: Function) -> Function:
    """Add the options to a click command; its function gets them by name."""
    return add_options(_OPTIONS, function)


def engine_of(values: dict[str, Any], *, tty: bool) -> ClusterEngine | None:
    """Return what runs the commands, from the values of the options; None for this machine.

    Raises:
        click.UsageError: the options contradict each other, or Dask is not installed.
    """
    where, shared = values["cluster"], values["shared"]
    if where is None:
        if shared is not None:
            raise click.UsageError("--shared is for a cluster: give --on too, or leave it out")
        return None
    if tty:
        raise click.UsageError("--tty gives commands the terminal, which --on does not have: leave out one of them")
    for name in ("load", "memfree"):
        if values[name] is not None:
            raise click.UsageError(f"--{name} looks at this machine, on which --on runs nothing: leave out one of them")
    match = _LOCAL.fullmatch(where)
    if match is None and "://" not in where:
        raise click.UsageError(f"--on takes tcp://HOST:PORT of a scheduler, or local-cluster:N, not {where!r}")
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise click.UsageError(f"--on needs Dask: pip install 'governess[dask]' ({error})") from None
    from governess.jobs.dask import DaskEngine, LocalClusterEngine

    # What it would log of connections that break is told as what becomes of the jobs.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    if shared is not None and not os.path.isdir(shared):
        raise click.UsageError(f"--shared {shared}: there is no such folder")
    if match is not None:
        return LocalClusterEngine(int(match[1]), shared=shared)
    return DaskEngine(where, shared=shared, timeout=values["cluster_timeout"])


_LOCAL = re.compile(r"local-cluster:([1-9][0-9]{0,3})")
