"""Asking a `governess up` that runs, by its control socket."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from governess.cli.up.config import ConfigError
from governess.cli.up.runtime import Runtime, RuntimeFolderError
from governess.cli.up.source import find_file

__all__ = ["ClientError", "NoFileError", "ask", "ask_once", "runtime_of", "wait_until_down"]

# Seconds for the connection.
_TIMEOUT = 5.0


class ClientError(Exception):
    """There is no answer, or it is an error; the text says why."""


class NoFileError(ClientError):
    """No file is given, and there is none here."""


def runtime_of(file: str | None) -> Runtime:
    """Return where the `governess up` of a file is found.

    Raises:
        NoFileError: no file is given, and there is none here.
        ClientError: it cannot be found otherwise.
    """
    if sys.platform == "win32":
        raise ClientError("services need process groups and signals of POSIX, which Windows does not have")
    try:
        path = find_file(file) if file is None or Path(file).exists() else Path(file)
        return Runtime(path)
    except (ConfigError, RuntimeFolderError) as error:
        is_missing = file is None and isinstance(error, ConfigError)
        raise (NoFileError if is_missing else ClientError)(str(error)) from None


def ask(file: str | None, **request: Any) -> Iterator[dict[str, Any]]:
    """Send a request, and yield the answers as they come.

    Raises:
        ClientError: nobody answers, or the answer is an error.
    """
    runtime = runtime_of(file)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(runtime.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            raise ClientError("`governess up` does not run here: start it, or name its file with -f FILE") from None
        except OSError as error:
            raise ClientError(f"{runtime.socket}: {error.strerror or error}") from None
        connection.settimeout(None)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            for line in answers:
                answer = json.loads(line)
                if "error" in answer:
                    raise ClientError(answer["error"])
                yield answer


def ask_once(file: str | None, **request: Any) -> dict[str, Any]:
    """Send a request and return its answer; errors as `ask`."""
    for answer in ask(file, **request):
        return answer
    raise ClientError("`governess up` ended before it answered")


def wait_until_down(file: str | None) -> None:
    """Wait until the `governess up` of a file has ended."""
    runtime = runtime_of(file)
    while runtime.is_held():
        time.sleep(0.01)
