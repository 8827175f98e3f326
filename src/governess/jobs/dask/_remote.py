"""A worker, as the run sees it: what is there, and the exchange of messages with it."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

from governess.jobs.dask._job import DaskJob
from governess.jobs.dask._messages import Chunk, Ended, Event, Hello, Refused, Returned, Started

__all__ = ["RemoteWorker"]

# Seconds after which the answer to a question is empty.
_ASK = 10.0
# Seconds in which a worker gathers what it answers; more where enough jobs wait for each of its threads.
_GATHER, _GATHER_MANY, _MANY = 0.01, 0.05, 8
# Seconds until a question that could not be answered is asked again.
_PAUSE = 0.2


class RemoteWorker:
    """A worker of a cluster.

    Attributes:
        address: its address.
        info: what it has told of itself.
        jobs: what is there, by key, in the order in which it was sent.
        free: what is free of the resources that it declares.
        is_lost: whether it is gone.
    """

    def __init__(
        self,
        client: Any,
        run: str,
        address: str,
        info: Hello,
        on_events: Callable[[], None],
        on_ended: Callable[[float], None],
        on_returned: Callable[[DaskJob, bool], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.address = address
        self.info = info
        self.jobs: dict[str, DaskJob] = {}
        self.free = dict(info.resources)
        self.is_lost = False
        self._client = client
        self._run = run
        self._on_events = on_events
        self._on_ended = on_ended
        self._on_returned = on_returned
        self._on_failure = on_failure
        self._orders: list[tuple[str, str, float]] = []
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.listening = self._spawn(self._listen())

    @property
    def place(self) -> str:
        """Its host and address, as records have them."""
        return f"{self.info.host} {self.address}"

    def fits(self, needs: dict[str, float]) -> bool:
        """Return whether what a job needs is free."""
        return all(self.free.get(name, 0) >= count for name, count in needs.items())

    def could_fit(self, needs: dict[str, float]) -> bool:
        """Return whether it declares what a job needs."""
        return all(self.info.resources.get(name, 0) >= count for name, count in needs.items())

    def add(self, job: DaskJob) -> None:
        """Note that a job is sent here."""
        self.jobs[job.key] = job
        job.worker = self
        for name, count in job.needs.items():
            self.free[name] -= count

    def remove(self, job: DaskJob) -> None:
        """Note that a job is here no longer."""
        if self.jobs.pop(job.key, None) is not None:
            for name, count in job.needs.items():
                self.free[name] += count
            if job.future is not None:
                job.future.release()
                job.future = None

    def order(self, verb: str, key: str, value: float = 0.0) -> None:
        """Have it do something with a job."""
        if not self._orders:
            self._loop.call_soon(self._send_orders)
        self._orders.append((verb, key, value))

    def close(self) -> None:
        """Ask it nothing more."""
        self.is_lost = True
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _send_orders(self) -> None:
        orders, self._orders = self._orders, []
        if not self.is_lost:
            self._spawn(self._send("governess_obey", orders=orders))

    async def _send(self, op: str, **values: Any) -> dict[str, Any] | None:
        """Send a message by way of the scheduler; return the answer, None if there is none."""
        message = {"op": op, "run": self._run, **values}
        try:
            answers = await self._client.scheduler.broadcast(
                msg=message, workers=[self.address], on_error="return_pickle"
            )
        except OSError:
            return None
        answer = answers.get(self.address)
        return answer if isinstance(answer, dict) and answer.get("status") == "OK" else None

    async def _listen(self) -> None:
        number = 0
        received: dict[str, int] = {}
        while True:
            for key, job in self.jobs.items():
                if size := job.take_received():
                    received[key] = received.get(key, 0) + size
            answer = await self._send(
                "governess_exchange",
                incarnation=self.info.incarnation,
                acknowledged=number,
                received=received,
                timeout=_ASK,
                gather=_GATHER_MANY if len(self.jobs) > _MANY * self.info.threads else _GATHER,
            )
            if answer is None:
                if self.is_lost:
                    return
                await asyncio.sleep(_PAUSE)
                continue
            if answer["number"] < 0:
                return
            number = answer["number"]
            received = {}
            try:
                for event in pickle.loads(answer["events"]):
                    self._handle(event)
            except OSError as error:  # from what takes the output
                self._on_failure(error)
            self._on_events()

    def _handle(self, event: Event) -> None:
        job = self.jobs.get(event.key)
        if job is None:
            return
        match event:
            case Started():
                job.started(event)
            case Chunk():
                job.wrote(event)
            case Ended():
                job.finished(event)
                self._on_ended(event.duration)
                self.remove(job)
            case Refused():
                job.refused(event)
                self.remove(job)
            case Returned():
                self.remove(job)
                self._on_returned(job, event.was_started)
