"""A thread that reads or writes one pipe for a loop that cannot."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from governess.transports._child_pipe import PipeEnd

if sys.platform == "win32":
    from governess.transports._pipe_windows import BlockingPipe
else:
    from governess.transports._pipe_posix import BlockingPipe

__all__ = ["BlockingPipe", "PipeThread"]


class PipeThread:
    """Does its work in a thread, and closes the end of the pipe when it is done.

    Attributes:
        stopped: whether the work is to end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        end: PipeEnd,
        work: Callable[[BlockingPipe], object],
        ended: Callable[[OSError | None], object],
    ) -> None:
        """Take the end over.

        Args:
            loop: told of what happens, in the context of this call.
            end: our end of the pipe, whose own `close` stops the thread from here on.
            work: called in the thread; it returns soon after `stop`.
            ended: called in the loop after it, with the error that it has raised.

        Raises:
            OSError: no descriptor is free; then the end is closed.
        """
        self._loop = loop
        self._end = end
        self._work = work
        self._ended = ended
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(0)
        self._started = False
        self._process = os.getpid()
        self.stopped = False
        self._pipe: BlockingPipe | None = _blocking(end)
        end.transfer(self.stop)

    def start(self) -> None:
        """Start the work, unless it is stopped already; RuntimeError if no thread can be had."""
        if self.stopped:
            return
        self._started = True
        try:
            threading.Thread(target=self._run, name=f"governess-pipe-{self._end.fileno()}", daemon=True).start()
        except BaseException:
            self._started = False
            raise

    def stop(self) -> None:
        """Let the work end soon, and the end of the pipe be closed; any thread may call this."""
        self.stopped = True
        if self._started and self._process == os.getpid():
            self.wake()
            self._turns.release()
        else:  # in a forked child there is no such thread
            self._close()

    def wake(self) -> None:
        """Let the thread that waits in the pipe return at once."""
        with self._lock:
            if self._pipe is not None:
                self._pipe.wake()

    def tell(self, callback: Callable[..., object], *args: Any) -> bool:
        """Call back in the loop, soon; return False if the loop is closed. For the work."""
        try:
            self._loop.call_soon_threadsafe(callback, *args, context=self._context)
        except RuntimeError:
            return False
        return True

    def await_turn(self) -> None:
        """Block until `give_turn` is called, or `stop`. For the work."""
        self._turns.acquire()

    def give_turn(self) -> None:
        """Let the work go on after its `await_turn`."""
        self._turns.release()

    def _run(self) -> None:
        error = None
        try:
            if self._pipe is not None:
                self._work(self._pipe)
        except OSError as reason:
            error = reason
        finally:
            self._close()
        self.tell(self._ended, error)

    def _close(self) -> None:
        if self._process != os.getpid():
            self._lock = threading.Lock()
        with self._lock:
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        self._end.close_transferred()


def _blocking(end: PipeEnd) -> BlockingPipe:
    try:
        return BlockingPipe(end)
    except OSError:
        end.close()
        raise
