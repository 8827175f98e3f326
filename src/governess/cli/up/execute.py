"""Running `governess up`: the supervisor, what is shown of it, the signals, and the commands of others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

from governess.cli.up.config import ConfigError
from governess.cli.up.console import SYSTEM, Console
from governess.cli.up.control import ControlServer
from governess.cli.up.runtime import Runtime
from governess.cli.up.source import Source
from governess.cli.up.systemd import Systemd
from governess.services import Service, ServiceError, ServiceEvent, Supervisor
from governess.subprocess import reap_orphans

__all__ = ["execute"]

BROKEN_PIPE = 141
# Seconds between TERM and KILL for what an earlier run has left.
_LEFTOVER_GRACE = 10.0
# The same for what has left the process group of its service, at the end.
_STRAY_GRACE = 2.0
# As PID 1 these are passed on, since nobody else gets them.
_FORWARDED = ("SIGUSR1", "SIGUSR2", "SIGWINCH")


async def execute(source: Source, services: list[Service], runtime: Runtime, metrics: str | None = None) -> int:
    """Keep services alive until they end, in the running loop, and return the exit status.

    Raises:
        ServiceError: they cannot be run.
        OSError: the socket cannot be had.
    """
    return await _Execution(source, runtime, metrics).run(services)


class _Execution:
    def __init__(self, source: Source, runtime: Runtime, metrics: str | None) -> None:
        self._source = source
        self._runtime = runtime
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._console = Console(lambda: self._call(self._end, BROKEN_PIPE))
        self._systemd = Systemd()
        self._supervisor: Supervisor | None = None
        self._control: ControlServer | None = None
        self._is_ending = False
        self._is_save_due = False
        self._reloading: asyncio.Task[None] | None = None

    async def run(self, services: list[Service]) -> int:
        self._expect(services)
        await self._end_leftovers()
        supervisor = self._supervisor = Supervisor(
            services,
            on_output=self._show,
            mark=self._runtime.mark,
            on_event=self._tell,
            on_process=self._save_soon,
        )
        self._control = ControlServer(supervisor, self._reload, self._runtime.socket)
        try:
            await self._control.start()
        except OSError as error:
            raise ServiceError(f"{self._runtime.socket}: {error.strerror or error}") from None
        with self._signals(), _reaper(), self._served_metrics(supervisor):
            try:
                async with supervisor:
                    try:
                        status = await supervisor.wait()
                    finally:
                        self._is_ending = True
                        self._systemd.stopping()
                await self._end_strays()
            finally:
                await self._control.close()
        return status

    async def _end_strays(self) -> None:
        """End what services have started in sessions of their own, which outlives their groups."""
        strays = self._runtime.find_leftovers()
        if strays:
            self._console.say(f"ending {len(strays)} processes that have left their services")
            assert self._supervisor is not None
            await self._runtime.end_leftovers(0.0 if self._supervisor.is_hurried else _STRAY_GRACE)

    async def _end_leftovers(self) -> None:
        leftovers = self._runtime.find_leftovers()
        if not leftovers:
            return
        self._console.say(f"ending {len(leftovers)} processes that an earlier run has left")
        if left := await self._runtime.end_leftovers(_LEFTOVER_GRACE):
            numbers = ", ".join(map(str, left))
            raise ServiceError(f"processes of an earlier run do not end, even after a KILL: {numbers}")

    def _expect(self, services: list[Service]) -> None:
        self._console.expect(f"{service.name}.{n}" for service in services for n in range(1, service.copies + 1))

    def _show(self, name: str, lines: bytes) -> None:
        """Write lines; the thread of the output calls this."""
        try:
            self._console.write(name, lines)
        finally:
            if name != SYSTEM:
                self._call(self._pass_on, name, lines)

    def _pass_on(self, name: str, lines: bytes) -> None:
        if self._control is not None:
            self._control.show(name, lines)

    def _tell(self, event: ServiceEvent) -> None:
        self._say(str(event))
        supervisor = self._supervisor
        if supervisor is not None and supervisor.is_ready:
            self._systemd.ready()

    def _say(self, text: str) -> None:
        """Write a line of our own, after what the services have written before."""
        writer = None if self._supervisor is None else self._supervisor.writer
        if writer is None:
            self._console.say(text)
        else:
            from governess.cli.run.outcome import printable

            writer.write(SYSTEM, printable(text).encode(errors="backslashreplace") + b"\n", None)

    def _save_soon(self) -> None:
        if not self._is_save_due:
            self._is_save_due = True
            self._loop.call_soon(self._save)

    def _save(self) -> None:
        self._is_save_due = False
        assert self._supervisor is not None
        try:
            self._runtime.save(self._supervisor.processes())
        except OSError as error:
            self._say(f"cannot write the list of processes: {error.strerror}")

    async def _reload(self, dry_run: bool) -> list[str]:
        """Read the file again; return what has changed, or what would.

        Raises:
            ServiceError: it cannot be used; nothing has changed.
        """
        assert self._supervisor is not None
        try:
            services = self._source.load()
        except ConfigError as error:
            raise ServiceError(str(error)) from None
        self._expect(services)
        try:
            changes = await self._supervisor.reload(services, dry_run=dry_run)
        except ServiceError as error:
            raise ServiceError(str(self._source.explain(error))) from None
        return [str(change) for change in changes]

    async def _reload_and_tell(self) -> None:
        self._systemd.reloading()
        try:
            changes = await self._reload(False)
        except ServiceError as error:
            self._say(f"nothing is changed: {error}")
        else:
            for change in changes or ["nothing has changed"]:
                self._say(change)
        self._systemd.reloaded()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {signal.SIGTERM: (self._interrupt, 0), signal.SIGINT: (self._interrupt, 130)}
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell without job control, for its background
            del handlers[signal.SIGINT]
        for number, (handler, status) in handlers.items():
            self._loop.add_signal_handler(number, handler, status)
        had_terminal = _has_terminal()
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up, had_terminal)
        others = [getattr(signal, name) for name in _FORWARDED if os.getpid() == 1]
        for number in others:
            self._loop.add_signal_handler(number, self._forward, number)
        try:
            yield
        finally:
            for number in (*handlers, signal.SIGHUP, *others):
                self._loop.remove_signal_handler(number)

    def _interrupt(self, status: int) -> None:
        assert self._supervisor is not None
        if self._is_ending:
            self._say("killing what still runs")
            self._supervisor.kill()
        elif status:
            self._say("SIGINT: ending all; once more to kill them at once")
        else:
            self._say("SIGTERM: ending all")
        self._end(status)

    def _end(self, status: int) -> None:
        self._is_ending = True
        if self._supervisor is not None:
            self._supervisor.end(status)

    def _hang_up(self, had_terminal: bool) -> None:
        if had_terminal and not _has_terminal():  # its window was closed
            self._end(128 + signal.SIGHUP)
        elif self._reloading is None or self._reloading.done():
            self._reloading = self._loop.create_task(self._reload_and_tell())

    def _forward(self, number: int) -> None:
        assert self._supervisor is not None
        self._supervisor.signal(number)

    def _call(self, function: object, *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *args)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _served_metrics(self, supervisor: Supervisor) -> Iterator[None]:
        if self._metrics is None:
            yield
            return
        from governess.cli.up.metrics import served

        with served(self._metrics, supervisor, self._loop):
            yield


@contextlib.contextmanager
def _reaper() -> Iterator[None]:
    """Reap orphans as PID 1, or as a subreaper."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(RuntimeError, NotImplementedError):
            stack.enter_context(reap_orphans(interval=0.2))
        yield


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
