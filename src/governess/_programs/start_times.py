"""When a process was started, where there is no /proc: by `ps`, and on Windows by the kernel."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import Any

__all__ = ["start_time"]


def start_time(pid: int) -> float | None:
    """Return when a process was started, in seconds since the epoch, to a second or so; None if there is none.

    Raises:
        OSError: it cannot be told.
    """
    return _windows_start_time(pid) if sys.platform == "win32" else _posix_start_time(pid)


def _posix_start_time(pid: int) -> float | None:
    command = ["ps", "-o", "etime=", "-p", str(pid)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if (elapsed := _ELAPSED.fullmatch(done.stdout.strip())) is None:
        if done.stdout.strip():
            raise OSError(f"ps tells no time: {done.stdout!r}")
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in elapsed.groups())
    return time.time() - (((days * 24 + hours) * 60 + minutes) * 60 + seconds)


_ELAPSED = re.compile(rb"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")


def _windows_start_time(pid: int) -> float | None:
    import ctypes

    kernel32: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel32.OpenProcess.restype = ctypes.c_void_p
    kernel32.GetProcessTimes.argtypes = ctypes.c_void_p, *[ctypes.c_void_p] * 4
    kernel32.WaitForSingleObject.argtypes = ctypes.c_void_p, ctypes.c_uint32
    kernel32.CloseHandle.argtypes = (ctypes.c_void_p,)
    handle = kernel32.OpenProcess(_SYNCHRONIZE | _PROCESS_QUERY_LIMITED_INFORMATION, False, pid)
    if not handle:
        error = ctypes.get_last_error()  # type: ignore[attr-defined,unused-ignore]
        if error == _ERROR_INVALID_PARAMETER:  # there is no such process
            return None
        raise OSError(f"process {pid} cannot be looked at: Windows error {error}")
    try:
        if kernel32.WaitForSingleObject(handle, 0) == 0:  # it has ended, and somebody still has a handle of it
            return None
        times = [ctypes.c_uint64() for _ in range(4)]
        if not kernel32.GetProcessTimes(handle, *map(ctypes.byref, times)):
            raise OSError(f"process {pid} does not tell when it was started")
    finally:
        kernel32.CloseHandle(handle)
    return float(times[0].value / 1e7 - _FROM_1601_TO_1970)


_SYNCHRONIZE = 0x100000
_PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
_ERROR_INVALID_PARAMETER = 87
_FROM_1601_TO_1970 = 11_644_473_600  # seconds
