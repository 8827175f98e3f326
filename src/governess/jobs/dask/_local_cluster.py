"""A cluster of this machine alone, for a try."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from governess.jobs._attempt import Attempt
from governess.jobs.dask._engine import DaskEngine
from governess.jobs.dask._job import DaskJob

__all__ = ["LocalClusterEngine"]

# A level of logging: its end takes connections away from a scheduler that complains about it.
_SILENT = logging.CRITICAL + 1


class LocalClusterEngine:
    """Starts workers on this machine and runs jobs on them; each worker runs one job at a time.

    Args:
        workers: the number of workers.
        shared: as for `DaskEngine`.
    """

    def __init__(self, workers: int, *, shared: str | os.PathLike[str] | None = None) -> None:
        self._workers = workers
        self._shared = shared
        self._cluster: Any = None
        self._engine: DaskEngine | None = None

    @property
    def slots(self) -> int:
        """How many jobs are at the workers or wait for a place there."""
        return 0 if self._engine is None else self._engine.slots

    async def open(self, on_failure: Callable[[Exception], None]) -> Mapping[str, float]:
        """Start the workers; the rest as `DaskEngine.open`."""
        from distributed import LocalCluster

        make_cluster: Any = LocalCluster
        self._cluster = await make_cluster(
            n_workers=self._workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=_SILENT,
            asynchronous=True,
        )
        self._engine = engine = DaskEngine(self._cluster.scheduler_address, shared=self._shared)
        try:
            sizes = await engine.open(on_failure)
            await engine.call_on_workers(_leave_interrupts_to_the_run)
            return sizes
        except BaseException:
            await self._cluster.close()
            raise

    async def start(self, attempt: Attempt) -> DaskJob:
        """Start a job on a worker."""
        assert self._engine is not None
        return await self._engine.start(attempt)

    def stop(self) -> None:
        """Start nothing that has not begun."""
        if self._engine is not None:
            self._engine.stop()

    async def close(self) -> None:
        """End the workers."""
        if self._engine is not None:
            await self._engine.close()
        await self._cluster.close()


def _leave_interrupts_to_the_run() -> None:
    """Have a worker do nothing at Ctrl-C, which reaches it too; its jobs have the default action, since they exec."""
    signal.signal(signal.SIGINT, lambda number, frame: None)
