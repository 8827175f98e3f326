"""A job at a cluster, as the run sees it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from governess.children._exit import Exit
from governess.children._per_loop import set_unless_done
from governess.jobs._attempt import Attempt, Files, Inherited
from governess.jobs.dask._messages import Chunk, Ended, Refused, Started

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
        needs: the resources of Dask that it takes.
        worker: where it is; None as long as it has no place.
        future: Dask's, which keeps the task alive.
        mark: the mark of its processes.
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
        self.since = 0.0
        self.is_noted = False
        self.is_withdrawing = False
        self.settled = False
        self._loop = loop
        self.begun: asyncio.Future[None] = loop.create_future()
        self._exit: asyncio.Future[int | None] = loop.create_future()
        self._output = _Received(attempt)
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
        """Whether it has lost so many workers in a row that it may be to blame."""
        return self.attempt.entry.losses > 1

    async def wait(self) -> int | None:
        """Wait until it has ended; return how, as an `Exit`."""
        code = await asyncio.shield(self._exit)
        await self._output.finished()
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
            self._output.pause()

    def resume_output(self) -> None:
        """Take its output again."""
        self._output.resume()
        if self.worker is not None and (size := self._output.take_size()):
            self.worker.order("received", self.key, size)

    def take_received(self) -> int:
        """Return how many bytes of its output have been dealt with since the last call."""
        return self._output.take_size()

    def started(self, event: Started) -> None:
        """Note that it runs."""
        self._set_begin(event.age)

    def refused(self, event: Refused) -> None:
        """Note that it could not be started over there."""
        self.settled = True
        set_error_unless_done(self.begun, self._error(event))
        set_unless_done(self._exit, None)

    def wrote(self, event: Chunk) -> None:
        """Take what it has written."""
        self._output.feed(event.fd, event.data)

    def finished(self, event: Ended) -> None:
        """Note how it has ended."""
        if not self.is_noted:
            self._set_begin(event.wall)
        attempt = self.attempt
        attempt.entry.losses, attempt.entry.is_careful = 0, False
        self.ended = attempt.started + event.wall
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
        self._output.begin()
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


class _Received:
    """Where the output of a job goes on this side."""

    def __init__(self, attempt: Attempt) -> None:
        output = attempt.output
        self._files = _FileOutput(output) if isinstance(output, Files) else None
        self._write: Callable[[int, bytes], None]
        if self._files is not None:
            self._write = self._files.write
        else:
            self._write = _write_through if isinstance(output, Inherited) else output.feed  # type: ignore[union-attr]
        self._held: list[tuple[int, bytes]] | None = None
        self._has_begun = False
        self._size = 0
        self._resumed: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Make the files, if there are some; the second call does nothing."""
        if self._files is not None and not self._has_begun:
            self._files.make()
        self._has_begun = True

    def feed(self, fd: int, data: bytes) -> None:
        self.begin()
        if self._held is not None:
            self._held.append((fd, data))
        else:
            self._size += len(data)
            self._write(fd, data)

    def pause(self) -> None:
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        held, self._held = self._held, None
        for fd, data in held or ():
            self.feed(fd, data)
        if self._resumed is not None:
            set_unless_done(self._resumed, None)

    async def finished(self) -> None:
        """Wait until all of it is dealt with."""
        while self._held:
            self._resumed = asyncio.get_running_loop().create_future()
            await self._resumed
        if self._files is not None:
            self._files.close()

    def take_size(self) -> int:
        size, self._size = self._size, 0
        return size


def _write_through(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class _FileOutput:
    """Writes into the files of a job, which are there from its start on, as those of a job on this machine are."""

    def __init__(self, files: Files) -> None:
        self._paths = {1: files.stdout, 2: files.stderr}
        self._open: dict[int, BinaryIO] = {}

    def make(self) -> None:
        for path in self._paths.values():
            path.open("wb").close()

    def write(self, fd: int, data: bytes) -> None:
        if fd not in self._open:
            self._open[fd] = self._paths[fd].open("ab", buffering=0)
        self._open[fd].write(data)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()
