"""This process's side of the guardian: it is started, told of children, and replaced if it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from governess.children._guardian.main import FORGET, FORGET_ALL, WORDS
from governess.children._per_loop import set_unless_done

if TYPE_CHECKING:
    from governess.children._guardian import Guard

__all__ = ["Client", "Record"]

logger = logging.getLogger("governess")

# Seconds between TERM and KILL; and how long a guardian without anybody to guard waits for the next child.
_GRACE, _LINGER = 5.0, 1.0

# A guardian that was killed gets a successor at once, but not more than one in this time, in seconds.
_SHORTEST_LIFE = 1.0

# Below SCM_MAX_FD of net/scm.h: the most children that one message tells of.
_AT_ONCE = 250

_pack_words = struct.Struct(f"{WORDS}q").pack
_pack_descriptor = struct.Struct("i").pack

_PROGRAM = "import sys; sys.path.append(sys.argv[1]); import main; main.main()"


class Record:
    """What the guardian is told of a child.

    Attributes:
        guard: the promise that it is of.
        words: the key, what is ended, the pid, and whether the kernel sends the child itself a TERM: see `main`.
        pidfd: a descriptor of ours, which stays open until the record is forgotten.
    """

    __slots__ = ("guard", "pidfd", "words")

    def __init__(self, guard: Guard, pid: int, has_death_signal: bool, pidfd: int) -> None:
        self.guard = guard
        self.words = _pack_words(guard.key, guard.scope, pid, has_death_signal)
        self.pidfd = pidfd


#: The two ends of a socket: ours, and the guardian's.
_Ends = tuple[socket.socket, socket.socket]


class Client:
    """This process's side of the guardian.

    A thread starts it, waits for its end, and starts the next one if there is still somebody to guard. So nothing is
    lost when it ends in the moment in which a message is sent.

    Attributes:
        is_broken: whether it could not run here, which another attempt would not change.
    """

    def __init__(self) -> None:
        self.is_broken = False
        self._lock = threading.RLock()  # a finalizer may release a guard while this very thread is inside
        self._records: dict[int, Record] = {}
        self._connection: socket.socket | None = None  # there is one while the thread runs
        self._is_behind = False
        self._generation = 0
        self._has_warned = False
        self._is_settled = False  # whether a process has the other end, or none can be had
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def prepare(self) -> None:
        """Start a guardian if there is none."""
        if self._connection is None:  # asked first without the lock: `guard` starts it too, if it has ended since
            with self._lock:
                if not self.is_running:
                    self._start()

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to wait for in `settled`."""
        return self._is_settled or self._connection is None

    async def settled(self) -> None:
        """Wait until a guardian holds the other end of the socket, or none can be had."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self.is_settled:
                return
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append((loop, waiter))
        await waiter

    def _settle(self) -> None:
        with self._lock:
            self._is_settled = True
            waiters, self._waiters = self._waiters, []
        for loop, waiter in waiters:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(set_unless_done, waiter, None)

    @property
    def is_running(self) -> bool:
        """Whether there is a guardian, or one is being started."""
        return self._connection is not None

    def state(self) -> tuple[socket.socket | None, int]:
        """Return our end of the socket, None without a guardian, and how often one was told of everybody."""
        with self._lock:
            return self._connection, self._generation

    def guard(self, record: Record, generation: int | None = None) -> None:
        """Tell the guardian of a child, unless the child has told it since it was told of everybody.

        Args:
            record: the child.
            generation: how often a guardian had been told of all children when the child told of itself; None if it did
                not.
        """
        with self._lock:
            self._records[record.guard.key] = record
            if self._connection is None:  # the one that was prepared has waited for too long
                self._start()
            elif self._generation != generation:
                self._send(record.words, _pack_descriptor(record.pidfd))

    def forget(self, key: int) -> None:
        """Tell the guardian that a child is not to be ended any more."""
        with self._lock:
            self._records.pop(key, None)
            self._send(_pack_words(key, FORGET, 0, False))

    def forget_all(self) -> None:
        """Close our copy of the socket, in a forked child."""
        self._lock = threading.RLock()
        if self._connection is not None:
            self._connection.close()
        while self._records:
            self._records.popitem()[1].guard.release_pidfd()

    def _start(self) -> None:
        """Start the thread that starts the guardian."""
        try:
            ends = self._connect()
        except OSError as error:  # no descriptor is left
            self._give_up(None, error)
            return
        try:
            _start_thread(self._attend, ends)
        except BaseException as error:  # no thread can be had, or the interpreter shuts down; a KeyboardInterrupt
            ends[1].close()
            self._give_up(ends, error)
            if not isinstance(error, RuntimeError):
                raise

    def _connect(self) -> _Ends:
        """Make a socket, and tell the guardian that will have its other end of everybody."""
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A child that tells of itself waits for room so long, and then leaves it to us.
        ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _LONGEST_WAIT)
        self._connection = ends[0]
        self._is_behind = self._is_settled = False
        self._tell_all()
        return ends

    def _attend(self, ends: _Ends | None) -> None:
        """Start a guardian and wait for its end, again and again until there is nobody to guard."""
        # The guardian inherits this: neither a terminal nor a system that shuts down ends it before its parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while ends is not None:
            started = time.monotonic()
            try:
                with ends[1] as theirs:
                    process = _start_process(theirs)
            except Exception as error:  # an audit hook may raise anything
                self._give_up(ends, error)
                return
            self._settle()
            status = process.wait()
            missing = started + _SHORTEST_LIFE - time.monotonic()
            if status > 0 and missing > 0:
                self.is_broken = True
                self._give_up(ends, f"it exits with {status}")
                return
            if self._records and missing > 0:
                time.sleep(missing)
            ends = self._renew(ends)

    def _renew(self, ends: _Ends) -> _Ends | None:
        with self._lock:
            self._disconnect(ends)
            try:
                return self._connect() if self._records and not self.is_running else None
            except OSError as error:
                self._give_up(None, error)
                return None

    def _disconnect(self, ends: _Ends | None) -> None:
        if ends is not None:
            ends[0].close()
            if self._connection is ends[0]:
                self._connection = None
                self._is_settled = False

    def _give_up(self, ends: _Ends | None, reason: object) -> None:
        """Be without a guardian until the next child comes."""
        with self._lock:
            self._disconnect(ends)
            # One that cannot run here is not tried again: it may be broken before the first child waits for it.
            is_wanted = bool(self._records or self._waiters) or self.is_broken
            is_first = is_wanted and not self._has_warned
            self._has_warned |= is_first
        self._settle()
        if is_first:
            logger.warning(
                "there is no guardian (%s): should this process end, nobody ends what its children have started",
                reason,
            )

    def _tell_all(self) -> None:
        self._generation += 1
        self._send(_pack_words(0, FORGET_ALL, 0, False))
        records = list(self._records.values())
        for start in range(0, len(records), _AT_ONCE):
            some = records[start : start + _AT_ONCE]
            pidfds = array("i", [record.pidfd for record in some])
            self._send(b"".join([record.words for record in some]), pidfds.tobytes())

    def _send(self, words: bytes, pidfds: bytes = b"") -> None:
        """Send a message; it never waits. A guardian that has ended is told by its successor's start."""
        if self._connection is None or self._is_behind:
            return
        try:
            if pidfds:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, pidfds)
                self._connection.sendmsg((words,), (rights,), _NEVER_WAITS)
            else:
                self._connection.send(words, _NEVER_WAITS)
        except OSError as error:
            if error.errno in _FULL:
                self._is_behind = True
                try:
                    _start_thread(self._catch_up, self._connection)
                except RuntimeError:  # no thread can be had: this message is lost
                    self._is_behind = False

    def _catch_up(self, connection: socket.socket) -> None:
        """Wait until the guardian reads again, and tell it of everybody anew."""
        poller = select.poll()
        while self._is_behind and connection is self._connection:
            time.sleep(_STEP)
            with self._lock:
                if connection is self._connection:
                    poller.register(connection, select.POLLOUT)
                    if poller.poll(0):
                        self._is_behind = False
                        self._tell_all()


# struct timeval; SO_SNDTIMEO_NEW of asm-generic/socket.h, of 32-bit systems, has 64 bits for each.
_LONGEST_WAIT = struct.pack("qq" if getattr(socket, "SO_SNDTIMEO", 0) == 67 else "ll", 0, 500_000)
_NEVER_WAITS = int(getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0))

# The guardian has not yet read what it was told, or too many descriptors are on their way (unix(7)).
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)
_STEP = 0.02  # seconds


def _start_thread(target: Callable[[Any], object], argument: object) -> None:
    threading.Thread(target=target, args=(argument,), name="governess-guardian", daemon=True).start()


def _start_process(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """Start the guardian: it has a session of its own, and of our descriptors the socket alone."""
    arguments = [os.path.dirname(__file__), str(os.getpid()), str(_GRACE), str(_LINGER)]
    # What Python itself may need to start; the rest of the environment may hold secrets.
    environment = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return _POPEN(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, *arguments],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
    )


_POPEN = subprocess.Popen  # also while somebody's test has replaced it
