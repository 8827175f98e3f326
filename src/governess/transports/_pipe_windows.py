"""Our end of a pipe on Windows, used by a thread that blocks in it until another one calls it back."""

from __future__ import annotations

import _overlapped  # type: ignore[import-not-found]
import _winapi
import sys
from typing import Any

from governess.transports._child_pipe import PipeEnd

assert sys.platform == "win32"

__all__ = ["BlockingPipe"]

# https://learn.microsoft.com/windows/win32/debug/system-error-codes: "The I/O operation has been aborted"
_ERROR_OPERATION_ABORTED = 995


class BlockingPipe:
    """A pipe, opened for overlapped operations, that one thread reads or writes, and that others may `wake`.

    A plain ReadFile cannot be called back, and closing the handle meanwhile hangs; an overlapped one is waited for
    together with an event, and cancelled when that comes. `close` leaves the end to its owner.
    """

    def __init__(self, end: PipeEnd) -> None:
        """Use the end."""
        self._handle = end.fileno()
        self._wakeup_r = _overlapped.CreateEvent(None, True, False, None)

    def read(self, size: int) -> bytes | None:
        """Wait for data and return it: nothing at the end, None if woken before there was any."""
        operation: Any
        while True:
            try:
                operation, _ = _winapi.ReadFile(self._handle, size, overlapped=True)
                count = self._finish(operation)
            except BrokenPipeError:
                return b""
            if count is None:
                return None
            if count:  # somebody may write nothing, which is not the end
                return bytes(operation.getbuffer()[:count])

    def write(self, data: bytes | memoryview[Any]) -> int:
        """Wait for room; return how much was written, 0 if woken before there was any.

        Raises:
            BrokenPipeError: nobody can read it any more.
        """
        operation, _ = _winapi.WriteFile(self._handle, bytes(data), overlapped=True)
        return self._finish(operation) or 0

    def wait_for_hangup(self) -> bool:
        """Wait until the pipe has no reader; return False if woken before that."""
        while (data := self.read(1)) is not None:
            if not data:
                return True
        return False

    def wake(self) -> None:
        """Wake the thread that waits; if none waits, the next wait returns at once."""
        _overlapped.SetEvent(self._wakeup_r)

    def close(self) -> None:
        """Free what the waking needs; no thread may wait."""
        _winapi.CloseHandle(self._wakeup_r)

    def _finish(self, operation: Any) -> int | None:
        """Wait for the operation; return how many bytes it has moved, None if woken before it moved any."""
        done = _winapi.WaitForMultipleObjects([operation.event, self._wakeup_r], False, _winapi.INFINITE)
        if done != _winapi.WAIT_OBJECT_0:
            _overlapped.ResetEvent(self._wakeup_r)
            operation.cancel()
        count, error = operation.GetOverlappedResult(True)
        return None if error == _ERROR_OPERATION_ABORTED and not count else count
