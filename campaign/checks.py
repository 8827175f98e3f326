"""What is left behind: descriptors, threads, children, processes, files, signal handlers, objects, memory."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MARK", "Memory", "Snapshot", "leaks", "marked_processes", "memory"]

#: The variable that every process of a round has in its environment, with the round's own value.
MARK = "GOVERNESS_CAMPAIGN"

#: Threads that governess keeps for the life of the process.
PROCESS_LONG_THREADS = ("governess-spawn",)

Things = dict[Hashable, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is at a moment, each thing by a key that tells it from all others."""

    things: dict[str, Things]

    @classmethod
    def take(cls, mark: str | None = None, folder: Path | None = None) -> Snapshot:
        """Look at this process.

        Args:
            mark: its value of `MARK`; None to leave out a look at other processes.
            folder: where its temporary files are.
        """
        things = {name: probe() for name, probe in PROBES.items()}
        if mark is not None:
            things["process"] = {pid: f"{pid} ({command(pid)})" for pid in marked_processes(mark) - {os.getpid()}}
        if folder is not None:
            things["temporary file"] = {path: str(path) for path in folder.rglob("*")}
        return cls(things)

    def new_since(self, before: Snapshot) -> list[str]:
        """Return what there is now and was not before."""
        return [
            f"{name} {description}"
            for name, things in self.things.items()
            for key, description in things.items()
            if key not in before.things.get(name, {})
        ]


def leaks(before: Snapshot, patience: float, mark: str | None = None, folder: Path | None = None) -> list[str]:
    """Return what is left that was not there before; what ends by itself has `patience` seconds for that."""
    deadline = time.monotonic() + patience
    pause = 0.001
    while found := Snapshot.take(mark, folder).new_since(before):
        if time.monotonic() > deadline:
            break
        gc.collect()
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return found


# ---- probes ----


def _descriptors() -> Things:
    found: Things = {}
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing itself
            target = os.readlink(f"/proc/self/fd/{number}")
            found[number, target] = f"{number} ({target})"
    return found


def _python_threads() -> Things:
    return {
        thread: repr(thread.name)
        for thread in threading.enumerate()
        if not thread.name.startswith(PROCESS_LONG_THREADS)
    }


def _kernel_threads() -> Things:
    """Count them, since the kernel gives the numbers of old ones to new ones: the third has the key 3."""
    count = len(os.listdir("/proc/self/task"))
    return {number: f"number {number} of {count}" for number in range(1, count + 1)}


def _children() -> Things:
    pids: set[int] = set()
    for thread in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            pids.update(map(int, thread.read_text().split()))
    with suppress(ChildProcessError):
        zombie = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if zombie is not None:
            pids.add(zombie.si_pid)
    return {pid: f"{pid} ({command(pid)})" for pid in pids}


def _listed_children() -> Things:
    from governess.children import children

    return {child: repr(child) for child in children()}


def _signals() -> Things:
    found: Things = {}
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        found[number, handler] = f"of {number.name} ({handler!r})"
    for number in signal.pthread_sigmask(signal.SIG_BLOCK, []):
        found["blocked", number] = f"{number} is blocked"
    return found


PROBES = {
    "descriptor": _descriptors,
    "thread": _python_threads,
    "kernel thread": _kernel_threads,
    "child": _children,
    "listed child": _listed_children,
    "signal handler": _signals,
}


def command(pid: int) -> str:
    """Return the command line of a process."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    return line.replace(b"\0", b" ").decode(errors="replace").strip() or "a zombie"


def marked_processes(mark: str) -> set[int]:
    """Return the living processes that have this value of `MARK` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.add(int(name))
    return found


# ---- memory ----


@dataclass(frozen=True, slots=True)
class Memory:
    """How much this process has.

    Attributes:
        resident: bytes.
        objects: how many objects the garbage collector knows.
    """

    resident: int
    objects: int


def memory() -> Memory:
    """Measure, after a collection and after malloc has given back what it can."""
    gc.collect()
    with suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Memory(pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects()))


assert sys.platform == "linux", "the campaign is for Linux"
