"""A job at a cluster, as the run sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from governess.children._exit import Exit
from governess.children._per_loop import set_unless_done
from governess.jobs._attempt import Attempt
from governess.jobs.dask._messages import Chunk, Ended, Refused, Started
from governess.jobs.dask._output import Received

if TYPE_CHECKING:
    from governess.jobs.dask._remote import RemoteWorker

__all__ = ["DaskJob"]


class DaskJob:
    """One try of a job at a cluster; it is a `RunningJob`.

    Attributes:
        pid: 0: its process is elsewhere.
        stop: 0: it has no terminal.
        ended: when it has ended, by the clock of the loop; 0 before.
        attempt: the try.
        key: the key of its task.
        output: what takes its output.
        needs: the resources of Dask that it takes.
        worker: where it is; None as long as it has no place.
        future: Dask's, which keeps the task alive.
        mark: the mark of its processes.
        group: the number of its process group over there; 0 if that is not known.
        since: until when its task was known to be wanted, by the clock of the loop.
        is_noted: whether it is known to have been started.
        is_withdrawing: whether its worker was asked to give it back.
        settled: whether it has ended, was refused or is lost.
        begun: done when it has been started, or will not be.
    """

    pid = 0
    stop = 0

    def __init__(self, attempt: Attempt, key: str, needs: dict[str, float], loop: asyncio.AbstractEventLoop) -> None:
        self.attempt = attempt
        self.key = key
        self.needs = needs
        self.ended = 0.0
        self.worker: RemoteWorker | None = None
        self.future: Any = None
        self.mark = ""
        self.group = 0
        self.since = 0.0
        self.is_noted = False
        self.is_withdrawing = False
        self.settled = False
        self._loop = loop
        self.begun: asyncio.Future[None] = loop.create_future()
        self._exit: asyncio.Future[int | None] = loop.create_future()
        self.output = Received(attempt)
        self._is_ending = False

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return not self.settled

    @property
    def is_careful(self) -> bool:
        """Whether it was on a worker that died: it never waits at a worker then, so that no other hides behind it."""
        return self.attempt.entry.is_careful

    @property
    def is_suspect(self) -> bool:
        """Whether it has lost enough workers in a row to be the likely cause."""
        return self.attempt.entry.losses > 1

    async def wait(self) -> int | None:
        """Wait until it has ended; return how, as an `Exit`."""
        code = await asyncio.shield(self._exit)
        await self.output.finished()
        return code

    def end(self, grace: float) -> bool:
        """End it with all that it has started; the second call does not wait for the grace."""
        if self.settled:
            return False
        self.resume_output()
        if self.worker is not None:
            self.worker.order("end", self.key, 0.0 if self._is_ending else grace)
        self._is_ending = True
        return True

    def signal(self, number: int) -> None:
        """Send a signal to it and all that it has started."""
        if self.worker is not None and not self.settled:
            self.worker.order("signal", self.key, number)

    def pause_output(self) -> None:
        """Take no more of its output, so that it waits when the bound is reached."""
        if not self._is_ending:
            self.output.pause()

    def resume_output(self) -> None:
        """Take its output again."""
        self.output.resume()
        if self.worker is not None and (size := self.output.take_size()):
            self.worker.order("received", self.key, size)

    def take_received(self) -> int:
        """Return how many bytes of its output have been dealt with since the last call."""
        return self.output.take_size()

    def started(self, event: Started) -> None:
        """Note that it runs."""
        self.group = event.pid
        self._set_begin(event.age)

    def refused(self, event: Refused) -> None:
        """Note that it could not be started over there."""
        self.settled = True
        set_error_unless_done(self.begun, self._error(event))
        set_unless_done(self._exit, None)

    def wrote(self, event: Chunk) -> None:
        """Take what it has written."""
        self.output.feed(event.fd, event.data)

    def finished(self, event: Ended) -> None:
        """Note how it has ended."""
        if not self.is_noted:
            self._set_begin(event.duration)
        attempt = self.attempt
        attempt.entry.losses, attempt.entry.is_careful = 0, False
        self.ended = attempt.started + event.duration
        attempt.usage = event.usage
        attempt.over_memory = attempt.over_memory or event.over_memory
        self._settle(event.exit)

    def lost(self, reason: str) -> None:
        """Note that its worker is lost, and that nothing of it runs there any more, as far as that can be known."""
        if not self.settled:
            self.attempt.lost = reason
            self.ended = self._loop.time()
            if not self.is_noted:
                self._set_begin(0.0)
            self._settle(Exit.unknown())

    def abandon(self, error: OSError) -> None:
        """Do not start it any more."""
        self.settled = True
        set_error_unless_done(self.begun, error)
        set_unless_done(self._exit, None)

    def _settle(self, code: int | None) -> None:
        self.settled = True
        set_unless_done(self._exit, code)

    def _set_begin(self, age: float) -> None:
        attempt, now = self.attempt, self._loop.time()
        self.is_noted = True
        self.output.begin()
        attempt.started_at += now - age - attempt.started
        attempt.started = now - age
        if self.worker is not None:
            attempt.host = self.worker.place
        set_unless_done(self.begun, None)

    def _error(self, event: Refused) -> OSError | ValueError:
        text = event.text if self.worker is None else f"{event.text} on {self.worker.place}"
        if event.errno is None:
            return ValueError(text)
        return OSError(event.errno, text, event.filename)


def set_error_unless_done(future: asyncio.Future[None], error: Exception) -> None:
    """Have a future raise, unless it is done; nobody has to ask for the error."""
    if not future.done():
        future.set_exception(error)
        future.exception()
