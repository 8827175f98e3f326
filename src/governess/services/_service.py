"""What is kept alive: a service, and how."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from governess.services._conditions import Health, Ready, can_be_asked
from governess.services._restarts import Restart

__all__ = ["Command", "Log", "Service", "ServiceError", "check_name"]

Command = tuple[str, ...] | str
"""A command: an argv, which is executed without a shell, or a string, which a shell runs."""


class ServiceError(ValueError):
    """A service cannot be run as described, or a command names an unknown service; the text has the reason.

    Attributes:
        service: the name of the service; ``""`` if unknown.
        key: the wrong option; ``""`` if unknown.
    """

    def __init__(self, text: str, service: str = "", key: str = "") -> None:
        """Say what is wrong, and where."""
        super().__init__(text)
        self.service = service
        self.key = key


@dataclass(frozen=True, slots=True)
class Log:
    """The log files of a service.

    Attributes:
        file: the path of the current file; `{}` stands for the name of the copy. Older files have ``.1``, ``.2`` …
            appended.
        size: the largest size of a file in bytes; the next line then begins a new file.
        keep: the number of older files that are kept.
    """

    file: str
    size: int = 10 << 20
    keep: int = 5

    def __post_init__(self) -> None:
        if not self.file:
            raise ValueError("a log needs the name of a file")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"a log file has at least one byte, not {self.size!r}")
        if type(self.keep) is not int or self.keep < 0:
            raise ValueError(f"0 or more log files are kept, not {self.keep!r}")


@dataclass(frozen=True, slots=True)
class Service:
    """A program that is kept alive.

    Attributes:
        name: a unique name of letters, digits, `_` and `-`.
        command: an argv, or a string for the shell.
        cwd: the working directory; None for that of this process.
        env: variables that are added to the environment of this process.
        after: the names of services that must be ready, and of jobs that must be done, before this service starts.
        ready: the condition that shows that the service is ready; None if it is ready as soon as it runs.
        ready_timeout: seconds in which the service must be ready; None for no limit. A service that is late is ended,
            which counts as a failure.
        health: the check that is repeated while the service is ready; None for no check.
        stop: the signal that asks the service to end.
        grace: seconds between the `stop` signal and KILL.
        copies: the number of copies that run.
        port: the variable PORT in the environment of the first copy; each further copy has the next number. None for
            no PORT.
        restart: whether the service is started again after its end.
        limit: the number of deaths in a row after which the service is not started again; None for no limit.
        essential: whether `Supervisor.wait` returns when this service has ended for good; the result is then the exit
            status of the service.
        listen: addresses such as `127.0.0.1:8000`, `[::1]:80` or `/run/web.sock`. The service gets listening sockets
            for them as from systemd: from descriptor 3 on, with LISTEN_FDS and LISTEN_PID. The sockets stay open
            during a restart.
        watch: patterns of files, relative to `cwd`; the service is restarted when such a file changes.
        log: the log files of the service; None for none.
        job: whether the service runs once, to its end. Services that start after it wait until it is done.
    """

    name: str
    command: Command
    cwd: str | None = field(default=None, kw_only=True)
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), kw_only=True)
    after: tuple[str, ...] = field(default=(), kw_only=True)
    ready: Ready | None = field(default=None, kw_only=True)
    ready_timeout: float | None = field(default=None, kw_only=True)
    health: Health | None = field(default=None, kw_only=True)
    stop: int = field(default=signal.SIGTERM, kw_only=True)
    grace: float = field(default=10.0, kw_only=True)
    copies: int = field(default=1, kw_only=True)
    port: int | None = field(default=None, kw_only=True)
    restart: Restart | Literal["always", "on-failure", "never"] = field(default=Restart.ALWAYS, kw_only=True)
    limit: int | None = field(default=None, kw_only=True)
    essential: bool = field(default=False, kw_only=True)
    listen: tuple[str, ...] = field(default=(), kw_only=True)
    watch: tuple[str, ...] = field(default=(), kw_only=True)
    log: Log | None = field(default=None, kw_only=True)
    job: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.name)
        for attribute in ("after", "listen", "watch"):
            object.__setattr__(self, attribute, tuple(getattr(self, attribute)))
        if not isinstance(self.command, str):
            object.__setattr__(self, "command", tuple(self.command))
        if not self.command or not self.command[0]:
            raise ServiceError(f"service {self.name} has no command", self.name, "command")
        try:
            object.__setattr__(self, "restart", Restart(self.restart))
        except ValueError:
            words = ", ".join(Restart)
            raise self._wrong("restart", f"{self.restart!r} is none of {words}") from None
        self._check_numbers()
        self._check_probes()

    def _check_numbers(self) -> None:
        if type(self.copies) is not int or not 0 <= self.copies <= 10_000:
            raise self._wrong("copies", f"{self.copies!r} is no number from 0 to 10000")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise self._wrong("limit", f"{self.limit!r} is no number above 0")
        if not self.grace >= 0:
            raise self._wrong("grace", f"{self.grace!r} is below 0 seconds")
        if self.ready_timeout is not None and not self.ready_timeout > 0:
            raise self._wrong("ready", f"a timeout is more than 0 seconds, not {self.ready_timeout!r}")
        if self.port is not None and not 0 < self.port + self.copies <= 1 << 16:
            raise self._wrong("port", f"{self.port!r} is no port from 1 to 65535")
        if self.stop not in signal.valid_signals():
            raise self._wrong("stop", f"{self.stop!r} is no signal")

    def _check_probes(self) -> None:
        first_port = self.first_port
        check = None if self.health is None else self.health.check
        for key, condition in (("ready", self.ready), ("health", check)):
            if condition is not None and not can_be_asked(condition, first_port):
                raise self._wrong(key, f"{condition} has no port: give a whole URL, port or listen")
        if self.job and (self.ready or self.health):
            raise self._wrong("ready", "a job is done when it has ended, and has neither ready nor health")

    def _wrong(self, key: str, text: str) -> ServiceError:
        return ServiceError(f"service {self.name}, {key}: {text}", self.name, key)

    @property
    def first_port(self) -> int | None:
        """The port of the first copy, from `port` or from the first address of `listen` with a port; else None."""
        if self.port is not None:
            return self.port
        ports = (address.rpartition(":")[2] for address in self.listen if "/" not in address)
        return next((int(port) for port in ports if port.isdecimal()), None)

    def port_of(self, number: int) -> int | None:
        """Return the port of a copy; `number` is the number of the copy, from 1."""
        return self.first_port if self.port is None else self.port + number - 1

    def path(self, name: str) -> str:
        """Join a path to the working directory of the service."""
        return os.path.join(self.cwd or os.getcwd(), name)


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(name: str) -> None:
    """Check the name of a service.

    Raises:
        ServiceError: it has characters that a name does not have.
    """
    if not _NAME.fullmatch(name):
        raise ServiceError(f"{name!r} is no name of a service: up to 64 letters, digits, _ and -")
