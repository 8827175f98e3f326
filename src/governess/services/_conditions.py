"""What shows that a service is ready or healthy: the conditions, and how each is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from governess.subprocess import DEVNULL, run

__all__ = ["Exec", "Fd", "Health", "Http", "LogLine", "Notify", "Question", "Ready", "Tcp", "ask", "can_be_asked"]


@dataclass(frozen=True, slots=True)
class Tcp:
    """The condition that a TCP connection to a port succeeds.

    Attributes:
        port: the number of the port.
        host: the host name or address.
    """

    port: int
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if type(self.port) is not int or not 0 < self.port < 1 << 16:
            raise ValueError(f"{self.port!r} is no port from 1 to 65535")

    def __str__(self) -> str:
        return f"tcp {self.port}" if self.host == "127.0.0.1" else f"tcp {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Http:
    """The condition that a GET request is answered with a status from 200 to 399.

    Attributes:
        url: an http URL. A path alone means that path on 127.0.0.1, at the port of the copy.
    """

    url: str

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if not (self.url.startswith("/") or (parts.scheme == "http" and parts.hostname)) or _UNSAFE.search(self.url):
            raise ValueError(f"{self.url!r} is neither an http:// URL nor a path such as /health")

    def __str__(self) -> str:
        return f"http {self.url}"


_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Exec:
    """The condition that a command exits with 0; it runs in the working directory and environment of the service.

    Attributes:
        command: an argv, or a string for the shell.
    """

    command: tuple[str, ...] | str

    def __post_init__(self) -> None:
        if not isinstance(self.command, str):
            object.__setattr__(self, "command", tuple(self.command))
        if not self.command:
            raise ValueError("there is no command to be asked")

    def __str__(self) -> str:
        return f"exec {self.command if isinstance(self.command, str) else ' '.join(self.command)}"


@dataclass(frozen=True, slots=True)
class LogLine:
    """The condition that the service writes a line that matches a pattern.

    Attributes:
        pattern: a regular expression, for `re.search`.
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is no regular expression: {error}") from None

    def __str__(self) -> str:
        return f"log {self.pattern!r}"


@dataclass(frozen=True, slots=True)
class Notify:
    """The condition that the service sends ``READY=1`` to the socket NOTIFY_SOCKET, as sd_notify(3) does."""

    def __str__(self) -> str:
        return "notify"


@dataclass(frozen=True, slots=True)
class Fd:
    """The condition that the service writes a newline to a descriptor, as in s6.

    Attributes:
        number: the number of the descriptor, from 3 to 99.
    """

    number: int = 3

    def __post_init__(self) -> None:
        if type(self.number) is not int or not 3 <= self.number < 100:
            raise ValueError(f"{self.number!r} is no descriptor from 3 to 99")

    def __str__(self) -> str:
        return f"fd {self.number}"


Question = Tcp | Http | Exec
"""A condition that can be checked at any time."""
Ready = Question | LogLine | Notify | Fd
"""A condition that shows that a service is ready to do its work."""


@dataclass(frozen=True, slots=True)
class Health:
    """A check that is repeated while a service is ready.

    Attributes:
        check: the condition.
        every: seconds between two checks.
        fails: the number of failed checks in a row after which the service is ended; this end counts as a failure.
        timeout: seconds after which a check without an answer has failed.
    """

    check: Question
    every: float = 10.0
    fails: int = 3
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.check, Question):
            raise ValueError(f"{self.check} cannot be repeated: health is tcp, http or exec")
        if not self.every > 0 or not self.timeout > 0:
            raise ValueError(f"every and timeout are more than 0 seconds, not {self.every!r} and {self.timeout!r}")
        if type(self.fails) is not int or self.fails < 1:
            raise ValueError(f"fails is a number above 0, not {self.fails!r}")


def can_be_asked(condition: Ready, port: int | None) -> bool:
    """Return whether it is known where to ask."""
    return not isinstance(condition, Http) or not condition.url.startswith("/") or port is not None


async def ask(
    condition: Question, timeout: float, *, port: int | None, cwd: str | None, env: Mapping[str, str]
) -> str | None:
    """Ask once; return why the answer is no, and None if it is yes.

    Args:
        condition: what is asked.
        timeout: seconds for the answer.
        port: the port of the copy.
        cwd: the working directory of its commands.
        env: the environment of its commands.
    """
    try:
        async with asyncio.timeout(timeout):
            if isinstance(condition, Tcp):
                await _ask_tcp(condition.host, condition.port)
                return None
            if isinstance(condition, Http):
                return await _ask_http(condition.url, port)
            return await _ask_command(condition.command, cwd, env)
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)


async def _ask_tcp(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.transport.abort()


async def _ask_http(url: str, port: int | None) -> str | None:
    parts = urllib.parse.urlsplit(f"http://127.0.0.1:{port}{url}" if url.startswith("/") else url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: governess\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        with contextlib.suppress(ValueError):  # no end of a line within 64 KB
            words = (await reader.readline()).split(maxsplit=2)
            if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit():
                status = int(words[1])
                return None if 200 <= status < 400 else f"status {status}"
        return "no answer of HTTP"
    finally:
        writer.transport.abort()


async def _ask_command(command: tuple[str, ...] | str, cwd: str | None, env: Mapping[str, str]) -> str | None:
    argv = ("/bin/sh", "-c", command) if isinstance(command, str) else command
    done = await run(
        *argv, cwd=cwd, env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, capture=False, check=False, grace=0.5
    )
    return None if done.returncode == 0 else f"exit status {done.returncode}"
