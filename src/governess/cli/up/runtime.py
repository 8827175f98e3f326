"""Where `governess up` keeps what others find it by: a lock, a socket and the list of its processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from governess._programs.marks import Identity, boot_id, end_processes, identity_of
from governess._programs.marks import belongs as belongs_to
from governess.services._watched import MARK

if sys.platform != "win32":
    import fcntl

__all__ = ["AlreadyUp", "Runtime", "RuntimeFolderError", "runtime_folder"]


class RuntimeFolderError(Exception):
    """The folder of sockets cannot be used; the text says why."""


class AlreadyUp(Exception):
    """Another `governess up` has the lock.

    Attributes:
        pid: the number of its process; 0 if that is not known.
    """

    def __init__(self, pid: int) -> None:
        """Say which process has it."""
        super().__init__(f"it is already up, by process {pid}")
        self.pid = pid


def runtime_folder() -> Path:
    """Return the folder of sockets, which is for this user alone; it is made if it is not there.

    Raises:
        RuntimeFolderError: it cannot be made, or is another's.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base, "governess") if base else Path(tempfile.gettempdir(), f"governess-{os.getuid()}")
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError as error:
        raise RuntimeFolderError(f"{folder}: {error.strerror}; XDG_RUNTIME_DIR names another folder") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise RuntimeFolderError(f"{folder} is not a folder for you alone (0700); XDG_RUNTIME_DIR names another one")
    return folder


class Runtime:
    """The lock, the socket and the list of processes of the services of one file.

    Attributes:
        mark: begins the value that marks the processes of these services.
        socket: the path of the control socket.
    """

    def __init__(self, file: Path) -> None:
        """Have the places for a file; errors as `runtime_folder`."""
        key = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:16]
        folder = runtime_folder()
        self.mark = f"{key}:"
        self.socket = folder / f"{key}.sock"
        self._lock_path = folder / f"{key}.lock"
        self._list = folder / f"{key}.json"
        self._lock = -1
        self._last: bytes | None = None

    def acquire(self) -> None:
        """Take the lock, which the kernel releases at the end of this process, however that comes.

        Raises:
            AlreadyUp: another process has it.
            OSError: its file cannot be had.
        """
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 32)
            os.close(descriptor)
            raise AlreadyUp(int(text) if text.strip().isdigit() else 0) from None
        self._lock = descriptor
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()  # nobody listens there: whoever does has the lock

    def release(self) -> None:
        """Remove the list and the socket, and release the lock."""
        if self._lock < 0:
            return
        for path in (self.socket, self._list):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        os.close(self._lock)
        self._lock = -1

    def is_held(self) -> bool:
        """Return whether another process has the lock."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def save(self, processes: Mapping[str, int]) -> None:
        """Write the list of the processes that run now, by the names of the copies.

        Raises:
            OSError: it cannot be written.
        """
        found = {name: identity_of(pid) for name, pid in processes.items()}
        entries = {name: list(identity) for name, identity in found.items() if identity is not None}
        text = json.dumps({"boot": boot_id(), "processes": entries}).encode()
        if text == self._last:
            return
        fresh = self._list.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text)
        fresh.replace(self._list)
        self._last = text

    def find_leftovers(self) -> list[int]:
        """Return the processes of an earlier `governess up` that was killed."""
        known = self._known()
        try:
            numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            return []
        return [pid for pid in numbers if pid != os.getpid() and self._is_ours(pid, known)]

    async def end_leftovers(self, grace: float) -> list[int]:
        """End the processes of an earlier `governess up`; return those that do not end."""
        known = self._known()
        return await end_processes(lambda pid: self._is_ours(pid, known), grace)

    def _is_ours(self, pid: int, known: set[Identity]) -> bool:
        return belongs_to(pid, MARK, self.mark, known)

    def _known(self) -> set[Identity]:
        try:
            state = json.loads(self._list.read_bytes())
            if state["boot"] != boot_id():
                return set()
            return {Identity(int(pid), int(started)) for pid, started in state["processes"].values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return set()
