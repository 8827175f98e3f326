"""Sending jobs to a worker, as tasks of Dask that it alone may run."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Iterable
from typing import Any

from governess.jobs._survivors import MARK, WORKER
from governess.jobs.dask._job import DaskJob
from governess.jobs.dask._messages import JobSpec
from governess.jobs.dask._remote import RemoteWorker

__all__ = ["send"]

# Bytes of jobs in one message, beyond which Dask warns.
_MOST = 4 << 20


def send(client: Any, run: str, worker: RemoteWorker, jobs: Iterable[DaskJob]) -> None:
    """Send jobs that need the same to a worker to which they have been added.

    Args:
        client: Dask's client.
        run: the connection of the run.
        worker: the worker.
        jobs: the jobs.
    """
    batch: list[tuple[DaskJob, bytes]] = []
    size = 0
    for job in jobs:
        data = pickle.dumps(_spec(job, run, worker))
        if batch and size + len(data) > _MOST:
            _submit(client, worker, batch)
            batch, size = [], 0
        batch.append((job, data))
        size += len(data)
    _submit(client, worker, batch)


def _submit(client: Any, worker: RemoteWorker, batch: list[tuple[DaskJob, bytes]]) -> None:
    from governess.jobs.dask._plugin import run_job

    # Dask would start the tasks of a worker that is lost at once elsewhere, beside what is left of them there.
    futures = client.map(
        run_job,
        [data for _, data in batch],
        key=[job.key for job, _ in batch],
        workers=[worker.address],
        allow_other_workers=False,
        resources=batch[0][0].needs or None,
        retries=0,
        pure=False,
    )
    now = asyncio.get_running_loop().time()
    for (job, _), future in zip(batch, futures, strict=True):
        job.future, job.since = future, now


def _spec(job: DaskJob, run: str, worker: RemoteWorker) -> JobSpec:
    attempt = job.attempt
    options = attempt.options
    env = dict(attempt.env or {})
    job.mark = env.setdefault(MARK, f"{run}:{job.key}")
    env[WORKER] = worker.address
    return JobSpec(
        key=job.key,
        run=run,
        incarnation=worker.info.incarnation,
        command=attempt.command,
        cwd=attempt.job.cwd or os.getcwd(),
        env=env,
        stdin=attempt.job.stdin,
        files=job.output.shared,
        nice=options.nice,
        grace=options.grace,
        memory=options.memory,
        tokens={name: count for name, count in options.tokens.items() if name in job.needs},
        is_noted=job.is_careful,
    )
