"""Descriptors that stand for a process, and the status that they still know after somebody else reaped it."""

from __future__ import annotations

import array
import errno
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

__all__ = [
    "has_exited",
    "is_detached",
    "lost_status",
    "open_pidfd",
    "reaped_status",
    "send_signal",
    "send_signal_if",
    "unavailable",
]

# include/uapi/linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), whose first version has 64 bytes
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=Q52xi")  # the mask, what is not asked for, the wait status


def open_pidfd(pid: int) -> int | None:
    """Open a descriptor of the process, or return None where that is not possible now.

    None means: the kernel or a sandbox has no pidfd (ENOSYS, EPERM, EINVAL), no descriptor is free (EMFILE, ENFILE),
    or there is no such process any more (ESRCH).
    """
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def unavailable() -> str | None:
    """Return why no pidfd can be had in this process, or None if one can."""
    if sys.platform != "linux":
        return f"{sys.platform} has no pidfd"
    if not hasattr(os, "pidfd_open"):
        return "this Python was built without os.pidfd_open"
    try:
        descriptor = os.pidfd_open(os.getpid())
    except OSError as error:
        return f"pidfd_open fails with {errno.errorcode.get(error.errno or 0, error.errno)} ({error.strerror})"
    os.close(descriptor)
    return None


def has_exited(pidfd: int, timeout: float | None = 0) -> bool:
    """Return whether the process has exited, waiting at most `timeout` seconds for it (None: without a limit).

    Where poll(2) fails (ENOMEM, or EINVAL under a small RLIMIT_NOFILE), return whether it is reaped, after a moment.
    """
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    try:
        if poller.poll(None if timeout is None else max(0, int(timeout * 1000))):
            return True
        # It may have been interrupted: Python does not call poll(2) again when the time is over.
    except OSError:
        time.sleep(_RETRY_TIMEOUT if timeout is None else max(0.0, min(timeout, _RETRY_TIMEOUT)))
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's, or the sandbox refuses
        return is_detached(pidfd)
    return False


def is_detached(pidfd: int) -> bool:
    """Return whether the process is reaped, as far as /proc tells: the number of one that is reaped is -1 there."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
            return any(line.split() == [b"Pid:", b"-1"] for line in file)
    except OSError:
        return False


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal to the process; return False if the call is refused here, by an old kernel or a sandbox.

    EPERM is what a sandbox says, and the kernel of another user's process: the same call by number tells them apart.

    Raises:
        ProcessLookupError: the process is reaped.
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise
    except (OSError, AttributeError):
        return False
    return True


def send_signal_if(is_one: Callable[[int], bool], pid: int, number: int) -> bool:
    """Send a signal to the process with this number, if it is the one; never to another that gets the number meanwhile.

    Args:
        is_one: returns whether the process with a number is the one.
        pid: its number.
        number: the signal.

    Returns:
        False if it is not the one, or no descriptor can be had or used for it: then it got no signal.

    Raises:
        ProcessLookupError: it is reaped.
    """
    if (pidfd := open_pidfd(pid)) is None:
        return False
    try:
        # What is asked now is of the process that the descriptor stands for: until that is reaped, it has the number.
        return is_one(pid) and send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def lost_status(pidfd: int) -> int | None:
    """Return the wait status of a process that is gone, reaped by whomever; None if the kernel does not tell.

    Linux 6.15 and later answer (``PIDFD_INFO_EXIT``), as long as the pidfd was opened before the reap.
    """
    global _kernel_tells
    # Under SIG_IGN the parent can be woken an instant before the status is stored.
    deadline = time.monotonic() + (0 if _kernel_tells is False else _RETRY_TIMEOUT)
    while True:
        if (status := reaped_status(pidfd)) is not None:
            _kernel_tells = True
            return status
        if time.monotonic() >= deadline:
            break
        time.sleep(0.0005)
    if _kernel_tells is None:
        _kernel_tells = False
    return None


_RETRY_TIMEOUT = 0.02  # seconds
_kernel_tells: bool | None = None  # None: not seen yet


def reaped_status(pidfd: int) -> int | None:
    """Return the wait status of a process that is reaped by now; None if it is not, or the kernel does not tell."""
    mask, status = _ask(pidfd)
    return status if mask & _PIDFD_INFO_EXIT else None


def _ask(pidfd: int) -> tuple[int, int]:
    info = array.array("B", _INFO.pack(_PIDFD_INFO_EXIT, 0))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info, True)
    except OSError:
        return 0, 0
    mask, status = _INFO.unpack(info)
    return mask, status
