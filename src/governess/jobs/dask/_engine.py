"""The engine that runs jobs on the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from governess._programs.marks import boot_id
from governess.jobs._attempt import Attempt
from governess.jobs._errors import EngineError
from governess.jobs.dask._connection import Connection
from governess.jobs.dask._job import DaskJob
from governess.jobs.dask._messages import Hello
from governess.jobs.dask._output import SharedFolder
from governess.jobs.dask._placing import MOST_AHEAD, Pace, Waiting, to_withdraw
from governess.jobs.dask._remains import any_living, until_gone
from governess.jobs.dask._remote import RemoteWorker
from governess.jobs.dask._sending import send
from governess.jobs.dask._versions import misfits, our_versions

__all__ = ["DaskEngine"]

# Seconds between two looks at what no message tells.
_TICK = 0.5
# Seconds in which the guardian of a worker that was killed has ended everything, with some to spare.
_ORPHANS_END = 7.0
# Seconds in which workers have ended the jobs of a run that is gone, at most.
_OTHERS_END = 30.0
# How many jobs are at the cluster or wait for a place there, at least.
_LEAST_SLOTS = 16


class DaskEngine:
    """Runs jobs on the workers of a Dask cluster.

    Args:
        client: a client of the cluster, whose address and security a connection of the engine's own uses; or the
            address of the scheduler.
        shared: a folder that this machine and the workers have in common, into which jobs write; None to have what
            they write sent.
        patience: for how many seconds a scheduler that is gone is waited for.
    """

    def __init__(self, client: Any, *, shared: str | os.PathLike[str] | None = None, patience: float = 60.0) -> None:
        is_address = isinstance(client, str)
        self._address: str = client if is_address else client.scheduler.address
        security = None if is_address else client.security
        self._shared = None if shared is None else SharedFolder(shared, secrets.token_hex(8))
        self._patience = patience
        self._connection = Connection(self._address, security, patience, self._look_soon)
        self._workers: dict[str, RemoteWorker] = {}
        self._unfit: set[str] = set()
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
        await self._connect()
        problems: list[str] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while not problems and not self._workers:
            if loop.time() > until:
                problems.append(f"the scheduler at {self._address} has had no worker for {self._patience:g} s")
                break
            self._changed.clear()
            await self._look(problems)
            if not self._workers:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _TICK)
        if problems:
            await self.close()
            raise EngineError("; ".join(problems))
        await self._until_others_ended()
        self._spawn(self._watch())
        return self._sizes()

    async def _until_others_ended(self) -> None:
        """Wait while workers end jobs of runs that are gone: this run may go on with what such a run has begun."""
        from governess.jobs.dask._plugin import hello

        ending = [address for address, worker in self._workers.items() if worker.info.ending]
        until = asyncio.get_running_loop().time() + _OTHERS_END
        while ending and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_TICK)
            answers: dict[str, object] = await self._connection.client.run(hello, workers=ending, on_error="return")
            ending = [address for address, info in answers.items() if isinstance(info, Hello) and info.ending]

    def _sizes(self) -> dict[str, float]:
        infos = [worker.info for worker in self._workers.values()]
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

    async def start(self, attempt: Attempt) -> DaskJob:
        """Start a job on a worker; errors as `LocalEngine.start`, whose text names the host."""
        self._count += 1
        key = f"governess-job-{self._run}-{self._count}"
        job = DaskJob(attempt, key, self._needs(attempt), asyncio.get_running_loop())
        if self._is_stopped:
            raise _stopped()
        self._waiting.add(job)
        self._place_soon()
        await job.begun
        return job

    def _needs(self, attempt: Attempt) -> dict[str, float]:
        options = attempt.options
        wanted: dict[str, float] = {"cpus": options.cpus, "memory": options.memory or 0, **options.tokens}
        return {name: count for name, count in wanted.items() if count and name in self._declared}

    def stop(self) -> None:
        """Start nothing that has not begun."""
        self._is_stopped = True
        for job in self._waiting.take_all():
            job.abandon(_stopped())
        for worker in self._workers.values():
            for job in worker.jobs.values():
                if not job.is_noted:
                    worker.order("withdraw", job.key)

    async def close(self) -> None:
        """Close the connection; what still runs over there is ended."""
        self._is_stopped = True
        for task in list(self._tasks):
            task.cancel()
        for worker in self._workers.values():
            worker.close()
        await self._connection.close()
        if self._shared is not None:
            self._shared.close()

    async def _connect(self) -> None:
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
                if not self._connection.is_up:
                    await self._reconnect()
                await self._look([])
                self._withdraw()
                await self._check_tasks()
                self._place_soon()
        except EngineError as error:
            self._fail(error)

    async def _reconnect(self) -> None:
        lost, self._workers = list(self._workers.values()), {}
        for worker in lost:
            self._lose(worker, "the scheduler is gone", may_blame=False)
        await self._connection.close()
        try:
            await self._connect()
        except EngineError as error:
            raise EngineError(
                f"the scheduler at {self._address} has been gone for {self._patience:g} s ({error}); with a journal, "
                "--resume goes on where it was"
            ) from None

    def _fail(self, error: Exception) -> None:
        self.stop()
        self._on_failure(error)

    async def _look(self, problems: list[str]) -> None:
        """Find out which workers have come and gone."""
        try:
            found = await self._connection.workers()
        except OSError:
            return
        for address in self._workers.keys() - found.keys():
            self._lose(self._workers.pop(address), "it is gone", may_blame=True)
        new = [address for address in found if address not in self._workers and address not in self._unfit]
        if new:
            await self._greet(new, problems)

    async def _greet(self, addresses: list[str], problems: list[str]) -> None:
        from governess.jobs.dask._plugin import hello

        client = self._connection.client
        answers: dict[str, object] = await client.run(hello, workers=addresses, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, OSError):
                continue  # it is gone again, or will be asked once more
            if not isinstance(answer, Hello):
                found = [f"the worker {address} cannot run jobs: {answer!r}"]
            else:
                found = misfits(our_versions(), answer.versions, f"the worker {address}")
            if found or not isinstance(answer, Hello):
                problems += found
                self._unfit.add(address)
                continue
            self._workers[address] = RemoteWorker(
                client,
                self._run,
                address,
                answer,
                on_events=self._place_soon,
                on_ended=self._pace.add,
                on_returned=self._returned,
                on_failure=self._fail,
            )

    def _look_soon(self) -> None:
        self._changed.set()

    def _place_soon(self) -> None:
        if self._placing is None:
            self._placing = asyncio.get_running_loop().call_soon(self._place)

    def _place(self) -> None:
        """Send jobs to the workers that have a place for them."""
        self._placing = None
        if not self._connection.is_up or not self._workers:
            return
        for worker, jobs in self._waiting.assign(self._workers.values(), self._pace.ahead):
            for job in jobs:
                if self._shared is not None:
                    job.output.shared = self._shared.files_of(job.attempt, job.key)
            send(self._connection.client, self._run, worker, jobs)

    def _withdraw(self) -> None:
        """Take jobs back that wait while others have nothing to do."""
        if self._waiting:
            return
        for job in to_withdraw(self._workers.values()):
            job.is_withdrawing = True
            assert job.worker is not None
            job.worker.order("withdraw", job.key)

    async def _check_tasks(self) -> None:
        """Find tasks that have failed without having run a job."""
        now = asyncio.get_running_loop().time()
        for worker in self._workers.values():
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

    def _lose(self, worker: RemoteWorker, why: str, *, may_blame: bool) -> None:
        self._spawn(self._settle(worker, f"lost-host: {worker.place}: {why}", may_blame))

    async def _settle(self, worker: RemoteWorker, reason: str, may_blame: bool) -> None:
        """Wait until nothing runs any more on a worker that is gone, and take its jobs back."""
        worker.is_lost = True
        jobs = list(worker.jobs.values())
        suspects = {job for job in jobs if job.is_noted} | set(
            [job for job in jobs if not job.is_noted][: worker.info.threads]
        )
        if jobs:
            grace = max(job.attempt.options.grace for job in jobs)
            await until_gone(lambda: self._anything_left(worker), max(grace + 5.0, _ORPHANS_END))
        worker.close()
        for job in list(worker.jobs.values()):
            worker.remove(job)
            job.attempt.entry.is_careful = may_blame
            if job in suspects:
                job.attempt.entry.losses += may_blame
                job.lost(reason)
            else:
                self._queue_again(job)

    async def _anything_left(self, worker: RemoteWorker) -> bool | None:
        """Return whether a process of a worker's jobs lives; None if nobody can tell."""
        marks = [job.mark for job in worker.jobs.values()]
        if not marks:
            return False
        boot = worker.info.boot
        if not boot:
            return None
        if boot == boot_id():
            return any_living(marks)
        for other in self._workers.values():
            if other.info.boot == boot and not other.is_lost:
                try:
                    answers = await self._connection.client.run(any_living, marks, workers=[other.address])
                except OSError:
                    return None
                return bool(answers[other.address])
        return None

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _stopped() -> OSError:
    """Return what has the runner give up a job that has not begun, since the run ends."""
    return OSError(errno.EAGAIN, "the run ends")


def _ignore(error: Exception) -> None:
    pass
