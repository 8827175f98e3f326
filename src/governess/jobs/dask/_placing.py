"""Which job goes to which worker; without I/O."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from governess.jobs.dask._job import DaskJob
    from governess.jobs.dask._remote import RemoteWorker

__all__ = ["MOST_AHEAD", "Pace", "Waiting", "to_withdraw"]

# Seconds of work that wait at a worker, so that it need not wait for us.
_AHEAD = 2.0
# How many jobs wait there for each thread at most; and before anything is known.
MOST_AHEAD, _FIRST = 100, 2
# Fewer than this are replaced one by one.
_FEW = 4
# The part of a new duration in the average.
_WEIGHT = 0.05


class Pace:
    """How long jobs take on the average of late."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def add(self, duration: float) -> None:
        """Note how many seconds a job took."""
        self._mean = duration if self._mean is None else self._mean + _WEIGHT * (duration - self._mean)

    @property
    def ahead(self) -> int:
        """How many jobs wait at a worker for each of its threads."""
        if self._mean is None:
            return _FIRST
        return min(int(_AHEAD / max(self._mean, 0.001)), MOST_AHEAD)


class Waiting:
    """The jobs that wait for a place at a worker; those that need the same stand in one line."""

    def __init__(self) -> None:
        self._lines: dict[_Kind, deque[DaskJob]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, job: DaskJob, *, is_first: bool = False) -> None:
        """Add a job at the end of its line, or before all others there."""
        line = self._lines.setdefault(_kind_of(job), deque())
        (line.appendleft if is_first else line.append)(job)

    def take_all(self) -> list[DaskJob]:
        """Take all jobs out."""
        lines, self._lines = self._lines, {}
        return [job for line in lines.values() for job in line]

    def assign(self, workers: Collection[RemoteWorker], ahead: int) -> list[tuple[RemoteWorker, list[DaskJob]]]:
        """Take out the jobs for which there is a place, and add them to their workers.

        Args:
            workers: all workers.
            ahead: how many jobs may wait at a worker for each of its threads.

        Returns:
            Jobs that need the same, and their worker.
        """
        found: list[tuple[RemoteWorker, list[DaskJob]]] = []
        for kind, line in list(self._lines.items()):
            if kind.is_suspect and any(job.is_suspect for worker in workers for job in worker.jobs.values()):
                continue  # one at a time, so that no other is blamed for what it does
            most = 1 if kind.is_suspect else len(line)
            chosen = _assign_line(line, most, workers, 0 if kind.is_careful else ahead)
            found += chosen
            if not line:
                del self._lines[kind]
        return found


class _Kind(NamedTuple):
    """What jobs of a line have in common."""

    is_careful: bool
    is_suspect: bool
    needs: tuple[tuple[str, float], ...]


def _kind_of(job: DaskJob) -> _Kind:
    return _Kind(job.is_careful, job.is_suspect, tuple(sorted(job.needs.items())))


def _assign_line(
    line: deque[DaskJob], most: int, workers: Iterable[RemoteWorker], ahead: int
) -> list[tuple[RemoteWorker, list[DaskJob]]]:
    """Spread jobs over the workers that have room, the one with the least to do first."""
    groups: dict[str, tuple[RemoteWorker, list[DaskJob]]] = {}
    heap = [
        (len(worker.jobs) / worker.info.threads, place, worker)
        for place, worker in enumerate(workers)
        # A worker with enough to do is left alone, so that many jobs go in one message.
        if len(worker.jobs) / worker.info.threads <= (1 + ahead) * (0.7 if ahead >= _FEW else 1.0)
    ]
    heapq.heapify(heap)
    while heap and line and most:
        load, place, worker = heapq.heappop(heap)
        if load >= 1 + ahead or not worker.fits(line[0].needs):
            continue
        job = line.popleft()
        worker.add(job)
        most -= 1
        groups.setdefault(worker.address, (worker, []))[1].append(job)
        heapq.heappush(heap, (len(worker.jobs) / worker.info.threads, place, worker))
    return list(groups.values())


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
