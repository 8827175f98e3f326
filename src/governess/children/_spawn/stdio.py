"""The standard streams of a child in the making: its ends of the pipes, and ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Any

if sys.platform == "win32":
    import _winapi
    import msvcrt
    from asyncio import windows_utils
else:
    import fcntl

__all__ = ["Pipes"]


class Pipes:
    """The pipes between us and a child in the making: the child's ends are closed at the end, ours after a failure.

    They are made here and not by Popen, whose file objects cannot be parted from their descriptors.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._ours: dict[int, int] = {}
        self._cleanup = contextlib.ExitStack()
        self._keep = False

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def for_child(self, number: int, wish: Any) -> Any:
        """Return what the child gets as its descriptor `number`."""
        if isinstance(wish, os.PathLike):
            return self._open(number, wish)
        if wish != subprocess.PIPE or isinstance(wish, bool):
            return wish
        ours, theirs = _open_pipe(number)
        self._cleanup.callback(os.close, theirs)
        self._cleanup.callback(self._close_ours, ours)
        self._ours[number] = ours
        if self._size > 0:
            _set_size(ours, self._size)
        return theirs

    def _open(self, number: int, path: os.PathLike[Any]) -> int:
        descriptor = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._cleanup.callback(os.close, descriptor)
        return descriptor

    def keep_ours(self) -> dict[int, int]:
        """Return our ends, which stay open."""
        self._keep = True
        return self._ours

    def _close_ours(self, descriptor: int) -> None:
        if not self._keep:
            os.close(descriptor)


if sys.platform == "win32":

    def _open_pipe(number: int) -> tuple[int, int]:
        """Return our descriptor, for overlapped operations, and the child's, of a pipe."""
        if number == 0:
            # The writer of a pipe learns of its end, before it writes, by reading from it.
            theirs, ours = windows_utils.pipe(overlapped=(False, True), duplex=True)
        else:
            ours, theirs = windows_utils.pipe(overlapped=(True, False))
        with contextlib.ExitStack() as undo:
            undo.callback(_winapi.CloseHandle, theirs)
            our_descriptor = _descriptor_of(ours)
            undo.pop_all()
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, our_descriptor)
            their_descriptor = _descriptor_of(theirs)
            undo.pop_all()
        return our_descriptor, their_descriptor

    def _descriptor_of(handle: int) -> int:
        """Return a descriptor that owns the handle; without one to be had, close the handle."""
        try:
            return msvcrt.open_osfhandle(handle, os.O_NOINHERIT)
        except OSError:
            _winapi.CloseHandle(handle)
            raise

    def _set_size(descriptor: int, size: int) -> None:
        """Do nothing, as Popen: the size of a pipe is set when it is made."""

else:

    def _open_pipe(number: int) -> tuple[int, int]:
        """Return our descriptor and the child's of a pipe."""
        reader, writer = os.pipe()
        return (writer, reader) if number == 0 else (reader, writer)

    def _set_size(descriptor: int, size: int) -> None:
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)
