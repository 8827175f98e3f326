"""The click command of `governess logs`: what a job has written."""

import shutil
import sys
from pathlib import Path
from typing import BinaryIO

import click

from governess.cli.jobs.common import opened

__all__ = ["command"]


@click.command("logs", short_help="Show what a job of a journal has written.")
@click.option("--journal", required=True, metavar="DIR", help="The journal.")
@click.option("--try", "start", type=click.IntRange(1), metavar="N", help="Its Nth start. Default: the last one.")
@click.option("--stdout", "only_out", is_flag=True, help="Only what it wrote to standard output.")
@click.option("--stderr", "only_err", is_flag=True, help="Only what it wrote to standard error.")
@click.argument("name", metavar="NAME")
def command(journal: str, start: int | None, only_out: bool, only_err: bool, name: str) -> int:
    """Write what a job has written: its standard output to standard output, its standard error to standard error.

    NAME is the name of the job, or its number, as `governess ps` shows it.
    """
    if only_out and only_err:
        raise click.UsageError("--stdout and --stderr contradict each other: without both, you get both")
    with opened(journal) as reader:
        job = reader.find(name)
        if not job.starts:
            raise click.UsageError(f"job {name} has not been started")
        if start is not None and start > job.starts:
            times = "once" if job.starts == 1 else f"{job.starts} times"
            raise click.UsageError(f"job {name} was started {times}, so there is no start {start}")
        out, err = reader.output(job.number, start or job.starts)
    if not only_err:
        _copy(out, sys.stdout.buffer)
    if not only_out:
        _copy(err, sys.stderr.buffer)
    return 0


def _copy(path: Path, target: BinaryIO) -> None:
    try:
        with open(path, "rb") as file:
            shutil.copyfileobj(file, target)
    except FileNotFoundError:
        return  # it could not be started
    target.flush()
