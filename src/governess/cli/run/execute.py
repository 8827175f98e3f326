"""Running all commands of a plan by the job runner: what is shown meanwhile, and what interrupts them."""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from governess.cli.run.outcome import shown
from governess.cli.run.output import Block, Blocks, Delivery, Writer
from governess.cli.run.report import (
    Bar,
    Lines,
    Progress,
    Tally,
    plain_table,
    rich_table,
    stderr_is_terminal,
    summary,
)
from governess.cli.run.sources import Plan
from governess.jobs import Attempt, Command, Files, Halt, Inherited, Job, JobOptions, JobResult, Journal, Output
from governess.jobs import Plan as JobPlan
from governess.jobs._gates import Gate
from governess.jobs._pools import Pools
from governess.jobs._resume import make_runner
from governess.jobs._run import make_pools
from governess.jobs._runner import Observer, Runner, RunSettings
from governess.subprocess._results import terminal_hint

__all__ = ["Settings", "execute"]

OWN_FAILURE = 255
BROKEN_PIPE = 141
TICK = 0.1
# Seconds to write what is due before the process stops.
_BEFORE_A_STOP = 0.2
# Seconds for commands that are being started then, so that they are stopped, too.
_FOR_STARTS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How the commands are run."""

    slots: int
    """How many commands run at once."""
    options: JobOptions = field(default_factory=JobOptions)
    """How a command is run."""
    halt: Halt = field(default_factory=Halt)
    """When the run ends before all commands are done."""
    pools: Pools = field(default_factory=lambda: make_pools({}))
    """What the commands share."""
    gates: tuple[Gate, ...] = ()
    """What holds starts back."""
    journal: Journal | None = None
    """Where the run is recorded; None for nowhere."""
    keep_order: bool = False
    """Whether output is written in the order of the commands."""
    tty: bool = False
    """Whether each command has the terminal, one after the other."""


async def execute(plan: Plan, settings: Settings) -> int:
    """Run every command, in the running loop, and give the exit status."""
    return await _Execution(plan, settings).run()


def jobs_of(plan: Plan) -> JobPlan:
    """Return the plan of jobs that a plan of commands stands for."""
    commands = enumerate(plan.arguments, 1)
    return JobPlan((Job(partial(plan.command, arguments, number)) for number, arguments in commands), total=plan.total)


class _Collected:
    """Keeps what a command writes until it has ended."""

    __slots__ = ("_on_trouble", "blocks")

    def __init__(self, on_trouble: "_Execution") -> None:
        self.blocks: Blocks = [None, None]
        self._on_trouble = on_trouble

    def feed(self, fd: int, data: bytes) -> None:
        if (block := self.blocks[fd - 1]) is None:
            if not data:
                return
            block = self.blocks[fd - 1] = Block()
        try:
            block.add(data)
        except OSError as error:
            self._on_trouble.keeping_failed(error)


class _Execution(Observer):
    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(self._tell_broken)
        self._delivery = Delivery(self._writer, self.keeping_failed, keep_order=settings.keep_order)
        self._tally = Tally()
        self._complaints: set[str] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._interrupted = False
        self._status: int | None = None
        self._terminal = stderr_is_terminal()
        self._has_bar = self._terminal and not settings.tty
        kind = Bar if self._has_bar else Lines
        self._progress: Progress = kind(self._writer, plan.total, self._state)
        jobs = jobs_of(plan)
        run_settings = RunSettings(
            settings.slots, settings.options, settings.halt, settings.pools, (*settings.gates, _Behind(self._writer))
        )
        self._jobs = jobs
        self._run_settings = run_settings
        self._runner: Runner

    async def run(self) -> int:
        self._runner = await make_runner(self._jobs, self._run_settings, self, journal=self._settings.journal)
        with self._signals():
            ticker = self._loop.create_task(self._tick()) if self._has_bar else None
            try:
                found = await self._runner.run()
            finally:
                if ticker is not None:
                    ticker.cancel()
            self._progress.close()
            await self._until_written()
            if self._status != BROKEN_PIPE:
                self._writer.say(self._report(found.not_started, found.wall))
                await self._until_written()
        return found.exit_status if self._status is None else self._status

    def _report(self, not_started: int, wall: float) -> str:
        table = rich_table(self._tally) if self._terminal else plain_table(self._tally, _columns())
        return table + summary(self._tally, not_started, wall)

    def output(self, attempt: Attempt) -> Output:
        return Inherited(foreground=True) if self._settings.tty else _Collected(self)

    def could_not_start(self, attempt: Attempt, error: OSError | ValueError) -> None:
        self._complain(attempt.command, error)

    def lacks_terminal(self, attempt: Attempt) -> None:
        assert attempt.running is not None
        remedy = "--tty gives each command the terminal, one after the other"
        self._writer.say(f"governess run: {terminal_hint(shown(attempt.command, 200), attempt.running.stop, remedy)}\n")

    def abandoned(self, attempt: Attempt) -> None:
        self._delivery.put(attempt.number, [None, None])

    def finished(self, result: JobResult, attempt: Attempt | None) -> None:
        self._tally.add(result)
        if self._settings.tty and result.code == -signal.SIGINT:
            self._interrupt(signal.SIGINT)  # Ctrl-C has reached the command alone
        self._delivery.put(result.number, self._blocks(attempt))
        if self._status != BROKEN_PIPE:
            self._progress.finished(result)

    def _blocks(self, attempt: Attempt | None) -> Blocks:
        output = None if attempt is None else attempt.output
        if isinstance(output, _Collected):
            return output.blocks
        if isinstance(output, Files):
            collected = _Collected(self)
            for fd, path in enumerate(output, 1):
                for piece in _pieces(path):
                    collected.feed(fd, piece)
            return collected.blocks
        return [None, None]

    def _state(self) -> tuple[int, int, int]:
        found = self._runner.summary
        return found.finished, found.failed, len(self._runner.running)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._progress.tick()

    def _complain(self, command: Command, error: OSError | ValueError) -> None:
        program = command if isinstance(command, str) else command[0]
        reason = error.strerror if isinstance(error, OSError) else str(error)
        complaint = f"governess run: cannot run {shown((program,), 200)}: {reason}\n"
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            self._writer.say(complaint)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Catch the signals that end us, but for those that our parent made us ignore."""
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                self._catch_soon(number)
        # With --tty it stops us as it stops a program without handlers: Foreground does the rest.
        is_caught = sys.platform != "win32" and not self._settings.tty
        if is_caught and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            before[signal.SIGTSTP] = signal.SIG_DFL
            self._loop.add_signal_handler(signal.SIGTSTP, self._stop_soon)
        try:
            yield
        finally:
            for number, handler in before.items():
                with contextlib.suppress(NotImplementedError):
                    self._loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _catch_soon(self, number: int) -> None:
        """Have the loop catch it, which a signal wakes up even in the instant before it goes to sleep."""
        try:
            self._loop.add_signal_handler(number, self._interrupt, number)
        except NotImplementedError:  # Windows, where the loop wakes up for all of them
            signal.signal(number, self._catch)

    def _catch(self, number: int, frame: object) -> None:
        self._loop.call_soon_threadsafe(self._interrupt, number)

    def _stop_soon(self) -> None:
        if self._stopping is None or self._stopping.done():
            self._stopping = self._loop.create_task(self._stop())

    async def _stop(self) -> None:
        """Stop the commands and this process, as Ctrl-Z asks; continue the commands when this process continues."""
        self._runner.hold()
        until = self._loop.time() + _FOR_STARTS
        while self._runner.starting and self._loop.time() < until:
            await asyncio.sleep(0.002)
        self._writer.show_bar("")
        self._writer.say("governess run: stopped, and its commands with it; fg continues them\n")
        self._writer.mark().wait(_BEFORE_A_STOP)
        self._signal_all(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._signal_all(signal.SIGCONT)
        self._runner.release()
        self._progress.tick()

    def _signal_all(self, number: int) -> None:
        for attempt in self._runner.running:
            if attempt.running is not None:
                attempt.running.signal(number)

    def _interrupt(self, number: int) -> None:
        if self._status is None:
            self._status = 128 + number
            if (self._runner.running or self._runner.starting) and not self._interrupted:
                name = signal.Signals(number).name
                self._writer.say(f"governess run: {name}: ending what runs; once more to kill it at once\n")
        self._interrupted = True
        self._runner.end()

    def _tell_broken(self, error: OSError) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the output any more
            self._loop.call_soon_threadsafe(self._stdout_broke, error)

    def _stdout_broke(self, error: OSError) -> None:
        if error.errno in (errno.EPIPE, errno.EINVAL, errno.ESHUTDOWN, errno.ECONNRESET):
            self._give_up(BROKEN_PIPE, "")
        else:
            self._give_up(OWN_FAILURE, f"governess run: cannot write to standard output: {error.strerror}\n")

    def keeping_failed(self, error: OSError) -> None:
        self._give_up(OWN_FAILURE, f"governess run: cannot keep the output of a command: {error.strerror}\n")

    def _give_up(self, status: int, complaint: str) -> None:
        if self._status is None:
            self._status = status
            if complaint:
                self._writer.say(complaint)
            self._runner.end()

    async def _until_written(self) -> None:
        """Wait for the reader of our output; but not for long once a signal has come."""
        written = self._writer.mark()
        written.wait(0.02)
        patience = 2.0
        while not written.is_set() and patience > 0:
            await asyncio.sleep(0.02)
            if self._status is not None:
                patience -= 0.02
        await asyncio.sleep(0)  # lets _stdout_broke() run


class _Behind:
    """Holds starts back while too much output waits to be written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def pause(self, now: float, running: int) -> float:
        return 0.01 if self._writer.is_behind else 0.0

    def started(self, now: float) -> None:
        pass


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(2**16):
                yield piece
    except FileNotFoundError:
        pass  # the command could not be started


def _columns() -> int:
    return shutil.get_terminal_size((100, 24)).columns
