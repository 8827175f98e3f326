"""A job on a worker: it runs as on the worker's own machine, and what happens to it goes into an outbox."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from governess.jobs._attempt import Attempt, Files, Output
from governess.jobs._job import Job, JobOptions
from governess.jobs._local import LocalEngine
from governess.jobs._memory import MemoryWatch
from governess.jobs._result import usage_of_exit
from governess.jobs._schedule import Entry
from governess.jobs.dask._messages import Chunk, Ended, JobSpec, Refused, Returned, Started
from governess.jobs.dask._outbox import Outbox

__all__ = ["HostedJob"]

# Seconds after which the start of a job is told that has not ended before.
_NOTE_AFTER = 0.1
# Bytes of output that are under way to the run; beyond them the job waits.
_WINDOW = 1 << 20


class HostedJob:
    """A job that runs for a run elsewhere.

    Attributes:
        spec: what is run.
        is_evicted: whether the worker has ended it by itself, so that its end does not count.
    """

    def __init__(self, spec: JobSpec, outbox: Outbox, memory: MemoryWatch) -> None:
        self.spec = spec
        self.is_evicted = False
        self._outbox = outbox
        self._memory = memory
        self._under_way = 0
        self._attempt = _attempt_of(spec, self)
        self._ending: float | None = None

    async def run(self, engine: LocalEngine) -> None:
        """Run it to its end, and tell what happens."""
        spec, attempt, loop = self.spec, self._attempt, asyncio.get_running_loop()
        begun = time.monotonic()
        try:
            attempt.running = running = await engine.start(attempt)
        except (OSError, ValueError) as error:
            self._outbox.put(_refusal(spec.key, error))
            return
        note = loop.call_later(
            0.0 if spec.is_noted else _NOTE_AFTER, self._outbox.put, Started(spec.key, running.pid, begun)
        )
        if spec.memory is not None:
            self._memory.add(attempt)
        if self._ending is not None:
            running.end(self._ending)
        try:
            code = await running.wait()
        finally:
            note.cancel()
            self._memory.discard(attempt)
        if self.is_evicted:
            self._outbox.put(Returned(spec.key, True))
            return
        usage = {} if code is None else usage_of_exit(code)
        self._outbox.put(Ended(spec.key, code, usage, time.monotonic() - begun, attempt.over_memory))

    def end(self, grace: float) -> None:
        """End it with all that it has started; the second call does not wait for the grace."""
        if self._attempt.running is None:
            self._ending = grace if self._ending is None else 0.0
        else:
            self._attempt.running.end(grace)

    def evict(self) -> None:
        """End it, since its task or its worker is no more."""
        if not self.is_evicted:
            self.is_evicted = True
            self.end(self.spec.grace)

    def signal(self, number: int) -> None:
        """Send a signal to it and all that it has started."""
        if self._attempt.running is not None:
            self._attempt.running.signal(number)

    def feed(self, fd: int, data: bytes) -> None:
        """Take what it has written."""
        self._outbox.put(Chunk(self.spec.key, fd, data))
        self._under_way += len(data)
        if self._under_way > _WINDOW and self._attempt.running is not None:
            self._attempt.running.pause_output()

    def received(self, size: int) -> None:
        """Note that this number of bytes of its output has arrived and was handled."""
        self._under_way -= size
        if self._under_way <= _WINDOW // 2 and self._attempt.running is not None:
            self._attempt.running.resume_output()


def _attempt_of(spec: JobSpec, job: HostedJob) -> Attempt:
    options = JobOptions(memory=spec.memory, nice=spec.nice, grace=spec.grace)
    entry = Entry(0, Job(spec.command, cwd=spec.cwd, stdin=spec.stdin))
    attempt = Attempt(entry, options, 0, spec.command)
    attempt.env = spec.env
    output: Output = job if spec.files is None else Files(*map(Path, spec.files))
    attempt.output = output
    return attempt


def _refusal(key: str, error: OSError | ValueError) -> Refused:
    if isinstance(error, OSError):
        filename = None if error.filename is None else str(error.filename)
        return Refused(key, error.errno, error.strerror or str(error), filename)
    return Refused(key, None, str(error), None)
