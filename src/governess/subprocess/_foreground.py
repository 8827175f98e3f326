"""The terminal of this process, given to a process group of its children, as a shell gives it to a job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from governess.children._procfs import members_by_group, read_stat
from governess.subprocess._protocol import ignore_stop
from governess.transports._stops import BY_TERMINAL, stop_signal

if sys.platform != "win32":
    import termios

if TYPE_CHECKING:
    from governess.subprocess._process import Process

__all__ = ["Foreground"]

_INTERVAL = 0.05  # seconds between two looks whether the child is stopped


class Foreground:
    """Gives the controlling terminal to the group of a child, and takes it back when its processes have ended.

    It is what "Implementing a Job Control Shell" in the manual of glibc describes, for a single job. Without a
    controlling terminal it does nothing.
    """

    def __init__(self) -> None:
        """Be ready to give the terminal.

        Raises:
            NotImplementedError: this is Windows.
        """
        if sys.platform == "win32":
            raise NotImplementedError("foreground=True gives a child a terminal of POSIX, which Windows does not have")
        self._terminal: int | None = None
        self._group = 0
        self._modes: list[Any] | None = None  # of the child, while that is stopped
        self._our_modes: list[Any] = []
        self._is_suspended = False
        self._was_just_given = False
        self._processes: list[Process] = []
        self._lock = threading.RLock()  # an exit is told of by any thread
        self._timer: asyncio.TimerHandle | None = None

    @property
    def group(self) -> int:
        """The number of the process group, which is the pid of its first process; 0 before that."""
        return self._group

    def has_group(self) -> bool:
        """Return whether the group exists."""
        return bool(self._group) and _exists(self._group)

    def leave_group(self) -> None:
        """Give the terminal to the group of the next process: the group so far is gone."""
        self._group = 0

    def add(self, process: Process) -> None:
        """Give the terminal to the group of the process, until it has ended; the others are in the group of the first.

        A process that is in the background of its terminal does not have it, and gives it as soon as it has.
        """
        with self._lock:
            self._group = self._group or process.pid
            if self._terminal is None:
                self._terminal = _open_terminal()
            if self._terminal is None:
                return
            self._processes.append(process)
            process._foreground = self
            process._streams.on_stop = ignore_stop
            if self._is_ours():
                self._give(self._stop())
            if self._timer is None:
                self._timer = process._home.call_later(_INTERVAL, self._look, process._home)
        process._child.subscribe(lambda child, exit: self.remove(process))

    def remove(self, process: Process) -> None:
        """Take the terminal back if this was the last of the processes."""
        with self._lock:
            if process not in self._processes:
                return
            self._processes.remove(process)
            if self._processes or self._terminal is None:
                return
            with contextlib.suppress(OSError, termios.error):
                if self._is_theirs():
                    was_ended = (exit := process.exit) is None or exit < 0
                    self._take(restore=was_ended)
            descriptor, self._terminal = self._terminal, None
            os.close(descriptor)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what a shell does when a job is stopped: take the terminal back, and be stopped as well."""
        with self._lock:
            if self._terminal is None:
                self._timer = None
                return
            with contextlib.suppress(OSError, termios.error):
                self._follow(self._stop())
            self._timer = loop.call_later(_INTERVAL, self._look, loop)

    def _stop(self) -> int:
        """Return the signal by which the processes are stopped; 0 if none is stopped, or this cannot be determined."""
        return next(filter(None, (stop_signal(process._child) for process in self._processes)), 0)

    def _follow(self, stop: int) -> None:
        is_ours = self._is_ours()
        if self._is_suspended or not stop:  # this process was continued, or nobody is stopped
            self._is_suspended = False
            if is_ours:
                self._give(stop)
            elif stop or self._left_one_stopped():
                self._continue()
        elif stop in BY_TERMINAL and (is_ours or self._is_theirs()):
            self._give(stop)
        elif self._is_theirs():
            self._modes = termios.tcgetattr(self._descriptor)
            self._take(restore=True)
            self._suspend(stop)
        elif not is_ours:
            self._suspend(stop)

    def _suspend(self, stop: int) -> None:
        """Stop this process as its child was; the kernel ignores it where no shell could continue this process.

        A SIGSTOP was meant for the child alone, and would stop this process even there.
        """
        if stop != signal.SIGSTOP:
            self._is_suspended = True
            os.killpg(os.getpgrp(), stop)

    def _give(self, stop: int) -> None:
        """Give the terminal to the group, and continue it if `stop` says that a process of it is stopped.

        A running group gets no SIGCONT: the kernel would discard a pending SIGTSTP, which is a Ctrl-Z.
        """
        self._our_modes = termios.tcgetattr(self._descriptor)
        with _without_ttou():
            if self._modes is not None:
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._modes)
                self._modes = None
            with contextlib.suppress(OSError):  # all of the group have ended
                os.tcsetpgrp(self._descriptor, self._group)
        if stop:
            self._continue()
        self._was_just_given = True

    def _left_one_stopped(self) -> bool:
        """Return whether the group has a stopped grandchild since it got the terminal; look only once.

        A Ctrl-Z has stopped the children of this process as well. True if it cannot be determined.
        """
        was_just_given, self._was_just_given = self._was_just_given, False
        if not was_just_given or not self._is_theirs():
            return False
        with contextlib.suppress(OSError):  # there is no /proc
            stats = map(read_stat, members_by_group().get(self._group, ()))
            return any(stat is not None and stat.is_stopped for stat in stats)
        return True

    def _take(self, *, restore: bool) -> None:
        """Take the terminal back; `restore` its modes, as shells do unless the job has exited by itself."""
        with _without_ttou():
            os.tcsetpgrp(self._descriptor, os.getpgrp())
            if restore:
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._our_modes)

    def _continue(self) -> None:
        """Continue what has been stopped because it did not have the terminal, grandchildren included."""
        for process in list(self._processes):
            with process._child.held():  # else its group could be gone, and the number another's
                if process.exit is None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(self._group, signal.SIGCONT)
                    return

    def _is_ours(self) -> bool:
        return os.tcgetpgrp(self._descriptor) == os.getpgrp()

    def _is_theirs(self) -> bool:
        """Return whether the group has it, or a group that has ended: a child may be a shell with jobs of its own."""
        holder = os.tcgetpgrp(self._descriptor)
        return holder == self._group or not _exists(holder)

    @property
    def _descriptor(self) -> int:
        assert self._terminal is not None
        return self._terminal


def _open_terminal() -> int | None:
    """Open the controlling terminal of this process; None if there is none, or no descriptor is left."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        os.tcgetpgrp(descriptor)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextlib.contextmanager
def _without_ttou() -> Iterator[None]:
    """Block SIGTTOU, with which the kernel stops a process in the background that changes the terminal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
