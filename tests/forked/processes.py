"""The tests' side: a `subprocess.Popen` whose process the server forks."""

import inspect
import os
import pickle
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

__all__ = ["Forks", "Popen"]

SERVER = Path(__file__).with_name("server.py")
CLIENT = Path(__file__).with_name("client.py")

#: Read by an interpreter or by governess when it starts: a process that is forked has them from the server.
READ_AT_START = ("PYTHON", "GOVERNESS_", "TZ")
#: But the server does what this one asks for.
OBEYED = {"PYTHONUNBUFFERED"}

#: How `Popen` names the descriptors of its pipes, in the order in which it closes them.
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
INHERITED = -1


class Forks:
    """A server that has imported the command line, and the way to have it fork.

    Attributes:
        folder: of a program `governess` that shells can start.
    """

    def __init__(self) -> None:
        self._environment = _read_at_start(os.environ)
        self._lock = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="forked-")
        self.folder = Path(self._temporary.name)
        self._socket, tests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tests, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as shells:
            shells.bind(f"{self.folder}/socket")
            shells.listen(64)
            theirs = [tests.fileno(), shells.fileno()]
            words = [sys.executable, str(SERVER), *map(str, theirs)]
            self._server = subprocess.Popen(words, pass_fds=theirs, stdin=subprocess.DEVNULL)
        self._write_program()

    def _write_program(self) -> None:
        program = self.folder / "governess"
        program.write_text(f"#!{sys.executable} -IS\n{CLIENT.read_text()}")
        (self.folder / "environment").write_bytes(pickle.dumps(self._environment))
        program.chmod(0o755)

    def close(self) -> None:
        """End the server; what it has forked goes on."""
        self._socket.close()
        self._server.wait()
        self._temporary.cleanup()

    def would_read(self, environment: Mapping[str, str]) -> bool:
        """Return whether an interpreter would read something else from the variables than the server has."""
        return _read_at_start(environment) != self._environment

    def fork(self, request: Mapping[str, Any], descriptors: list[int]) -> int:
        """Have a child of this process forked; return its pid."""
        with self._lock, ExitStack() as stack:
            asked = os.memfd_create("request")
            stack.callback(os.close, asked)
            os.write(asked, pickle.dumps(dict(request)))
            socket.send_fds(self._socket, [b"fork"], [asked, *descriptors])
            pid = self._socket.recv(4)
        assert pid, "the server has ended"
        return int(struct.unpack("i", pid)[0])


class Popen(subprocess.Popen[Any]):
    """`governess WORDS…` as a child of this process."""

    def __init__(self, forks: Forks, *words: str, **options: Any) -> None:
        self._forks = forks
        super().__init__([*words], executable="governess", **options)

    def _execute_child(self, *arguments: Any) -> None:
        asked = inspect.signature(super()._execute_child).bind(*arguments).arguments  # type: ignore[misc]
        passed = sorted(asked["pass_fds"])
        request = {
            "words": list(asked["args"]),
            "folder": asked["cwd"],
            "environment": dict(os.environ if asked["env"] is None else asked["env"]),
            "passed": passed,
            "reports": False,
            "new_session": asked["start_new_session"],
        }
        streams = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if stream == INHERITED else stream for number, stream in enumerate(streams)]
        try:
            self.pid = self._forks.fork(request, [*streams, *passed])
            self._child_created = True
        finally:
            self._close_pipe_fds(*(asked[name] for name in PIPES))  # type: ignore[attr-defined]


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name.startswith(READ_AT_START) and name not in OBEYED}
