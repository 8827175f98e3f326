"""The jobs of a run, and which of them wait for others."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from governess.jobs._job import Job

__all__ = ["JobSource", "Plan", "PlanError"]


CIRCLE = "jobs wait for each other in a circle, so none can start"


class PlanError(ValueError):
    """A plan is invalid: two jobs have the same name, a name is unknown, or jobs wait for each other.

    Attributes:
        circle: the names of the jobs that wait for each other, with the first name again at the end; empty for the
            other errors.
    """

    circle: tuple[str, ...] = ()


@runtime_checkable
class JobSource(Protocol):
    """A source of jobs that arrive while other jobs run, such as a pipe."""

    @property
    def is_ready(self) -> bool:
        """Whether `take` can return at once."""
        ...

    def take(self) -> Job | None:
        """Return the next job; None after the last one."""
        ...

    async def wait(self) -> None:
        """Wait until `take` can return at once."""
        ...


class Plan:
    """The jobs of a run, numbered from 1.

    Jobs of a sequence may wait for other jobs. From any other iterable, and from a `JobSource`, the run takes the next
    job when a slot is free; such a plan needs little memory, but its jobs cannot wait for each other.

    Args:
        jobs: the jobs.
        total: the number of jobs of an iterable; None if unknown. For a sequence, its length is used.

    Raises:
        PlanError: two jobs have the same name, a job waits for an unknown job, or jobs wait for each other in a circle,
            which the text names.
    """

    def __init__(self, jobs: Iterable[Job] | JobSource, *, total: int | None = None) -> None:
        self.total = len(jobs) if isinstance(jobs, Sequence) else total
        self.source: JobSource | None = jobs if isinstance(jobs, JobSource) else None
        """The source of jobs that arrive while other jobs run; None for an iterable."""
        self._jobs: Iterable[Job] = () if isinstance(jobs, JobSource) else jobs
        self.has_order = False
        """Whether any job waits for another one."""
        if isinstance(jobs, Sequence):
            self.has_order = any(job.after for job in jobs)
            _check(jobs, self.has_order)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def listed(self) -> Sequence[Job]:
        """Return the jobs if they are a sequence; an empty sequence if they are taken one by one."""
        return self._jobs if isinstance(self._jobs, Sequence) else ()

    def dependencies(self) -> dict[int, set[int]]:
        """Return, by the number of each job, the numbers of the jobs that must succeed before it starts."""
        jobs = self._jobs
        assert isinstance(jobs, Sequence)
        numbers = {job.name: number for number, job in enumerate(jobs, 1) if job.name}
        return {number: {numbers[name] for name in job.after} for number, job in enumerate(jobs, 1)}

    async def gathered(self) -> Plan:
        """Wait until all jobs have arrived, and return a plan with the sequence of them."""
        if isinstance(self._jobs, Sequence) and self.source is None:
            return self
        jobs = list(self._jobs)
        if (source := self.source) is not None:
            while True:
                if not source.is_ready:
                    await source.wait()
                if (job := source.take()) is None:
                    break
                jobs.append(job)
        return Plan(jobs)

    def select(self, names: Iterable[str]) -> Plan:
        """Return a plan with the jobs of these names and all jobs that these wait for.

        A name also selects the jobs that `each` of a job file has made from it: ``resize`` selects ``resize[a.png]``.

        Raises:
            PlanError: no job has such a name.
        """
        jobs = list(self._jobs)
        by_name = {job.name: job for job in jobs}
        wanted: list[str] = []
        for name in names:
            found = [each for each in by_name if each == name or each.startswith(f"{name}[")]
            if not found:
                raise PlanError(f"no job is called {name!r}{_similar(name, by_name)}")
            wanted += found
        chosen: set[str] = set()
        while wanted:
            if (name := wanted.pop()) not in chosen:
                chosen.add(name)
                wanted += by_name[name].after
        return Plan([job for job in jobs if job.name in chosen])


def _check(jobs: Sequence[Job], has_order: bool) -> None:
    names: set[str] = set()
    for job in jobs:
        if job.name and job.name in names:
            raise PlanError(f"two jobs are called {job.name!r}: a name stands for one job")
        names.add(job.name)
    if not has_order:
        return
    for number, job in enumerate(jobs, 1):
        for name in job.after:
            if not name or name not in names:
                raise PlanError(f"{job.name or f'job {number}'} waits for {name!r}, and no job is called so"
                                f"{_similar(name, names)}")  # fmt: skip
    try:
        graphlib.TopologicalSorter({job.name or f"job {n}": job.after for n, job in enumerate(jobs, 1)}).prepare()
    except graphlib.CycleError as error:
        circle = tuple(reversed(error.args[1]))  # each waits for the one before it
        problem = PlanError(f"{CIRCLE}: {' → '.join(circle)}")
        problem.circle = circle
        raise problem from None


def _similar(name: str, names: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, [each for each in names if each], 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
