"""The listening sockets that services get, and that stay open while they restart."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable

from governess.services._service import Service, ServiceError

__all__ = ["Listeners", "parse_address"]

# As many connections wait during a restart as the kernel allows (net.core.somaxconn).
_BACKLOG = 4096


class Listeners:
    """Listening sockets by their addresses."""

    def __init__(self) -> None:
        """Have none yet."""
        self._sockets: dict[str, socket.socket] = {}

    def open(self, services: Iterable[Service]) -> None:
        """Listen on the addresses of services; on all of them, or on none more than before.

        Raises:
            ServiceError: one cannot be had.
        """
        fresh: dict[str, socket.socket] = {}
        wanted = [(address, service.name) for service in services for address in service.listen]
        for address, name in wanted:
            if address in self._sockets or address in fresh:
                continue
            try:
                fresh[address] = _listen(address)
            except OSError as error:
                for each in fresh.values():
                    each.close()
                raise ServiceError(f"service {name}, listen: {address}: {error.strerror}", name, "listen") from error
        self._sockets.update(fresh)

    def descriptors(self, service: Service) -> list[int]:
        """Return the descriptors of the addresses of a service, which are open."""
        return [self._sockets[address].fileno() for address in service.listen]

    def keep_only(self, services: Iterable[Service]) -> None:
        """Close all sockets but those of the services."""
        kept = {address for service in services for address in service.listen}
        for address in [address for address in self._sockets if address not in kept]:
            self._sockets.pop(address).close()
            if "/" in address:
                with contextlib.suppress(OSError):
                    os.unlink(address)


def parse_address(address: str) -> tuple[str, int] | str:
    """Return the (host, port) or the path of an address such as `127.0.0.1:8000`, `[::1]:80`, `:80` or `/run/x.sock`.

    Raises:
        ValueError: it is written otherwise.
    """
    if "/" in address:
        return address
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{address!r} is no address such as 127.0.0.1:8000 or /run/web.sock")
    return host.strip("[]"), int(port)


def _listen(address: str) -> socket.socket:
    try:
        where = parse_address(address)
        if isinstance(where, str):
            return _listen_on_path(where)
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        listener = socket.create_server(where, family=family, backlog=_BACKLOG)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        raise OSError(
            number, os.strerror(number) if number is not None and number > 0 else str(error), address
        ) from error
    return listener


def _listen_on_path(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode) and not _answers(path):
                os.unlink(path)
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(1.0)
        try:
            asker.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
