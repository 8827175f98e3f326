"""The copies of all services: found by their names, stopped and restarted in the order of their services."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Iterable, Mapping, Sequence

from governess.services._copy import Copy
from governess.services._events import EventLog
from governess.services._order import dependents_first
from governess.services._service import Service, ServiceError
from governess.services._states import State
from governess.services._watched import Host

__all__ = ["Fleet", "all_of"]

# Seconds in which a copy has to be ready before the next copy is restarted.
_ROLL_TIMEOUT = 10.0


class Fleet:
    """The copies of services.

    Attributes:
        services: the services by their names.
    """

    def __init__(self, services: Mapping[str, Service], events: EventLog) -> None:
        """Have no copy yet."""
        self.services = dict(services)
        self._events = events
        self._copies: dict[str, list[Copy]] = {name: [] for name in services}

    def all(self) -> list[Copy]:
        """Return all copies, in the order of their services."""
        return [copy for name in self.services for copy in self._copies.get(name, ())]

    def of(self, name: str) -> list[Copy]:
        """Return the copies of a service."""
        return list(self._copies.get(name, ()))

    def select(self, names: Sequence[str]) -> list[Copy]:
        """Return the copies that names and patterns of services and copies stand for; all without a name.

        Raises:
            ServiceError: a name stands for none.
        """
        if not names:
            return self.all()
        chosen: set[str] = set()
        for name in names:
            found = {copy.name for copy in self.all() if _matches(copy, name)}
            if not found:
                self.check_name(name)
            chosen |= found
        return [copy for copy in self.all() if copy.name in chosen]

    def check_name(self, name: str) -> None:
        """Check that there is a service with this name.

        Raises:
            ServiceError: there is none.
        """
        if name not in self.services:
            raise ServiceError(f"there is no service {name!r}; there are {', '.join(self.services)}")

    def resize(self, name: str, host: Host) -> list[Copy]:
        """Have as many copies as the service says: start new ones, and return those that the caller has to remove."""
        service, copies = self.services[name], self._copies.setdefault(name, [])
        for copy in copies:
            copy.replace(service)
        for number in range(len(copies) + 1, service.copies + 1):
            copy = Copy(service, number, host)
            copies.append(copy)
            copy.start()
        surplus = copies[service.copies :]
        del copies[service.copies :]
        return surplus

    async def replace(self, services: Mapping[str, Service], restarted: Iterable[str], host: Host) -> None:
        """Have these services: remove the copies of others, start new copies, and restart those that are out of date.

        Args:
            services: the new services.
            restarted: the names of services that need new processes.
            host: the host of new copies.
        """
        removed = [copy for name in self.services if name not in services for copy in self.of(name)]
        await self.stop(removed, "removed")
        await all_of(copy.remove() for copy in removed)
        for name in self.services.keys() - services.keys():
            del self._copies[name]
        self.services = dict(services)
        old = {name: set(self.of(name)) for name in restarted}
        surplus = [copy for name in services for copy in self.resize(name, host)]
        self._events.wake()
        await all_of(copy.remove() for copy in surplus)
        await all_of(
            self.roll([copy for copy in self.of(name) if copy in copies], "changed") for name, copies in old.items()
        )

    def blocker(self, service: Service) -> str:
        """Return what a service still has to wait for, in words; "" if it may start."""
        for name in service.after:
            other = self.services[name]
            for copy in self._copies.get(name, ()):
                if not copy.is_satisfied:
                    what = f"{other.ready}" if copy.state is State.STARTING and other.ready else f"{copy.state}"
                    return f"{name}: {what}"
        return ""

    def is_over(self) -> bool:
        """Whether no copy lives, nor will live without a command, and no command has stopped any."""
        copies = self.all()
        if any(copy.is_stopped_by_command or copy.state is State.BACKOFF or copy.state.is_alive for copy in copies):
            return False
        return all(copy.state.is_resting or self.blocker(copy.service) for copy in copies)

    async def stop(self, copies: Sequence[Copy], why: str = "") -> None:
        """Stop copies in the reverse order of their services, and wait until they are gone."""
        by_service: dict[str, list[Copy]] = {}
        for copy in copies:
            by_service.setdefault(copy.service.name, []).append(copy)
        tasks: dict[str, asyncio.Task[None]] = {}

        async def stop(name: str, before: list[asyncio.Task[None]]) -> None:
            if before:
                await asyncio.wait(before)
            await all_of(copy.stop(why) for copy in by_service[name])

        for name, dependents in dependents_first(self.services).items():
            if name in by_service:
                before = [tasks[other] for other in dependents if other in tasks]
                tasks[name] = asyncio.get_running_loop().create_task(stop(name, before))
        await all_of(tasks.values())

    async def roll(self, copies: Sequence[Copy], why: str = "") -> None:
        """Restart copies one after the other, each when the one before is ready.

        Raises:
            ServiceError: one was not ready in its time; those that follow are left alone.
        """
        for index, copy in enumerate(copies, 1):
            await copy.restart(why)
            if index == len(copies):
                return
            try:
                async with asyncio.timeout(copy.service.ready_timeout or _ROLL_TIMEOUT):
                    while self._is_on_its_way(copy):
                        await self._events.changed()
            except TimeoutError:
                pass
            if not copy.is_satisfied and not copy.is_stopped_by_command:
                raise ServiceError(f"{copy.name} {copy.text}; {copies[index].name} and what follows is not restarted")

    def _is_on_its_way(self, copy: Copy) -> bool:
        return copy.state is State.STARTING or (copy.state is State.WAITING and not self.blocker(copy.service))


def _matches(copy: Copy, pattern: str) -> bool:
    return fnmatch.fnmatchcase(copy.service.name, pattern) or fnmatch.fnmatchcase(copy.name, pattern)


async def all_of(waits: Iterable[object]) -> None:
    """Wait for all of them, and raise the first error when all are over."""
    results = await asyncio.gather(*waits, return_exceptions=True)  # type: ignore[call-overload]
    for result in results:
        if isinstance(result, BaseException):
            raise result
