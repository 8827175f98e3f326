"""A file of jobs as a plan of the command line: `governess run jobs.toml [NAME…]`."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from governess.cli.run.inputs import SourceError
from governess.cli.run.inputs.templates import LineTemplate, Strings, WordsTemplate
from governess.jobs import Command, Job, JobOptions, Plan, PlanError
from governess.jobs._file import JobFileError, is_job_file, read_jobs

__all__ = ["FilePlan", "plan_of_file"]


class FilePlan:
    """The jobs of a file.

    Attributes:
        jobs: what is run.
        pools: the sizes of the pools.
        warnings: what the user should know before.
        total: how many jobs there are.
        known: likewise.
        taken: likewise.
    """

    def __init__(self, jobs: Plan, pools: Mapping[str, float]) -> None:
        self.jobs = jobs
        self.pools = pools
        self.warnings: list[str] = []
        self.total = self.known = self.taken = jobs.total or 0

    def items(self) -> Iterator[Job]:
        """Return the jobs."""
        return iter(self.jobs)

    def command(self, job: Job, slot: int) -> Command:
        """Return the command of a job."""
        return job.in_slot(slot)


def plan_of_file(words: Sequence[str], options: JobOptions, *, is_command: bool) -> FilePlan | None:
    """Return the plan that a file of jobs stands for; None if the words are no such file with names of jobs.

    Raises:
        SourceError: the file cannot be read, or a name in it is unknown.
    """
    if is_command or not words or not is_job_file(words[0]) or not _is_given_as_file(words):
        return None
    try:
        found = read_jobs(words[0], fill, options)
        jobs = found.plan.select(words[1:]) if len(words) > 1 else found.plan
    except (JobFileError, PlanError) as error:
        raise SourceError(str(error)) from None
    return FilePlan(jobs, found.pools)


def _is_given_as_file(words: Sequence[str]) -> bool:
    if any(word in (":::", ":::+", "::::", "::::+") for word in words):
        return False
    return not (os.access(words[0], os.X_OK) and os.path.isfile(words[0]) and "/" in words[0])


def fill(command: Command, argument: str, number: int, *, append: bool) -> Callable[[int], Command]:
    """Put an argument into a command with replacement strings: `governess.jobs._file.Fill`."""
    parse = LineTemplate.parse if isinstance(command, str) else WordsTemplate.parse
    template = parse(command, Strings(1), append=append)  # type: ignore[arg-type]
    return partial(template.fill, (argument,), number)
