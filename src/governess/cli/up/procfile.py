"""The services that a Procfile describes, as foreman and honcho read it, and the variables of a .env file."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from governess.cli.printable import printable
from governess.cli.up.config import ConfigError
from governess.services import Restart, Service, ServiceError

__all__ = ["base_port", "read_env", "read_procfile"]

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")
# foreman's and honcho's.
_GRACE = 5.0
_PORT, _PORTS_OF_A_LINE = 5000, 100


def read_procfile(path: Path, text: str, folder: str, env: Mapping[str, str], port: int) -> list[Service]:
    """Return the services of a Procfile: when one of them ends, all end, with its status.

    Args:
        path: where it is, for messages.
        text: what is in it; lines that are not `NAME: COMMAND` mean nothing.
        folder: the working directory.
        env: variables for all services.
        port: PORT of the first copy of the first service; the next service has 100 more.

    Raises:
        ConfigError: it cannot be used.
    """
    services: dict[str, Service] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (found := _LINE.match(line)):
            continue
        name, command = found.groups()
        if name in services:
            raise ConfigError(f"{path}:{number}: there is a service {name} already")
        try:
            services[name] = Service(
                name,
                command,
                cwd=folder,
                env=env,
                port=port + _PORTS_OF_A_LINE * len(services),
                restart=Restart.NEVER,
                essential=True,
                grace=_GRACE,
            )
        except ServiceError as error:
            raise ConfigError(f"{path}:{number}: {error}") from None
    if not services:
        raise ConfigError(f"{path}: there is no service in it; a line for one is NAME: COMMAND")
    return list(services.values())


def base_port(given: int | None, env: Mapping[str, str]) -> int:
    """Return the first port: the given one, or PORT of the .env file or of our environment, or 5000.

    Raises:
        ConfigError: PORT is no port.
    """
    if given is not None:
        return given
    text = env.get("PORT") or os.environ.get("PORT") or str(_PORT)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16):
        raise ConfigError(f"PORT is {text!r}, which is no port from 1 to 65535")
    return int(text)


def read_env(paths: Iterable[Path], *, must_exist: bool) -> dict[str, str]:
    """Return the variables of .env files; a later file wins. `${NAME}` stays as it is written, as with foreman.

    Raises:
        ConfigError: a file cannot be read.
    """
    variables: dict[str, str] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            if must_exist:
                raise ConfigError(f"{path}: there is no such file") from None
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        variables.update(_parse_env(path, text))
    return variables


def _parse_env(path: Path, text: str) -> dict[str, str]:
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise ConfigError("a .env file needs python-dotenv: pip install 'governess[cli]'") from None
    with _tells_of_lines(path, text):
        pairs = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in pairs.items() if value is not None}


@contextlib.contextmanager
def _tells_of_lines(path: Path, text: str) -> Iterator[None]:
    """Tell of lines that are no variables, and are left out, in place of python-dotenv, which does not say where."""
    lines = text.split("\n")

    def tell(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and record.args and isinstance(number := record.args[0], int):
            line = printable(lines[number - 1].strip()) if number <= len(lines) else ""
            print(
                f"governess: {path}:{number}: this is left out, since it is not like NAME=VALUE: {line}",
                file=sys.stderr,
            )
            return False
        return True

    logger = logging.getLogger("dotenv.main")
    logger.addFilter(tell)
    try:
        yield
    finally:
        logger.removeFilter(tell)
