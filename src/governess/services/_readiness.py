"""Waiting until a copy that was just started is ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import tempfile
from collections.abc import Mapping

from governess.services._conditions import Fd, LogLine, Notify, Question, ask
from governess.services._service import Service

__all__ = ["Readiness"]

# Seconds between two questions, and for an answer.
_INTERVAL, _TIMEOUT = 0.1, 10.0
_LONGEST_MESSAGE = 1 << 16


class Readiness:
    """Notices that one process of a service is ready.

    Attributes:
        env: variables that the process needs for it.
        descriptors: descriptors of ours that it needs, by their numbers there.
    """

    def __init__(self, service: Service, port: int | None) -> None:
        """Open what the process needs, before it is started.

        Raises:
            OSError: a socket or a pipe cannot be had.
        """
        self._service = service
        self._port = port
        self._ready = asyncio.Event()
        self._pattern: re.Pattern[bytes] | None = None
        self._reader = -1
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self.env: dict[str, str] = {}
        self.descriptors: dict[int, int] = {}
        condition = service.ready
        if isinstance(condition, LogLine):
            self._pattern = re.compile(condition.pattern.encode())
        elif isinstance(condition, Fd):
            self._reader, self.descriptors[condition.number] = os.pipe()
            os.set_blocking(self._reader, False)
            self._loop.add_reader(self._reader, self._read)
        elif isinstance(condition, Notify):
            self._open_socket()

    def feed(self, lines: bytes) -> None:
        """Look at lines that it has written."""
        if self._pattern is not None and any(map(self._pattern.search, lines.splitlines())):
            self._pattern = None
            self._ready.set()

    def started(self) -> None:
        """Close what the process alone needs."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors = {}

    async def wait(self, env: Mapping[str, str]) -> None:
        """Wait until it is ready; its commands get the environment `env`."""
        condition = self._service.ready
        if condition is None:
            return
        if not isinstance(condition, Question):
            await self._ready.wait()
            return
        while await ask(condition, _TIMEOUT, port=self._port, cwd=self._service.cwd, env=env) is not None:
            await asyncio.sleep(_INTERVAL)

    def close(self) -> None:
        """Close everything."""
        self.started()
        self._close_reader()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._reader, 4096)
            if b"\n" in data:
                self._ready.set()
            if not data:
                self._close_reader()

    def _close_reader(self) -> None:
        if self._reader >= 0:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self._reader = -1

    def _open_socket(self) -> None:
        # In a folder for this user alone, so that no other can say that the service is ready.
        self._folder = tempfile.TemporaryDirectory(prefix="governess-", ignore_cleanup_errors=True)
        path = os.path.join(self._folder.name, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.bind(path)
        self._loop.add_reader(self._socket, self._receive)
        self.env["NOTIFY_SOCKET"] = path

    def _receive(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError, InterruptedError):
            for _ in range(100):
                if b"READY=1" in self._socket.recv(_LONGEST_MESSAGE).split(b"\n"):
                    self._ready.set()
