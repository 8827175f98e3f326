"""Processes that are known by a mark in their environment, or by their number and the time of their start.

Children inherit the mark. The time of its start tells a process from a later one that has got its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

from governess.children._pauses import pauses
from governess.children._pidfd import send_signal_if
from governess.children._procfs import process_numbers, read_stat

__all__ = [
    "Identity",
    "belongs",
    "boot_id",
    "end_all",
    "end_processes",
    "identity_of",
    "living",
    "mark_in",
    "signal_all",
]

# Seconds after a KILL in which processes are waited for.
_AFTER_KILL = 5.0


class Identity(NamedTuple):
    """What tells a process from all others of this boot.

    Attributes:
        pid: its number.
        started: when it was started, in clock ticks since the boot.
    """

    pid: int
    started: int


def boot_id() -> str:
    """Return what tells this boot of the machine from all others; "" if the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def identity_of(pid: int) -> Identity | None:
    """Return the identity of a living process; None if there is none with this number, or no /proc."""
    stat = read_stat(pid)
    return Identity(pid, stat.started) if stat is not None and stat.is_alive else None


def mark_in(pid: int, variable: str) -> str | None:
    """Return the value of a variable in the environment of a process; None if it is not there or cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = b"\0" + file.read()
    except OSError:
        return None
    _, found, rest = environment.partition(b"\0" + variable.encode() + b"=")
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None


def belongs(pid: int, variable: str, prefix: str, known: Iterable[Identity]) -> bool:
    """Return whether a process lives, and has a mark that begins with `prefix`, or is a known one or of its session."""
    stat = read_stat(pid)
    if stat is None or not stat.is_alive:
        return False
    if Identity(pid, stat.started) in known:
        return True
    mark = mark_in(pid, variable)
    if mark is not None and mark.startswith(prefix):
        return True
    leader = read_stat(stat.session) if stat.session else None
    return leader is not None and Identity(stat.session, leader.started) in known


async def end_processes(is_one: Callable[[int], bool], grace: float) -> list[int]:
    """End all processes of which `is_one` is true, as `end_all` does; return those that do not end.

    No other process gets a signal, also if it gets the number of one meanwhile.

    Raises:
        OSError: there is no /proc.
    """
    await end_all(lambda number: signal_all(is_one, number), lambda: bool(living(is_one)), grace)
    return living(is_one)


async def end_all(send: Callable[[int], object], lives: Callable[[], bool], grace: float) -> bool:
    """Send TERM and CONT, and KILL after a grace; return whether nobody lives then. Cancelled, kill at once.

    Args:
        send: sends a signal to all.
        lives: returns whether any of them lives.
        grace: seconds between TERM and KILL.
    """
    try:
        for number in (signal.SIGTERM, signal.SIGCONT):
            send(number)
        await _gone(lives, grace)
    finally:
        send(signal.SIGKILL)
    return await _gone(lives, _AFTER_KILL)


async def _gone(lives: Callable[[], bool], timeout: float) -> bool:
    for pause in pauses(0.005, 0.1, timeout):
        if not lives():
            return True
        await asyncio.sleep(pause)
    return not lives()


def living(is_one: Callable[[int], bool]) -> list[int]:
    """Return the numbers of all other processes of which `is_one` is true.

    Raises:
        OSError: there is no /proc.
    """
    return [pid for pid in process_numbers() if pid != os.getpid() and is_one(pid)]


def signal_all(is_one: Callable[[int], bool], number: int) -> None:
    """Send a signal to all other processes of which `is_one` is true, and to nobody else; errors as `living`."""
    for pid in living(is_one):
        with contextlib.suppress(ProcessLookupError):
            send_signal_if(is_one, pid, number)
