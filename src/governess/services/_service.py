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
"""An argv, which is executed without a shell; or a line, which a shell runs."""


class ServiceError(ValueError):
    """A service cannot be run as it is described; the text says why.

    Attributes:
        service: the name of the service; "" if it has none.
        key: the option that is wrong; "" if that is not known.
    """

    def __init__(self, text: str, service: str = "", key: str = "") -> None:
        """Say what is wrong, and where."""
        super().__init__(text)
        self.service = service
        self.key = key


@dataclass(frozen=True, slots=True)
class Log:
    """The files that get the output of a service.

    Attributes:
        file: their path; `{}` in it stands for the name of the copy. The older ones have `.1`, `.2` … appended.
        size: how many bytes a file has at most; then the next one is begun.
        keep: how many older files are kept.
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
        name: a name that no other service has: letters, digits, `_` and `-`.
        command: an argv, or a line for the shell.
        cwd: its working directory; None for that of this process.
        env: variables that are added to the environment of this process.
        after: names of services that have to be ready before it starts, and of jobs that have to be done.
        ready: what shows that it can do its work; None if it can as soon as it runs.
        ready_timeout: seconds in which it has to be ready; else it is ended, which counts as a failure. None for ever.
        health: what is asked of it while it is ready; None for nothing.
        stop: the signal that asks it to end.
        grace: seconds between that signal and KILL.
        copies: how many of it run.
        port: PORT in the environment of the first copy; each other copy has the next number. None for no PORT.
        restart: when it is started again after its end.
        limit: after how many deaths in a row it is given up; None for never.
        essential: whether all services end when it has ended for good; its exit status is then that of all.
        listen: addresses (`127.0.0.1:8000`, `[::1]:80`, `/run/web.sock`) on which it gets listening sockets, as systemd
            passes them: from descriptor 3 on, with LISTEN_FDS and LISTEN_PID. They stay open during a restart.
        watch: patterns of files, relative to `cwd`; it is restarted when one changes.
        log: the files that get its output; None for none.
        job: whether it runs once, to its end; what comes after it waits until it is done.
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
        """The port of the first copy, by `port` or the first address of `listen` that has one; None without."""
        if self.port is not None:
            return self.port
        ports = (address.rpartition(":")[2] for address in self.listen if "/" not in address)
        return next((int(port) for port in ports if port.isdecimal()), None)

    def port_of(self, number: int) -> int | None:
        """Return the port of a copy, by its number from 1."""
        return self.first_port if self.port is None else self.port + number - 1

    def path(self, name: str) -> str:
        """Return a path that is relative to its working directory as one that is not."""
        return os.path.join(self.cwd or os.getcwd(), name)


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(name: str) -> None:
    """Check the name of a service.

    Raises:
        ServiceError: it has characters that a name does not have.
    """
    if not _NAME.fullmatch(name):
        raise ServiceError(f"{name!r} is no name of a service: up to 64 letters, digits, _ and -")
