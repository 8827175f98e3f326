"""The jobs of a run, and which of them wait for others."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from governess.jobs._job import Job

__all__ = ["JobSource", "Plan", "PlanError"]


CIRCLE = "jobs wait for each other in a circle, so none can start"


class PlanError(ValueError):
    """The jobs cannot be run as they stand: two have one name, a name is unknown, or they wait for each other.

    Attributes:
        circle: the names of the jobs that wait for each other, the first one again at the end; empty for another error.
    """

    circle: tuple[str, ...] = ()


@runtime_checkable
class JobSource(Protocol):
    """Jobs that come while others run already, as from a pipe."""

    @property
    def is_ready(self) -> bool:
        """Whether `take` has an answer."""
        ...

    def take(self) -> Job | None:
        """Return the next job; None after the last one."""
        ...

    async def wait(self) -> None:
        """Wait until `take` has an answer."""
        ...


class Plan:
    """Jobs in the order of their numbers, from 1.

    A sequence of jobs may hold jobs that wait for others. Jobs of another iterable are taken one by one when a slot is
    free, so that many of them need no memory, and so are those of a `JobSource`; they cannot wait for each other.

    Args:
        jobs: the jobs.
        total: how many jobs an iterable gives; None if that is not known. A sequence has its length.

    Raises:
        PlanError: two jobs have one name; a job waits for one that does not exist; jobs wait for each other in a
            circle, which the text names.
    """

    def __init__(self, jobs: Iterable[Job] | JobSource, *, total: int | None = None) -> None:
        self.total = len(jobs) if isinstance(jobs, Sequence) else total
        self.source: JobSource | None = jobs if isinstance(jobs, JobSource) else None
        """Where jobs come from while others run already; None for an iterable."""
        self._jobs: Iterable[Job] = () if isinstance(jobs, JobSource) else jobs
        self.has_order = False
        """Whether any job waits for another one."""
        if isinstance(jobs, Sequence):
            self.has_order = any(job.after for job in jobs)
            _check(jobs, self.has_order)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def listed(self) -> Sequence[Job]:
        """Return the jobs if they are a sequence; none if they are made one by one."""
        return self._jobs if isinstance(self._jobs, Sequence) else ()

    def dependencies(self) -> dict[int, set[int]]:
        """Return, for each job by its number, the numbers of the jobs that have to succeed before it."""
        jobs = self._jobs
        assert isinstance(jobs, Sequence)
        numbers = {job.name: number for number, job in enumerate(jobs, 1) if job.name}
        return {number: {numbers[name] for name in job.after} for number, job in enumerate(jobs, 1)}

    async def gathered(self) -> Plan:
        """Return a plan whose jobs are a sequence, when all of them have come."""
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
        """Return a plan with the jobs of these names and all that they wait for.

        A name also selects the jobs that `each` of a job file has made of it: ``resize`` selects ``resize[a.png]``.

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
