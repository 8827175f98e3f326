"""Programs on a terminal of their own, typed at and read by a test."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType

if sys.platform != "win32":
    import termios

__all__ = ["OnTerminal"]


class OnTerminal:
    """A program that leads a session with a terminal; what is left of the session is killed at the end of the block.

    Attributes:
        pid: the number of the program.
        seen: all that was written to the terminal, with plain line ends.
    """

    def __init__(self, *argv: str) -> None:
        """Start the program."""
        self._terminal, self._theirs = os.openpty()
        # The leader of a session without a terminal gets the one that it opens. No pty.fork(): pytest has threads.
        command = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(self._theirs), *argv]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid = self._process.pid
        self.seen = ""

    def __enter__(self) -> "OnTerminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._terminal)
        os.close(self._theirs)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str, timeout: float = 30.0) -> None:
        """Read until the text was written after what an earlier call has waited for."""
        self._wait(lambda: text in self.seen, text, timeout)
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def wait_for_end(self, timeout: float = 30.0) -> int:
        """Read until the program has ended; return its exit status, as `subprocess` gives it."""
        self._wait(lambda: self._process.poll() is not None, "the end", timeout)
        return self._process.wait()

    def echoes(self) -> bool:
        """Return whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    def wait_for_foreground(self, timeout: float = 30.0) -> None:
        """Wait until the program has given the terminal to another group."""
        self._wait(lambda: os.tcgetpgrp(self._terminal) != self.pid, "another group in the foreground", timeout)

    def wait_for_reader(self, name: str, timeout: float = 30.0) -> None:
        """Wait until a program of this name has the terminal and waits for input, if it does nothing but read there."""

        def sleeps() -> bool:
            with contextlib.suppress(OSError), open(f"/proc/{os.tcgetpgrp(self._terminal)}/stat") as stat:
                return f"({name}) S " in stat.read()
            return False

        self._wait(sleeps, f"{name} in the foreground", timeout)

    def wait_for_programs(self, name: str, count: int, timeout: float = 30.0) -> None:
        """Wait until so many processes of the session run the program: until its exec, a shell is in their place."""

        def names() -> list[str]:
            found: list[str] = []
            for pid in self.members():
                with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as comm:
                    found.append(comm.read().strip())
            return found

        self._wait(lambda: names().count(name) == count, f"{count} processes of {name}", timeout)

    def members(self) -> Iterator[int]:
        """Give those who live in the session."""
        for pid in list(map(int, filter(str.isdigit, os.listdir("/proc")))):
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.pid:
                    yield pid

    def _wait(self, is_so: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not is_so():
            assert time.monotonic() < deadline, f"{what!r} has not come; this was seen: {self.seen!r}"
            if select.select([self._terminal], [], [], 0.02)[0]:
                self.seen += os.read(self._terminal, 65536).decode(errors="replace").replace("\r\n", "\n")
