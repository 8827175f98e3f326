"""Which worker gets the next job; without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governess.jobs.dask._job import DaskJob
    from governess.jobs.dask._remote import RemoteWorker

__all__ = ["Pace", "choose", "to_withdraw"]

# Seconds of work that wait at a worker, so that it need not wait for us.
_AHEAD = 0.5
# How many jobs wait there for each thread at most; and before anything is known.
_MOST, _FIRST = 32, 2
# The part of a new duration in the average.
_WEIGHT = 0.05


class Pace:
    """How long jobs take on the average of late."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def add(self, wall: float) -> None:
        """Note how many seconds a job took."""
        self._mean = wall if self._mean is None else self._mean + _WEIGHT * (wall - self._mean)

    @property
    def ahead(self) -> int:
        """How many jobs wait at a worker for each of its threads."""
        if self._mean is None:
            return _FIRST
        return min(int(_AHEAD / max(self._mean, 0.001)), _MOST)


def choose(workers: Iterable[RemoteWorker], job: DaskJob, ahead: int) -> RemoteWorker | None:
    """Return the worker with the least to do that takes a job; None if none does now.

    Args:
        workers: all of them.
        job: the job.
        ahead: how many jobs may wait at a worker for each of its threads.
    """
    best, least = None, float("inf")
    for worker in workers:
        threads = worker.info.threads
        load = len(worker.jobs) / threads
        if load < least and load < (1 if job.is_careful else 1 + ahead) and worker.fits(job.needs):
            best, least = worker, load
    return best


def to_withdraw(workers: Iterable[RemoteWorker]) -> list[DaskJob]:
    """Return jobs that wait at a worker while another one has nothing to do."""
    everyone = list(workers)
    idle = sum(max(worker.info.threads - len(worker.jobs), 0) for worker in everyone)
    found: list[DaskJob] = []
    for worker in sorted(everyone, key=lambda each: -len(each.jobs) / each.info.threads):
        waiting = [job for job in list(worker.jobs.values())[worker.info.threads :] if not job.is_noted]
        for job in reversed(waiting):
            if len(found) >= idle:
                return found
            if not job.is_withdrawing:
                found.append(job)
    return found
