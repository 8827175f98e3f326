"""The plugin on each worker: it owns the processes of jobs there, and ends them with their task or their worker."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import secrets
import socket
import time
from collections.abc import Iterable
from typing import Any

from distributed import WorkerPlugin, get_worker

from governess._programs.marks import boot_id
from governess.jobs._attempt import Attempt
from governess.jobs._job import JobOptions
from governess.jobs._local import LocalEngine
from governess.jobs._memory import MemoryWatch
from governess.jobs._pools import Grant, Pools
from governess.jobs.dask._hosted import HostedJob
from governess.jobs.dask._messages import PLUGIN, Hello, JobSpec, Returned
from governess.jobs.dask._outbox import Outbox
from governess.jobs.dask._versions import our_versions

__all__ = ["EXCHANGE", "OBEY", "GovernessPlugin", "hello", "run_job"]

EXCHANGE, OBEY = f"{PLUGIN}_exchange", f"{PLUGIN}_obey"

# Seconds beyond the grace in which the processes are waited for when the worker closes.
_AFTER_GRACE = 4.0
# Seconds after which what nobody asks for is forgotten.
_UNASKED = 60.0


class GovernessPlugin(WorkerPlugin):  # type: ignore[misc] # Dask is not looked into
    """Runs jobs in the loop of a worker."""

    def __init__(self) -> None:
        self._jobs: dict[str, HostedJob] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._withdrawn: set[str] = set()
        self._is_closing = False

    def setup(self, worker: Any) -> None:
        """Begin, on a worker."""
        self._worker = worker
        self._engine = LocalEngine()
        self._memory = MemoryWatch(asyncio.get_running_loop(), _end_for_memory)
        resources = dict(worker.state.total_resources)
        self._pools = Pools(float("inf"), None, {name: int(size) for name, size in resources.items()})
        self._hello = Hello(
            secrets.token_hex(8),
            socket.gethostname(),
            boot_id(),
            worker.state.nthreads,
            int(worker.memory_manager.memory_limit or 0),
            resources,
            our_versions(),
        )
        worker.handlers.update({EXCHANGE: self.exchange, OBEY: self.obey})

    async def teardown(self, worker: Any) -> None:
        """End all jobs, since the worker closes."""
        self._is_closing = True
        grace = max((job.spec.grace for job in self._jobs.values()), default=0.0)
        for job in self._jobs.values():
            job.evict()
        if tasks := list(self._tasks.values()):
            await asyncio.wait(tasks, timeout=grace + _AFTER_GRACE)
        self._memory.cancel()
        for outbox in self._outboxes.values():
            await outbox.emptied(0.2)

    def transition(self, key: Any, start: str, finish: str, **more: Any) -> None:
        """End a job whose task is not wanted any more: it was cancelled, or the run that wants it is gone."""
        if finish in _UNWANTED:
            self._withdrawn.discard(key)
            if (job := self._jobs.get(key)) is not None:
                job.evict()

    def hello(self) -> Hello:
        """Return what a run has to know of the worker."""
        for run, outbox in list(self._outboxes.items()):
            is_used = any(job.spec.run == run for job in self._jobs.values())
            if not is_used and outbox.asked < time.monotonic() - _UNASKED:
                del self._outboxes[run]
        return self._hello._replace(ending=sum(job.is_evicted for job in self._jobs.values()))

    async def run(self, spec: JobSpec) -> None:
        """Run a job to its end."""
        if spec.incarnation != self._hello.incarnation or self._is_closing or spec.key in self._withdrawn:
            self._withdrawn.discard(spec.key)
            return
        grant = self._take_tokens(spec)
        if grant is not None:
            spec = spec._replace(env={**spec.env, **grant.variables()})
        job = HostedJob(spec, self._outbox(spec.run), self._memory)
        self._jobs[spec.key] = job
        task = asyncio.get_running_loop().create_task(job.run(self._engine))
        self._tasks[spec.key] = task
        task.add_done_callback(lambda done: self._forget(spec.key, grant))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:  # the worker closes
            job.evict()
            raise

    def _take_tokens(self, spec: JobSpec) -> Grant | None:
        return self._pools.take(JobOptions(tokens=spec.tokens)) if spec.tokens else None

    def _forget(self, key: str, grant: Grant | None) -> None:
        self._jobs.pop(key, None)
        self._tasks.pop(key, None)
        if grant is not None:
            self._pools.give_back(grant)

    def _outbox(self, run: str) -> Outbox:
        if run not in self._outboxes:
            self._outboxes[run] = Outbox()
        return self._outboxes[run]

    async def exchange(
        self, run: str, incarnation: str, acknowledged: int, received: dict[str, int], timeout: float, gather: float
    ) -> dict[str, Any]:
        """Answer what has happened to the jobs of a run.

        Args:
            run: the run.
            incarnation: the worker that is asked.
            acknowledged: the number of the last answer that has arrived.
            received: how many bytes of output have been dealt with, by key.
            timeout: how many seconds to wait for something to tell.
            gather: in how many seconds more is gathered for the answer.
        """
        if incarnation != self._hello.incarnation:
            return {"status": "OK", "number": -1, "events": b""}
        for key, size in received.items():
            if (job := self._jobs.get(key)) is not None:
                job.received(size)
        number, events = await self._outbox(run).take(acknowledged, timeout, gather)
        return {"status": "OK", "number": number, "events": pickle.dumps(events)}

    async def obey(self, run: str, orders: Iterable[tuple[str, str, float]]) -> dict[str, Any]:
        """Do what a run asks for its jobs: `end` within a grace, send a `signal`, or `withdraw` what has not begun."""
        for verb, key, value in orders:
            job = self._jobs.get(key)
            if verb == "withdraw" and job is None:
                self._withdrawn.add(key)
                self._outbox(run).put(Returned(key, False))
            elif job is None:
                continue
            elif verb == "end":
                job.end(value)
            elif verb == "received":
                job.received(int(value))
            elif verb == "signal":
                job.signal(int(value))
        return {"status": "OK"}


_UNWANTED = frozenset({"cancelled", "released", "forgotten"})


def _end_for_memory(attempt: Attempt) -> None:
    if not attempt.over_memory and attempt.end(attempt.options.grace):
        attempt.over_memory = True


async def hello(dask_worker: Any) -> Hello:
    """Have a worker be ready for jobs, and return what it tells of itself; runs there."""
    if PLUGIN not in dask_worker.plugins:
        await dask_worker.plugin_add(GovernessPlugin(), name=PLUGIN)
    plugin: GovernessPlugin = dask_worker.plugins[PLUGIN]
    return plugin.hello()


async def run_job(data: bytes) -> None:
    """Run a job; the task of Dask that stands for it."""
    spec: JobSpec = pickle.loads(data)
    with contextlib.suppress(KeyError):  # another worker with the same address
        plugin: Any = get_worker().plugins[PLUGIN]
        await plugin.run(spec)
