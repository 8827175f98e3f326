"""The supervisor: it starts services in order, keeps them alive, obeys commands, and stops them in reverse order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from governess._programs.usage import usages_of_trees
from governess.children._per_loop import set_unless_done
from governess.services._copy import Copy
from governess.services._events import EventLog, ServiceEvent
from governess.services._fleet import Fleet, all_of
from governess.services._order import check_services
from governess.services._output import OutputWriter, write_to_stdout
from governess.services._reload import Change, changes_between
from governess.services._service import Service, ServiceError
from governess.services._sockets import Listeners
from governess.services._states import State
from governess.services._status import CopyStatus, status_of_copy
from governess.services._watching import Watching
from governess.services._words import status_of

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Supervisor"]

# Seconds for what is left to be written at the end.
_FLUSH = 2.0


class Supervisor:
    """Keeps services alive inside a block: ``async with Supervisor(services) as supervisor:``.

    The services start in order when the block is entered. They stop in the reverse order when the block ends, also
    after an error or a cancellation. A service that has ended is started again as its `restart` says; the pauses
    between the starts begin with 0.1 s and double up to 60 s.

    Methods such as `start` and `stop` take names of services, names of copies (`web.2`), or patterns of them (`web*`).
    Without a name, they act on all copies. A command interrupts an earlier one, and also the pause before a start.
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
        """Check the services; the block starts them.

        Args:
            services: the services.
            on_output: called in a separate thread with the name of a copy and whole lines (bytes) of its output; None
                writes the lines to the standard output of this process.
            capture: whether this process reads the output of the services. With False, the services inherit the outputs
                of this process. None means True if `on_output` is given, or if a service has a `log` or uses `LogLine`.
            mark: a prefix of the variable GOVERNESS_SERVICE in the environment of a copy; the name of the copy follows.
            on_event: called in the loop with each event, also while the services are stopped.
            on_process: called in the loop when a copy gets a process, and when the process is gone.

        Raises:
            ServiceError: the services cannot be run; the text has the reason.
            NotImplementedError: on Windows.
        """
        if sys.platform == "win32":
            raise NotImplementedError("services need process groups and signals of POSIX, which Windows does not have")
        self.events = EventLog(on_event)
        self._fleet = Fleet(check_services(services), self.events)
        self._on_output = on_output
        self._capture = capture
        self.mark = mark
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
            self.writer = OutputWriter(self._on_output or write_to_stdout, self.events)
        services = list(self._fleet.services.values())
        try:
            self._listeners.open(services)
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
        """Wait until all services or an essential one have ended for good, or until `end` is called.

        Returns:
            The status that was passed to `end`; else the exit status of the essential service, or of the first failed
            service, or 0. A service that a signal ended has the status 128 plus the number of the signal.
        """
        assert self._over is not None, "the block is not entered"
        return await asyncio.shield(self._over)

    def end(self, status: int = 0) -> None:
        """Make `wait` return a status, and end the iterations over events."""
        if self._over is not None:
            set_unless_done(self._over, status)
        self.events.close()

    def kill(self) -> None:
        """Kill the services that are being stopped; from now on, every stop kills at once, without a grace."""
        self.is_hurried = True
        for copy in self._fleet.all():
            copy.hurry()

    @property
    def services(self) -> Mapping[str, Service]:
        """The services, by name."""
        return dict(self._fleet.services)

    @property
    def is_ready(self) -> bool:
        """Whether all copies are ready and all jobs are done."""
        return all(copy.is_satisfied for copy in self._fleet.all())

    def status(self, names: Sequence[str] = ()) -> list[CopyStatus]:
        """Return the status of each copy; the errors are those of `start`."""
        copies = self._fleet.select(names)
        usages = usages_of_trees(pid for copy in copies if (pid := copy.pid) is not None)
        return [status_of_copy(copy, self._fleet.blocker(copy.service), usages) for copy in copies]

    def processes(self) -> dict[str, int]:
        """Return the pids of the running copies, by the names of the copies."""
        return {copy.name: copy.pid for copy in self._fleet.all() if copy.pid is not None}

    def recent_output(self, name: str) -> bytes:
        """Return the last lines of the output of a copy, about 64 KB; empty if the output is not captured."""
        return b"" if self.writer is None else self.writer.recent.of(name)

    def names(self, names: Sequence[str] = ()) -> list[str]:
        """Return the names of the copies that match names and patterns; the errors are those of `start`."""
        return [copy.name for copy in self._fleet.select(names)]

    async def start(self, names: Sequence[str] = ()) -> None:
        """Start the copies that do not run; a copy that waits for the end of a pause starts at once.

        Raises:
            ServiceError: a name matches no copy.
        """
        for copy in self._fleet.select(names):
            copy.start()

    async def stop(self, names: Sequence[str] = (), why: str = "") -> None:
        """Stop copies in the reverse order, and wait until their processes are gone; the errors are those of `start`.

        Args:
            names: names or patterns; empty for all copies.
            why: a reason, which the events contain.
        """
        await self._fleet.stop(self._fleet.select(names), why)

    async def restart(self, names: Sequence[str] = (), why: str = "") -> None:
        """Restart copies, and wait until their old processes are gone.

        If the copies belong to several services, all of them stop in the reverse order before the first starts again.
        If they belong to one service, they are restarted one after the other, each when the one before is ready.

        Args:
            names: names or patterns; empty for all copies.
            why: a reason, which the events contain.

        Raises:
            ServiceError: a name matches no copy; or a copy was not ready in time, and the copies after it were not
                restarted.
        """
        copies = self._fleet.select(names)
        if len({copy.service.name for copy in copies}) <= 1:
            await self._fleet.roll(copies, why)
            return
        await self._fleet.stop(copies, why)
        for copy in copies:
            copy.start()

    async def scale(self, name: str, copies: int) -> None:
        """Set the number of copies of a service; surplus copies, those with the highest numbers, are stopped.

        Raises:
            ServiceError: there is no such service, or the number of copies is invalid.
        """
        self._fleet.check_name(name)
        self._fleet.services[name] = replace(self._fleet.services[name], copies=copies)
        await all_of(copy.remove() for copy in self._fleet.resize(name, self))

    def signal(self, number: int, names: Sequence[str] = ()) -> list[str]:
        """Send a signal to the process groups of copies.

        Returns:
            The names of the copies that got the signal.

        Raises:
            ServiceError: a name matches no copy.
        """
        return [copy.name for copy in self._fleet.select(names) if copy.signal(number)]

    async def reload(self, services: Iterable[Service], *, dry_run: bool = False) -> list[Change]:
        """Replace the set of services.

        An unchanged service keeps running. Options that need no new process, such as `limit`, `log`, `health` and
        `grace`, are changed while the service runs. A new number of copies starts or stops copies. Any other difference
        restarts the service.

        Args:
            services: the new services.
            dry_run: whether to return the changes without making them.

        Returns:
            The changes.

        Raises:
            ServiceError: the new services cannot be run; nothing has changed then.
        """
        fresh = check_services(services)
        fleet = self._fleet
        changes = changes_between(fleet.services, fresh)
        if dry_run:
            return changes
        self._listeners.open(fresh.values())
        try:
            self._watching.update(fresh.values())
        except ServiceError:
            self._listeners.keep_only(fleet.services.values())
            raise
        await fleet.replace(fresh, [change.name for change in changes if change.is_restart], self)
        self._listeners.keep_only(fresh.values())
        return changes

    # What a copy asks of its host.

    def blocker(self, service: Service) -> str:
        """Return what a service still waits for, in words; ``""`` if the service may start."""
        return self._fleet.blocker(service)

    def sockets(self, service: Service) -> Sequence[int]:
        """Return the listening sockets of a service."""
        return self._listeners.descriptors(service)

    def process_changed(self) -> None:
        """Call `on_process`: a copy has got a process, or its process is gone."""
        if self._on_process is not None:
            self._on_process()

    def rested(self, copy: Copy) -> None:
        """End if an essential copy has ended for good, or if no copy changes its state without a command."""
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
