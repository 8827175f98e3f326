"""One process of a service: how it is started, with descriptors at the numbers it expects, and how it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from governess.children._child import Child
from governess.children._exit import Exit
from governess.children._spawn import can_die_with_parent
from governess.children._spawn.command import Stdio, command_of
from governess.services._service import Command
from governess.subprocess import DEVNULL, PIPE, STDOUT, Process
from governess.subprocess._end import EndBounds
from governess.subprocess._process import create
from governess.subprocess._protocol import Collector
from governess.subprocess._start import leading_group

if sys.platform != "win32":
    import fcntl

__all__ = ["Passed", "ServiceProcess", "argv_of"]

# Seconds after a KILL until a process that does not end even so is given up.
_AFTER_KILL = 5.0
# Seconds after the end in which output is read that somebody outside of the group still may write.
_DRAIN = 0.25
# The numbers that a child may expect are below it, so that no copy is overwritten by another.
_ABOVE = 100

# A child between fork and exec runs no Python, and neither a shell nor posix_spawn knows LISTEN_PID, so a program does.
_PASS = """\
import os, sys
pairs, sockets, *argv = sys.argv[1:]
for pair in pairs.split(","):
    source, target = map(int, pair.split(":"))
    os.dup2(source, target)
    os.close(source)
if int(sockets):
    os.environ.update(LISTEN_FDS=sockets, LISTEN_PID=str(os.getpid()))
try:
    os.execvp(argv[0], argv)
except OSError as error:
    sys.stderr.write(f"cannot run {argv[0]}: {error.strerror}\\n")
    os._exit(127 if isinstance(error, FileNotFoundError) else 126)
"""


class Passed(NamedTuple):
    """Descriptors that a service gets.

    Attributes:
        sockets: listening sockets, which it has from descriptor 3 on.
        others: further descriptors of ours, by the numbers that they have in the service.
    """

    sockets: Sequence[int] = ()
    others: Mapping[int, int] = {}


def argv_of(command: Command) -> tuple[str, ...]:
    """Return the argv of a command; a line is run by a shell."""
    return ("/bin/sh", "-c", command) if isinstance(command, str) else command


class ServiceProcess:
    """A process of a service, with all that it has started in its process group and session.

    Attributes:
        pid: its number.
    """

    def __init__(self, process: Process) -> None:
        """Use a process that was started; see `start`."""
        self._process = process
        self._ending: asyncio.Task[Exit | None] | None = None
        self.pid = process.pid
        process._streams.on_stop = _ignore_terminal_stop
        # What is in its pipe then is little, and is read before that is closed, however slow the writer is.
        process._connection.when_exited().add_done_callback(lambda _: self.resume_output())

    @classmethod
    async def start(
        cls,
        command: Command,
        *,
        cwd: str | None,
        env: Mapping[str, str],
        passed: Passed = Passed(),  # noqa: B008 - it cannot be changed
        on_output: Callable[[bytes], object] | None,
    ) -> ServiceProcess:
        """Start a command.

        Args:
            command: what is run.
            cwd: its working directory.
            env: its environment.
            passed: the descriptors that it gets.
            on_output: is called with what it writes, as it comes, and with nothing at the end; None lets it write where
                this process does.

        Raises:
            OSError: it cannot be started.
            ValueError: its words cannot be passed to a process.
        """
        options: dict[str, Any] = {"env": env}
        if cwd is not None:
            options["cwd"] = cwd
        if can_die_with_parent():
            options["die_with_parent"] = True
        with contextlib.ExitStack() as stack:
            argv = argv_of(command)
            if passed.sockets or passed.others:
                argv, options["pass_fds"] = _passing(argv, passed, stack)
            streams: tuple[Stdio, Stdio] = (None, None) if on_output is None else (PIPE, STDOUT)
            listeners = [] if on_output is None else [_Listener(on_output)]
            spawn = leading_group(command_of, argv, DEVNULL, *streams, True, options)
            return cls(await create(spawn, partial(Collector, False, listeners)))

    @property
    def exit(self) -> Exit | None:
        """How it has ended; None while it runs."""
        return self._process.exit

    @property
    def has_others(self) -> bool:
        """Whether anybody of its group lives, also when it has ended itself."""
        return self._process._is_anybody_left()

    async def wait(self) -> Exit:
        """Wait until it has ended; what it has started may still run."""
        return await self._process.wait()

    async def end(self, stop: int, grace: float) -> Exit | None:
        """End it and all of its group: a signal and CONT, a grace, KILL. Return how it ended; None if it was given up.

        `hurry` cuts the grace short.
        """
        if self._ending is None:
            bounds = EndBounds(grace, _AFTER_KILL, _DRAIN, stop)
            self._ending = asyncio.get_running_loop().create_task(self._process._end(bounds))
        await asyncio.wait((self._ending,))
        return self._process.exit

    def hurry(self) -> None:
        """Kill it now if it is being ended."""
        if self._ending is not None:
            self._ending.cancel()

    def signal(self, number: int) -> bool:
        """Send a signal to it and its group; return whether anybody has got it."""
        try:
            self._process.signal_tree(number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def pause_output(self) -> None:
        """Read no more of what it writes, while it runs."""
        if self.exit is None:
            self._pipe("pause_reading")

    def resume_output(self) -> None:
        """Read again."""
        self._pipe("resume_reading")

    def _pipe(self, verb: str) -> None:
        pipe: Any = self._process._connection.get_pipe_transport(1)
        if pipe is not None and not pipe.is_closing():
            with contextlib.suppress(RuntimeError):  # it is in that state already
                getattr(pipe, verb)()


class _Listener:
    def __init__(self, on_output: Callable[[bytes], object]) -> None:
        self._on_output = on_output

    def feed(self, fd: int, data: bytes) -> None:
        self._on_output(data)


def _passing(argv: Sequence[str], passed: Passed, stack: contextlib.ExitStack) -> tuple[tuple[str, ...], list[int]]:
    """Return the argv of a program that moves the descriptors to their numbers and then runs `argv`."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise ValueError("descriptors are passed to a service by Python, whose executable is not known here")
    targets = {**dict(enumerate(passed.sockets, 3)), **passed.others}
    sources = []
    for target, source in targets.items():
        copy = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
        stack.callback(os.close, copy)
        sources.append((copy, target))
    pairs = ",".join(f"{source}:{target}" for source, target in sources)
    words = sys.executable, "-I", "-S", "-c", _PASS, pairs, str(len(passed.sockets)), *argv
    return words, [source for source, _ in sources]


def _ignore_terminal_stop(child: Child, stop: int) -> None:
    """Do nothing: a service has a session of its own, and so no terminal to wait for."""
