"""One process of a copy, from its start: it gets ready, is asked for its health, and writes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from governess.services._conditions import ask
from governess.services._events import EventLog
from governess.services._output import LineJoiner, OutputWriter
from governess.services._process import Passed, ServiceProcess
from governess.services._readiness import Readiness
from governess.services._service import Log, Service
from governess.services._states import Event, State
from governess.services._words import seconds

if TYPE_CHECKING:
    from governess.services._copy import Copy

__all__ = ["MARK", "Host", "WatchedProcess"]

MARK = "GOVERNESS_SERVICE"
"""The variable that marks the processes of services."""
# What systemd gives to this process alone.
_OURS = frozenset({"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"})


class Host(Protocol):
    """What a copy needs of its supervisor.

    Attributes:
        mark: what stands before the name of a copy in the variable `MARK`.
        events: gets what happens.
        is_hurried: whether nothing gets a grace any more.
        writer: gets the output; None if the copies write where this process does.
    """

    mark: str
    events: EventLog
    is_hurried: bool
    writer: OutputWriter | None

    def blocker(self, service: Service) -> str:
        """Return what a service still has to wait for, in words; "" if it may start."""
        ...

    def sockets(self, service: Service) -> Sequence[int]:
        """Return the listening sockets of a service."""
        ...

    def process_changed(self) -> None:
        """Take note that a copy has a process, or has none any more."""
        ...

    def rested(self, copy: Copy) -> None:
        """Take note that a copy has ended for good by itself."""
        ...


class WatchedProcess:
    """A process of a copy.

    Attributes:
        process: the process; None before it is started.
        failed_start: the exit status that stands for a start that has failed; None if it has not.
        ready_at: when it was ready, by the clock of the loop; None if it was not.
    """

    def __init__(self, copy: Copy, host: Host) -> None:
        """Have a process for a copy, which `run` starts."""
        self.process: ServiceProcess | None = None
        self.failed_start: int | None = None
        self.ready_at: float | None = None
        self._copy = copy
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._service = copy.service
        self._port = copy.service.port_of(copy.number)
        self._joiner = LineJoiner()
        self._readiness: Readiness | None = None

    async def run(self) -> str:
        """Start it, and wait until it has ended or has to be ended; return why it has to be, "" in the first case."""
        service = self._service
        try:
            self._readiness = readiness = Readiness(service, self._port)
            env = {**_environment(self._copy, self._host.mark), **readiness.env}
            self.process = process = await ServiceProcess.start(
                service.command,
                cwd=service.cwd,
                env=env,
                passed=Passed(self._host.sockets(service), readiness.descriptors),
                on_output=None if self._host.writer is None else self._feed,
            )
        except (OSError, ValueError) as error:
            self.failed_start = 127 if isinstance(error, FileNotFoundError) else 126
            what = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
            return f"cannot be started: {getattr(error, 'strerror', None) or error}{what}"
        readiness.started()
        self._host.process_changed()
        return await self._watch(process, readiness, env)

    def close(self) -> None:
        """Close what was opened to see it get ready."""
        if self._readiness is not None:
            self._readiness.close()
            self._readiness = None

    async def _watch(self, process: ServiceProcess, readiness: Readiness, env: Mapping[str, str]) -> str:
        exited = self._loop.create_task(process.wait())
        checked = self._loop.create_task(self._check(process, readiness, env))
        try:
            await asyncio.wait((exited, checked), return_when=asyncio.FIRST_COMPLETED)
            return "" if exited.done() else checked.result()
        finally:
            exited.cancel()
            checked.cancel()
            await asyncio.wait((exited, checked))
            if not checked.cancelled():
                checked.exception()

    async def _check(self, process: ServiceProcess, readiness: Readiness, env: Mapping[str, str]) -> str:
        """Wait until it is ready, and then until it is ill; return what is wrong."""
        service, copy = self._service, self._copy
        if service.job:
            copy.tell(f"starts as process {process.pid}")
            await asyncio.Event().wait()
        if service.ready is not None:
            copy.tell(f"starts as process {process.pid}")
            try:
                async with asyncio.timeout(service.ready_timeout):
                    await readiness.wait(env)
            except TimeoutError:
                return f"is not ready after {seconds(service.ready_timeout)}: {service.ready}"
        self.ready_at = self._loop.time()
        if service.ready is not None:
            time = seconds(self.ready_at - copy.started)
            copy.move(Event.PREPARE, f"is ready: {service.ready}, {time} after its start")
        else:
            copy.move(Event.PREPARE, f"runs as process {process.pid}")
        self.close()
        return await self._ask_for_health(env)

    async def _ask_for_health(self, env: Mapping[str, str]) -> str:
        copy, refusals = self._copy, 0
        while True:
            health = copy.service.health
            if health is None:
                await copy.replaced()
                continue
            await asyncio.sleep(health.every)
            if health is not copy.service.health:
                continue
            refusal = await ask(health.check, health.timeout, port=self._port, cwd=copy.service.cwd, env=env)
            if refusal is None:
                refusals = 0
                if copy.state is State.UNHEALTHY:
                    copy.move(Event.RECOVER, f"is healthy again: {health.check}")
                continue
            refusals += 1
            text = f"is unhealthy: {health.check}: {refusal}"
            if copy.state is State.READY:
                copy.move(Event.SICKEN, text)
            if refusals >= health.fails:
                return f"{text}, {refusals} times in a row"

    def _feed(self, data: bytes) -> None:
        writer = self._host.writer
        lines = self._joiner.feed(data)
        if not lines or writer is None:
            return
        if self._readiness is not None:
            self._readiness.feed(lines)
        writer.write(self._copy.name, lines, _log_of(self._copy))
        if writer.is_full and (process := self.process) is not None:
            process.pause_output()
            writer.when_there_is_room(process.resume_output)


def _log_of(copy: Copy) -> Log | None:
    """Return the log of a copy, whose file has the name of the copy in place of `{}`."""
    service, log = copy.service, copy.service.log
    return None if log is None else replace(log, file=service.path(log.file.replace("{}", copy.name)))


def _environment(copy: Copy, mark: str) -> dict[str, str]:
    """Return the environment of a copy: ours, what its service sets, and its name, its mark and its port."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    own = {"PS": copy.name, MARK: f"{mark}{copy.name}"}
    if copy.service.port is not None:
        own["PORT"] = str(copy.service.port_of(copy.number))
    return {**inherited, **copy.service.env, **own}
