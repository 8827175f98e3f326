"""The guardian: a small process that ends children of this one, with all they have started, when this one is gone.

PR_SET_PDEATHSIG reaches the direct child alone. So a process of its own, one for all children, holds the other end of a
socket, which the kernel closes when this process ends in whatever way, and the pidfds of the children. It is started
with the first of them, beside it: until it runs, the socket keeps what it is told. It ends when it has had nobody to
guard for a while, and when it has done its work. If it is killed, the next one takes its place.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple

from governess.children import _pidfd as pidfds
from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._guardian_main import FORGET, FORGET_ALL, GROUP, PROCESS, SESSION

__all__ = ["GROUP", "PROCESS", "SESSION", "Guard", "guard", "is_usable", "prepare"]

logger = logging.getLogger("governess")

# Seconds between TERM and KILL; and how long a guardian without anybody to guard waits for the next child.
_GRACE, _LINGER = 5.0, 1.0

# A guardian that was killed gets a successor at once, but not more than one in so many seconds.
_SHORTEST_LIFE = 1.0

# Below SCM_MAX_FD of net/scm.h: so many children are told of in one message at most.
_AT_ONCE = 250

_PROGRAM = "import sys; sys.path.append(sys.argv[1]); import _guardian_main; _guardian_main.main()"


def is_usable() -> bool:
    """Return whether a guardian can be had here: it needs Linux, pidfds and Python's own executable."""
    # In a frozen application (PyInstaller and the like) `sys.executable` is the application itself.
    if sys.platform != "linux" or not sys.executable or getattr(sys, "frozen", False) or _guardian.is_broken:
        return False
    own = pidfds.open_pidfd(os.getpid())
    if own is None:
        return False
    try:
        return pidfds.send_signal(own, 0)  # a sandbox may allow the one call and not the other
    finally:
        os.close(own)


def prepare() -> None:
    """Have a guardian started, if there is none, while the child is started that will be guarded.

    If this process is killed right after the start of the child, there already is somebody who holds the socket.
    """
    run_after_fork(_start_anew)
    _guardian.prepare()


def guard(child: Child, scope: int, *, has_death_signal: bool) -> Guard | None:
    """Have the child ended when this process is gone, by TERM and CONT, a grace, and KILL, until the guard is released.

    Args:
        child: the child.
        scope: what is ended: the PROCESS, the GROUP or the SESSION that it leads.
        has_death_signal: whether the kernel sends the child itself a TERM then.

    Returns:
        None if there is no descriptor for it: then nobody but the kernel ends the child.
    """
    pidfd = child.duplicate_pidfd()
    if pidfd is None:
        return None
    return _guardian.guard(_Record(next(_keys), scope, child.pid, has_death_signal, pidfd))


class Guard:
    """The promise that a child is ended with this process, until `release`."""

    __slots__ = ("_guardian", "_key")

    def __init__(self, guardian: _Guardian, key: int) -> None:
        self._guardian = guardian
        self._key = key

    def release(self, *_: object) -> None:
        """Let the child, or what it leads, outlive this process. Finalizers may call this."""
        self._guardian.forget(self._key)


class _Record(NamedTuple):
    """What the guardian is told of a child; the words of a message, and a descriptor of ours."""

    key: int
    scope: int
    pid: int
    has_death_signal: bool
    pidfd: int


_keys = itertools.count(1)


class _Guardian:
    """This process's side of the guardian.

    A thread starts it, waits for its end, and starts the next one if there is still somebody to guard. So nothing is
    lost when it ends in the moment in which a message is sent.

    Attributes:
        is_broken: whether it could not run here, which another attempt would not change.
    """

    def __init__(self) -> None:
        self.is_broken = False
        self._lock = threading.RLock()  # a finalizer may release a guard while this very thread is inside
        self._records: dict[int, _Record] = {}
        self._connection: socket.socket | None = None  # there is one while the thread runs
        self._is_behind = False
        self._has_warned = False

    def prepare(self) -> None:
        with self._lock:
            if self._connection is None:
                self._start()

    def guard(self, record: _Record) -> Guard:
        with self._lock:
            self._records[record.key] = record
            if self._connection is None:  # the one that was prepared has waited for too long
                self._start()
            else:
                self._tell([record])
        return Guard(self, record.key)

    def forget(self, key: int) -> None:
        with self._lock:
            if (record := self._records.pop(key, None)) is not None:
                self._tell([_Record(key, FORGET, 0, False, -1)])
                os.close(record.pidfd)

    def forget_all(self) -> None:
        """Close our copies of the descriptors, in a forked child."""
        if self._connection is not None:
            self._connection.close()
        while self._records:
            os.close(self._records.popitem()[1].pidfd)

    def _start(self) -> None:
        """Start the thread that starts the guardian."""
        theirs = None
        try:
            theirs = self._connect()
            _start_thread(self._attend, theirs)
        except (OSError, RuntimeError) as error:  # no descriptor or thread is left; the interpreter shuts down
            if theirs is not None:
                theirs.close()
            self._give_up(error)

    def _connect(self) -> socket.socket:
        """Make a socket; tell who has its other end of everybody, and return that end."""
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._is_behind = False
        self._tell_all()
        return theirs

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _attend(self, theirs: socket.socket | None) -> None:
        """Start a guardian and wait for its end, again and again until there is nobody to guard."""
        # The guardian inherits this: neither a terminal nor a system that shuts down ends it before its parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while theirs is not None:
            started = time.monotonic()
            try:
                with theirs:
                    process = _start_process(theirs)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                self._give_up(error)
                return
            status = process.wait()
            missing = started + _SHORTEST_LIFE - time.monotonic()
            if status > 0 and missing > 0:
                self.is_broken = True
                self._give_up(f"it exits with {status}")
                return
            if self._records and missing > 0:
                time.sleep(missing)
            theirs = self._renew()

    def _renew(self) -> socket.socket | None:
        with self._lock:
            self._disconnect()
            try:
                return self._connect() if self._records else None
            except OSError as error:
                self._give_up(error)
                return None

    def _give_up(self, reason: object) -> None:
        """Be without a guardian until the next child comes."""
        with self._lock:
            self._disconnect()
            is_first = bool(self._records) and not self._has_warned
            self._has_warned |= is_first
        if is_first:
            logger.warning(
                "there is no guardian (%s): when this process ends, the kernel ends the children with "
                "die_with_parent=True, and nobody ends what they have started",
                reason,
            )

    def _tell_all(self) -> None:
        records = [_Record(0, FORGET_ALL, 0, False, -1), *self._records.values()]
        for start in range(0, len(records), _AT_ONCE):
            self._tell(records[start : start + _AT_ONCE])

    def _tell(self, records: list[_Record]) -> None:
        """Send a message; it never waits. A guardian that has ended is told by its successor's start."""
        if self._connection is None or self._is_behind:
            return
        words = array("q", [int(word) for record in records for word in record[:4]])
        sent = array("i", [record.pidfd for record in records if record.pidfd >= 0])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)] if sent else []
        try:
            self._connection.sendmsg([words], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno in _FULL:
                self._is_behind = True
                try:
                    _start_thread(self._catch_up, self._connection)
                except RuntimeError:  # no thread can be had: this message is lost
                    self._is_behind = False

    def _catch_up(self, connection: socket.socket) -> None:
        """Wait until the guardian reads again, and tell it of everybody anew."""
        while self._is_behind and connection is self._connection:
            time.sleep(_STEP)
            with self._lock:
                if connection is self._connection and select.select([], [connection], [], 0)[1]:
                    self._is_behind = False
                    self._tell_all()


# The guardian has not yet read what it was told, or too many descriptors are on their way (unix(7)).
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)
_STEP = 0.02  # seconds


def _start_thread(target: Callable[[socket.socket], object], connection: socket.socket) -> None:
    threading.Thread(target=target, args=(connection,), name="governess-guardian", daemon=True).start()


def _start_process(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """Start the guardian: it has a session of its own, and of our descriptors the socket alone."""
    arguments = [os.path.dirname(__file__), str(os.getpid()), str(_GRACE), str(_LINGER)]
    # What Python itself may need to start; the rest of the environment may hold secrets.
    environment = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return _POPEN(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, *arguments],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
    )


_POPEN = subprocess.Popen  # also while somebody's test has replaced it


_guardian = _Guardian()


def _start_anew() -> None:
    global _guardian
    _guardian.forget_all()
    _guardian = _Guardian()
