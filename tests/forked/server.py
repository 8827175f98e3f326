"""Imports the command line once, and forks a process that runs it for each request: see `processes` and `client`.

    python server.py TESTS SHELLS

Requests come from the tests, through the socket of the number TESTS, and from shells, to the listening socket SHELLS.
"""

import atexit
import ctypes
import fcntl
import gc
import importlib
import io
import itertools
import os
import pickle
import pkgutil
import platform
import select
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from typing import Any

CLONE_PARENT = 0x00008000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
PR_GET_TID_ADDRESS = 40
#: Above every descriptor that a test passes by its number.
HIGH = 500
#: Where a process keeps the pipe through which it tells its exit status.
REPORT = HIGH - 1
#: Descriptors of one request.
MOST = 64

#: What a test of the command line may use of governess.
NEEDED = (
    "children",
    "cli",
    "jobs",
    "loops",
    "policies",
    "services",
    "subprocess",
    "transports",
    "watchers",
    "_programs",
)
#: What may not be installed, is a program of its own, or changes asyncio.
LEFT_OUT = ("governess.jobs.dask", "governess.children._guardian.", "governess.cli.python.")

libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL: no other thread of Python runs during a call


def main() -> None:
    """Serve until the tests close their end; in each process that is forked, run the command line."""
    _import_all()
    gc.collect()
    gc.freeze()  # so that a process does not copy what it only looks at
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes of shells
    tests, shells = (socket.socket(fileno=int(word)) for word in sys.argv[1:])
    reports = _serve(tests, shells)
    _end(_run_and_report() if reports else _command_line())


def _import_all() -> None:
    for part in NEEDED:
        package = importlib.import_module(f"governess.{part}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(LEFT_OUT):
                with suppress(ImportError, AttributeError):  # of another system
                    importlib.import_module(module.name)
    with suppress(ImportError):
        importlib.import_module("uvloop")


def _serve(tests: socket.socket, shells: socket.socket) -> bool:
    """Fork for each request; return in the forked process, with whether it is to report its exit status."""
    while True:
        ready, _, _ = select.select([tests, shells], [], [])
        if tests in ready:
            message, descriptors, _, _ = socket.recv_fds(tests, 16, MOST)
            if not message:
                os._exit(0)
            pid = _fork_for_parent()
            if pid:
                tests.sendall(struct.pack("i", pid))
        else:
            with shells.accept()[0] as client:
                _, descriptors, _, _ = socket.recv_fds(client, 16, MOST)
            pid = os.fork() if descriptors else -1
        if pid == 0:
            tests.close()
            shells.close()
            return _become(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _fork_for_parent() -> int:
    """Do what `os.fork` does, but for the parent of the process (clone(2)): the tests can wait for their own child."""
    where = ctypes.c_void_p()
    libc.prctl(PR_GET_TID_ADDRESS, ctypes.byref(where))
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = libc.syscall(SYS_CLONE[platform.machine()], CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        return pid
    if where.value is not None:  # there the C library keeps the number of this thread, and its own fork writes it
        ctypes.c_int.from_address(where.value).value = os.getpid()
    ctypes.pythonapi.PyOS_AfterFork_Child()
    return 0


def _become(descriptors: list[int]) -> bool:
    """Take the streams, the folder, the environment and the words of a request."""
    request = _request(descriptors[0])
    _take(descriptors[1:], [0, 1, 2, *request["passed"], *([REPORT] if request["reports"] else [])])
    if request["new_session"]:
        os.setsid()
    if request["folder"] is not None:
        os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["governess", *request["words"]]
    sys.path[0] = os.getcwd()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _open_streams()
    return bool(request["reports"])


def _request(descriptor: int) -> dict[str, Any]:
    with open(descriptor, "rb") as file:
        file.seek(0)
        request: dict[str, Any] = pickle.load(file)
        return request


def _take(received: list[int], wanted: list[int]) -> None:
    """Give the received descriptors the wanted numbers, and close all others."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH) for descriptor in received]
    for descriptor, number in zip(moved, wanted, strict=True):
        os.dup2(descriptor, number, inheritable=number != REPORT)
    kept = [2, *sorted(set(wanted) - {0, 1, 2}), os.sysconf("SC_OPEN_MAX")]
    for low, high in itertools.pairwise(kept):
        os.closerange(low + 1, high)


def _open_streams() -> None:
    """Make `sys.stdin`, `sys.stdout` and `sys.stderr` as an interpreter does when it starts."""
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old: io.TextIOWrapper = getattr(sys, name)
        mode = "wb" if number else "rb"
        file = open(number, mode, 0 if unbuffered and number else -1, closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(
            file,
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=number == 2 or file.isatty(),
            write_through=unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _command_line() -> int:
    from governess.cli import main

    return main()


def _run_and_report() -> int:
    """Run the command line, and write its exit status to the client that waits for it."""
    status = _command_line()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(REPORT, struct.pack("i", status))
    return status


def _end(status: int) -> None:
    """End as multiprocessing ends its forks: to take all the modules apart would cost more than most commands do."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # then an interpreter complains, and exits with another status
    os._exit(status)


if __name__ == "__main__":
    main()
