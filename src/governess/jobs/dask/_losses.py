"""What becomes of jobs whose worker is lost: they are waited for, and one of them may be to blame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from governess._programs.marks import boot_id
from governess.jobs.dask._connection import Connection
from governess.jobs.dask._job import DaskJob
from governess.jobs.dask._remains import any_living, until_gone
from governess.jobs.dask._remote import RemoteWorker

__all__ = ["settle"]

# Seconds in which the guardian of a worker that was killed has ended everything, with some to spare.
_ORPHANS_END = 7.0
# Seconds beyond the grace in which a worker that closes has ended everything.
_AFTER_GRACE = 5.0


async def settle(
    worker: RemoteWorker,
    reason: str,
    may_blame: bool,
    connection: Connection,
    others: Mapping[str, RemoteWorker],
    again: Callable[[DaskJob], None],
) -> None:
    """Wait until nothing runs any more on a worker that is gone, and take its jobs back.

    Args:
        worker: the worker.
        reason: why it is gone.
        may_blame: whether a job may have ended it.
        connection: the connection to the scheduler.
        others: the workers that are there, one of which may look after what is left on the same machine.
        again: called with each job that had not begun.
    """
    worker.is_lost = True
    jobs = list(worker.jobs.values())
    waiting = [job for job in jobs if not job.is_noted]
    # So many of those whose start was not told may have begun.
    begun = {job for job in jobs if job.is_noted} | set(waiting[: worker.info.threads])
    if jobs:
        grace = max(job.attempt.options.grace for job in jobs)

        async def look() -> bool | None:
            return await _anything_left(worker, connection, others)

        await until_gone(look, max(grace + _AFTER_GRACE, _ORPHANS_END))
    worker.close()
    for job in list(worker.jobs.values()):
        worker.remove(job)
        job.attempt.entry.is_careful = may_blame
        if job in begun:
            job.attempt.entry.losses += may_blame
            job.lost(reason)
        else:
            again(job)


async def _anything_left(
    worker: RemoteWorker, connection: Connection, others: Mapping[str, RemoteWorker]
) -> bool | None:
    """Return whether a process of a worker's jobs lives; None if nobody can tell."""
    marks = frozenset(job.mark for job in worker.jobs.values())
    groups = frozenset(job.group for job in worker.jobs.values() if job.group)
    boot = worker.info.boot
    if not marks:
        return False
    if not boot:
        return None
    if boot == boot_id():
        return await asyncio.to_thread(any_living, marks, groups)
    for other in list(others.values()):
        if other.info.boot == boot and connection.is_up:
            try:
                answers = await connection.client.run(any_living, marks, groups, workers=[other.address])
            except OSError:
                return None
            return bool(answers[other.address])
    return None
