"""What a service manager above `governess up` is told: sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import time

__all__ = ["Systemd"]


class Systemd:
    """Tells the socket in NOTIFY_SOCKET, if there is one, how this process is."""

    def __init__(self) -> None:
        """Take the socket from the environment."""
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._path = "\0" + path[1:] if path.startswith("@") else path
        self._is_ready = False

    def ready(self) -> None:
        """Tell, once, that all services are ready."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1\nSTATUS=all services are ready")

    def reloading(self) -> None:
        """Tell that the file is read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """Tell that it was."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Tell that the services are being stopped."""
        self._send("STOPPING=1\nSTATUS=the services are being stopped")

    def _send(self, text: str) -> None:
        if not self._path:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._path)
