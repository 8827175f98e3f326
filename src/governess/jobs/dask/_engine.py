"""The engine that runs jobs on the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from governess.jobs._attempt import Attempt
from governess.jobs._errors import EngineError
from governess.jobs.dask._connection import Connection
from governess.jobs.dask._job import DaskJob
from governess.jobs.dask._losses import settle
from governess.jobs.dask._members import Members
from governess.jobs.dask._messages import Hello
from governess.jobs.dask._output import SharedFolder
from governess.jobs.dask._placing import MOST_AHEAD, Pace, Waiting, to_withdraw
from governess.jobs.dask._remote import RemoteWorker
from governess.jobs.dask._sending import send
from governess.jobs.dask._versions import misfits, our_versions

__all__ = ["DaskEngine"]

# Seconds between two looks at what no message tells.
_TICK = 0.5
# How many jobs are at the cluster or wait for a place there, at least.
_LEAST_SLOTS = 16


class DaskEngine:
    """Runs jobs on the workers of a Dask cluster.

    Args:
        client: a client of the cluster, or the address of the scheduler. The engine makes its own connection, with the
            address and the security of the client.
        shared: a folder that this machine and the workers share, into which the jobs write their output; None to send
            the output over the network.
        timeout: for how many seconds the engine waits for a scheduler that does not answer, or for the first worker.
    """

    def __init__(self, client: Any, *, shared: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        is_address = isinstance(client, str)
        self._address: str = client if is_address else client.scheduler.address
        security = None if is_address else client.security
        self._shared = None if shared is None else SharedFolder(shared, secrets.token_hex(8))
        self._timeout = timeout
        self._connection = Connection(self._address, security, timeout, self._look_soon)
        self._members = Members(self._connection, self._make_worker, self._lost)
        self._waiting = Waiting()
        self._pace = Pace()
        self._run = ""
        self._count = 0
        self._is_stopped = False
        self._declared: set[str] = set()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._placing: asyncio.Handle | None = None
        self._on_failure: Callable[[Exception], None] = _ignore
        self.slots = _LEAST_SLOTS
        """How many jobs are at the cluster or wait for a place there."""

    async def open(self, on_failure: Callable[[Exception], None]) -> Mapping[str, float]:
        """Connect, check the versions over there, and return the sizes of the pools.

        Args:
            on_failure: called if the cluster cannot be used any more.

        Raises:
            EngineError: there is no scheduler, or no worker, or their versions do not fit.
        """
        self._on_failure = on_failure
        try:
            await self._connect()
            await self._until_worker()
            await self._members.until_others_ended()
        except OSError as error:
            await self.close()
            raise EngineError(f"the scheduler at {self._address} does not answer: {error}") from None
        except BaseException:
            await self.close()
            raise
        self._spawn(self._watch())
        return self._sizes()

    async def _until_worker(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        while not self._members.workers:
            self._changed.clear()
            if problems := await self._members.look():
                raise EngineError("; ".join(problems))
            if loop.time() > until:
                raise EngineError(f"the scheduler at {self._address} has had no worker for {self._timeout:g} s")
            if not self._members.workers:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _TICK)

    def _sizes(self) -> dict[str, float]:
        infos = [worker.info for worker in self._members.workers.values()]
        threads = sum(info.threads for info in infos)
        self.slots = max(_LEAST_SLOTS, threads * (1 + MOST_AHEAD))
        sizes: dict[str, float] = {"cpus": threads}
        if all(info.memory for info in infos):
            sizes["memory"] = sum(info.memory for info in infos)
        for info in infos:
            self._declared |= info.resources.keys()
        for name in self._declared:
            sizes[name] = sum(info.resources.get(name, 0) for info in infos)
        return sizes

    async def call_on_workers(self, function: Callable[[], object]) -> None:
        """Call a function of this package on each worker."""
        await self._connection.client.run(function)

    async def start(self, attempt: Attempt) -> DaskJob:
        """Start a job on a worker; errors as `LocalEngine.start`, whose text names the host."""
        self._count += 1
        key = f"governess-job-{self._run}-{self._count}"
        job = DaskJob(attempt, key, self._needs(attempt), asyncio.get_running_loop())
        if self._is_stopped:
            raise _stopped()
        self._check_that_one_worker_fits(job.needs)
        self._waiting.add(job)
        self._place_soon()
        await job.begun
        return job

    def _check_that_one_worker_fits(self, needs: Mapping[str, float]) -> None:
        """Raise ValueError for a job that would wait for ever: all workers together may have more than the largest."""
        infos = [worker.info for worker in self._members.workers.values()]
        if infos and not any(all(info.resources.get(name, 0) >= needs[name] for name in needs) for info in infos):
            wanted = ", ".join(f"{name}={count:g}" for name, count in needs.items())
            raise ValueError(f"no worker of the cluster declares as much as it needs: {wanted}")

    def _needs(self, attempt: Attempt) -> dict[str, float]:
        options = attempt.options
        wanted: dict[str, float] = {"cpus": options.cpus, "memory": options.memory or 0, **options.tokens}
        return {name: count for name, count in wanted.items() if count and name in self._declared}

    def stop(self) -> None:
        """Start nothing that has not begun."""
        self._is_stopped = True
        for job in self._waiting.take_all():
            job.abandon(_stopped())
        for worker in self._members.workers.values():
            for job in worker.jobs.values():
                if not job.is_noted:
                    worker.order("withdraw", job.key)

    async def close(self) -> None:
        """Close the connection; what still runs over there is ended."""
        self._is_stopped = True
        for task in list(self._tasks):
            task.cancel()
        for worker in self._members.workers.values():
            worker.close()
        await self._connection.close()
        if self._shared is not None:
            self._shared.close()

    async def _connect(self) -> None:
        """Connect, and check the scheduler's version."""
        await self._connection.open()
        self._run = secrets.token_hex(8)
        client = self._connection.client
        versions = await client.get_versions()
        packages = versions["scheduler"]["packages"]
        where = f"the scheduler {self._address}"
        if problems := misfits(our_versions(), {"distributed": packages.get("distributed", "")}, where):
            raise EngineError("; ".join(problems))

    async def _watch(self) -> None:
        """Look after what no message tells, until the run ends."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _TICK)
                self._changed.clear()
                # Where the scheduler does not answer, the connection will be seen to be gone.
                with contextlib.suppress(OSError):
                    if not self._connection.is_up:
                        await self._reconnect()
                    await self._members.look()
                    self._withdraw()
                    await self._check_tasks()
                    self._place_soon()
        except Exception as error:  # whatever it is, the run has to hear of it, and not wait for ever
            self._fail(error)

    async def _reconnect(self) -> None:
        self._members.lose_all("the scheduler is gone")
        await self._connection.close()
        try:
            await self._connect()
        except EngineError as error:
            raise EngineError(
                f"the scheduler at {self._address} has been gone for {self._timeout:g} s ({error}); with a journal, "
                "--resume goes on where it was"
            ) from None

    def _fail(self, error: Exception) -> None:
        self.stop()
        self._on_failure(error)

    def _make_worker(self, address: str, info: Hello) -> RemoteWorker:
        return RemoteWorker(
            self._connection.client,
            self._run,
            address,
            info,
            on_events=self._place_soon,
            on_ended=self._pace.add,
            on_returned=self._returned,
            on_failure=self._fail,
        )

    def _lost(self, worker: RemoteWorker, why: str, may_blame: bool) -> None:
        reason = f"lost-host: {worker.place}: {why}"
        work = settle(worker, reason, may_blame, self._connection, self._members.workers, self._queue_again)
        self._spawn(work)

    def _look_soon(self) -> None:
        self._changed.set()

    def _place_soon(self) -> None:
        if self._placing is None:
            self._placing = asyncio.get_running_loop().call_soon(self._place)

    def _place(self) -> None:
        """Send jobs to the workers that have a place for them."""
        self._placing = None
        if not self._connection.is_up or not self._members.workers:
            return
        for worker, jobs in self._waiting.assign(self._members.workers.values(), self._pace.ahead):
            for job in jobs:
                if self._shared is not None:
                    job.output.shared = self._shared.files_of(job.attempt, job.key)
            send(self._connection.client, self._run, worker, jobs)

    def _withdraw(self) -> None:
        """Take jobs back that wait while others have nothing to do."""
        if self._waiting:
            return
        for job in to_withdraw(self._members.workers.values()):
            job.is_withdrawing = True
            assert job.worker is not None
            job.worker.order("withdraw", job.key)

    async def _check_tasks(self) -> None:
        """Find tasks that have failed without having run a job."""
        now = asyncio.get_running_loop().time()
        for worker in list(self._members.workers.values()):
            for job in list(worker.jobs.values()):
                if job.future is None or job.future.status == "pending":
                    job.since = now
                elif now - job.since > 5.0:
                    failure = await job.future.exception() if job.future.status == "error" else None
                    worker.remove(job)
                    if failure is not None:
                        job.abandon(OSError(errno.EIO, f"Dask could not run it on {worker.place}: {failure!r}"))
                    else:
                        job.lost(f"lost-host: {worker.place} does not know it any more")

    def _returned(self, job: DaskJob, was_started: bool) -> None:
        """Take back a job that does not run at its worker."""
        if was_started:
            assert job.worker is not None
            job.lost(f"lost-host: {job.worker.place} has ended it, since it closes")
        else:
            self._queue_again(job)

    def _queue_again(self, job: DaskJob) -> None:
        if self._is_stopped:
            job.abandon(_stopped())
            return
        self._count += 1
        job.key = f"governess-job-{self._run}-{self._count}"
        job.worker, job.is_withdrawing = None, False
        self._waiting.add(job, is_first=True)
        self._place_soon()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _stopped() -> OSError:
    """Return what has the runner give up a job that has not begun, since the run ends."""
    return OSError(errno.EAGAIN, "the run ends")


def _ignore(error: Exception) -> None:
    pass
