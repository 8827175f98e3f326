"""The supervisor: it starts services in order, keeps them alive, obeys commands, and stops them in reverse order."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from governess._programs.usage import usages_of_trees
from governess.services._copy import Copy
from governess.services._events import EventLog, ServiceEvent
from governess.services._fleet import Fleet, all_of
from governess.services._order import check_services
from governess.services._output import OutputWriter, write_to_stdout
from governess.services._reload import Change, changes_between
from governess.services._service import Log, Service, ServiceError
from governess.services._sockets import Listeners
from governess.services._states import State
from governess.services._status import CopyStatus, status_of_copy
from governess.services._watching import Watching
from governess.services._words import status_of

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MARK", "Supervisor"]

MARK = "GOVERNESS_SERVICE"
"""The variable that marks the processes of services."""
# What systemd gives to this process alone.
_OURS = frozenset({"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"})
# Seconds for what is left to be written at the end.
_FLUSH = 2.0


class Supervisor:
    """Keeps services alive for the length of a block, in ``async with``, whose value it is itself.

    They start in order when the block is entered, and stop in the reverse order when it is left, by its end, an error
    or a cancellation. They are started again as each says, after pauses of 0.1 s that double up to 60 s.

    Commands take names: of a service, of a copy (`web.2`), or patterns of either (`web*`); none are all. Each command
    interrupts what a service does.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        on_output: Callable[[str, bytes], object] | None = None,
        capture: bool | None = None,
        mark: str = "",
        on_event: Callable[[ServiceEvent], object] | None = None,
        on_process: Callable[[], object] | None = None,
    ) -> None:
        """Take services.

        Args:
            services: what is kept alive.
            on_output: is called with the name of a copy and whole lines (bytes) that it has written, in a thread of its
                own; None writes them where this process does.
            capture: whether their output comes through this process; None if `on_output` is given, or a service has a
                `log` or is ready by a line of its log. Else they write where this process does.
            mark: begins the value of GOVERNESS_SERVICE in their environments, which names the copy.
            on_event: is called, in the loop, with each event as it happens, also while the services are stopped.
            on_process: is called, in the loop, when a copy has got a process, and when it has none any more.

        Raises:
            ServiceError: they cannot be run; the text says why.
            NotImplementedError: this is Windows.
        """
        if sys.platform == "win32":
            raise NotImplementedError("services need process groups and signals of POSIX, which Windows does not have")
        self.events = EventLog(on_event)
        self._fleet = Fleet(check_services(services), self.events)
        self._on_output = on_output
        self._capture = capture
        self._mark = mark
        self._on_process = on_process
        self._listeners = Listeners()
        self._watching = Watching(self._fleet, self.events)
        self._over: asyncio.Future[int] | None = None
        self._is_stopping = False
        self.writer: OutputWriter | None = None
        self.is_hurried = False

    async def __aenter__(self) -> Self:
        if self._over is not None:
            raise RuntimeError("each Supervisor is good for one block")
        self._over = asyncio.get_running_loop().create_future()
        if self._is_captured:
            self.writer = OutputWriter(self._on_output or write_to_stdout, self._log_trouble)
        services = list(self._fleet.services.values())
        try:
            self._listen(services)
            self._watching.update(services)
        except ServiceError:
            self._listeners.keep_only(())
            raise
        for service in services:
            self._fleet.resize(service.name, self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = asyncio.get_running_loop().create_task(self._shut_down())
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
                self.kill()
        ending.result()
        if cancelled is not None:
            raise cancelled

    def __aiter__(self) -> AsyncIterator[ServiceEvent]:
        """Give what happens, from the start, until the block is left, or `wait` would return."""
        return self.events.follow()

    async def wait(self) -> int:
        """Wait until all services have ended for good, or an essential one has, or `end` was called.

        Returns:
            What was given to `end`; else the exit status of the essential one, or of the first that has failed: 128 and
            the number of a signal if one has ended it; 0 if none has failed.
        """
        assert self._over is not None, "the block is not entered"
        return await asyncio.shield(self._over)

    def end(self, status: int = 0) -> None:
        """Let `wait` return a status, and the iterations end."""
        if self._over is not None and not self._over.done():
            self._over.set_result(status)
        self.events.close()

    def kill(self) -> None:
        """Kill at once what is being ended, and all that will be."""
        self.is_hurried = True
        for copy in self._fleet.all():
            copy.hurry()

    @property
    def services(self) -> Mapping[str, Service]:
        """The services by their names."""
        return dict(self._fleet.services)

    @property
    def is_ready(self) -> bool:
        """Whether all copies are ready, and all jobs done."""
        return all(copy.is_satisfied for copy in self._fleet.all())

    def status(self, names: Sequence[str] = ()) -> list[CopyStatus]:
        """Return how the copies are; errors as `start`."""
        copies = self._fleet.select(names)
        usages = usages_of_trees(pid for copy in copies if (pid := copy.pid) is not None)
        return [status_of_copy(copy, self._fleet.blocker(copy.service), usages) for copy in copies]

    def processes(self) -> dict[str, int]:
        """Return the numbers of the processes that the copies have now, by the names of the copies."""
        return {copy.name: copy.pid for copy in self._fleet.all() if copy.pid is not None}

    def recent_output(self, name: str) -> bytes:
        """Return the last lines, about 64 KB of them, that a copy has written."""
        return b"" if self.writer is None else self.writer.recent.of(name)

    def names(self, names: Sequence[str] = ()) -> list[str]:
        """Return the names of the copies that names and patterns stand for; errors as `start`."""
        return [copy.name for copy in self._fleet.select(names)]

    async def start(self, names: Sequence[str] = ()) -> None:
        """Start what does not run, without the pause that it may wait for.

        Raises:
            ServiceError: a name stands for nothing.
        """
        for copy in self._fleet.select(names):
            copy.start()

    async def stop(self, names: Sequence[str] = (), why: str = "") -> None:
        """Stop copies in the reverse order, and wait until they are gone; errors as `start`."""
        await self._fleet.stop(self._fleet.select(names), why)

    async def restart(self, names: Sequence[str] = (), why: str = "") -> None:
        """Restart copies, and wait until their old processes are gone.

        Several services stop in the reverse order before the first of them starts again. Of the copies of one service,
        one after the other is restarted when the one before is ready.

        Raises:
            ServiceError: a name stands for nothing; or a copy was not ready in its time, and the others were left.
        """
        copies = self._fleet.select(names)
        if len({copy.service.name for copy in copies}) <= 1:
            await self._fleet.roll(copies, why)
            return
        await self._fleet.stop(copies, why)
        for copy in copies:
            copy.start()

    async def scale(self, name: str, copies: int) -> None:
        """Set the number of copies of a service; those with the highest numbers are stopped.

        Raises:
            ServiceError: there is no such service, or that is no number of copies.
        """
        self._fleet.check_name(name)
        self._fleet.services[name] = replace(self._fleet.services[name], copies=copies)
        await all_of(copy.remove() for copy in self._fleet.resize(name, self))

    def signal(self, number: int, names: Sequence[str] = ()) -> list[str]:
        """Send a signal to the process groups of copies; return the names of those that have got it.

        Raises:
            ServiceError: a name stands for nothing.
        """
        return [copy.name for copy in self._fleet.select(names) if copy.signal(number)]

    async def reload(self, services: Iterable[Service], *, dry_run: bool = False) -> list[Change]:
        """Have other services in place of those that there are; return what has changed.

        A service that is the same is left alone. One whose limits, log, health, grace and the like differ is changed
        while it runs; another number of copies adds or stops some; any other difference restarts it.

        Args:
            services: what is kept alive from now on.
            dry_run: whether nothing is done.

        Raises:
            ServiceError: they cannot be run; then nothing has changed.
        """
        fresh = check_services(services)
        fleet = self._fleet
        changes = changes_between(fleet.services, fresh)
        if dry_run:
            return changes
        self._listen(fresh.values())
        try:
            self._watching.update(fresh.values())
        except ServiceError:
            self._keep_listening(fleet.services.values())
            raise
        removed = [copy for name in fleet.services if name not in fresh for copy in fleet.of(name)]
        await fleet.stop(removed, "removed")
        await all_of(copy.remove() for copy in removed)
        fleet.replace(fresh)
        old = {change.name: set(fleet.of(change.name)) for change in changes if change.is_restart}
        surplus = [copy for name in fresh for copy in fleet.resize(name, self)]
        self.events.wake()
        await all_of(copy.remove() for copy in surplus)
        await all_of(
            fleet.roll([copy for copy in fleet.of(name) if copy in copies], "changed") for name, copies in old.items()
        )
        self._keep_listening(fresh.values())
        return changes

    # What a copy asks of its host.

    def blocker(self, service: Service) -> str:
        """Return what a service still has to wait for, in words; "" if it may start."""
        return self._fleet.blocker(service)

    def environment(self, copy: Copy) -> dict[str, str]:
        """Return the environment of a copy."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
        port = copy.service.port_of(copy.number)
        own = {"PS": copy.name, MARK: f"{self._mark}{copy.name}"}
        if copy.service.port is not None:
            own["PORT"] = str(port)
        return {**inherited, **copy.service.env, **own}

    def sockets(self, service: Service) -> Sequence[int]:
        """Return the listening sockets of a service."""
        return self._listeners.descriptors(service.listen)

    def wrote(self, copy: Copy, lines: bytes) -> None:
        """Take note of whole lines that a copy has written."""
        if self.writer is None:
            return
        log = copy.service.log
        if log is not None:
            log = Log(copy.service.path(log.file.replace("{}", copy.name)), log.size, log.keep)
        self.writer.write(copy.name, lines, log)

    def process_changed(self) -> None:
        """Tell that a copy has a process, or has none any more."""
        if self._on_process is not None:
            self._on_process()

    def rested(self, copy: Copy) -> None:
        """End if an essential copy has ended for good, or nothing is left that may happen."""
        if self._is_stopping:
            return
        if copy.service.essential:
            self.end(status_of(copy.code) or int(copy.state is State.FAILED))
        elif self._fleet.is_over():
            failed = [each for each in self._fleet.all() if each.state is State.FAILED]
            self.end(status_of(failed[0].code) or 1 if failed else 0)

    @property
    def _is_captured(self) -> bool:
        if self._capture is not None:
            return self._capture
        from governess.services._conditions import LogLine

        services = self._fleet.services.values()
        return self._on_output is not None or any(each.log or isinstance(each.ready, LogLine) for each in services)

    def _listen(self, services: Iterable[Service]) -> None:
        wanted = {address: service.name for service in services for address in service.listen}
        try:
            self._listeners.open(wanted)
        except OSError as error:
            name = wanted[error.filename]
            raise ServiceError(f"service {name}, listen: {error.filename}: {error.strerror}", name, "listen") from error

    async def _shut_down(self) -> None:
        """Stop everything in the reverse order; what ends by itself meanwhile is not started again."""
        self._is_stopping = True
        self._watching.close()
        copies = self._fleet.all()
        for copy in copies:
            copy.is_last = True
        idle = [copy for copy in copies if not copy.state.is_alive and not copy.state.is_resting]
        await all_of(copy.stop() for copy in idle)
        await self._fleet.stop([copy for copy in copies if copy.state.is_alive])
        await all_of(copy.remove() for copy in copies)
        self._listeners.keep_only(())
        if self.writer is not None:
            await self.writer.close(_FLUSH)
        self.end(0)

    def _keep_listening(self, services: Iterable[Service]) -> None:
        self._listeners.keep_only(address for service in services for address in service.listen)

    def _log_trouble(self, path: str, error: OSError | None, dropped: int) -> None:
        if error is not None:
            text = f"cannot write {path}: {error.strerror}; its lines are dropped until it can be written"
        else:
            text = f"{path} is written again; {dropped} bytes were dropped"
        self.events.add(ServiceEvent("", None, text))
