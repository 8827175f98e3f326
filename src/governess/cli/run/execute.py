"""Running all commands of a plan: slots that take one job after the other, and what interrupts them."""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from governess.cli.run.job import Job, is_shortage
from governess.cli.run.outcome import Outcome, shown
from governess.cli.run.output import Blocks, Delivery, Writer
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
from governess.cli.run.schedule import Halt, Schedule
from governess.cli.run.sources import Command, Plan
from governess.subprocess._results import terminal_hint

__all__ = ["Settings", "execute"]

MOST_FAILED = 101
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
    timeout: float | None = None
    """How many seconds each command may run; None for no limit."""
    grace: float = 5.0
    """Seconds between TERM and KILL, when a command is ended."""
    halt: Halt = Halt.NEVER
    """What is done after a failure."""
    keep_order: bool = False
    """Whether output is written in the order of the commands."""
    tty: bool = False
    """Whether each command has the terminal, one after the other."""


async def execute(plan: Plan, settings: Settings) -> int:
    """Run every command, in the running loop, and give the exit status."""
    return await _Execution(plan, settings).run()


class _Execution:
    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._plan = plan
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._schedule = Schedule(plan.arguments, plan.total, settings.halt)
        self._writer = Writer(self._tell_broken)
        self._delivery = Delivery(self._writer, self._keeping_failed, keep_order=settings.keep_order)
        self._tally = Tally()
        self._running: set[Job] = set()
        self._starting = 0
        self._fd_waiters: deque[asyncio.Future[None]] = deque()
        self._complaints: set[str] = set()
        self._is_ending = False
        self._may_start = True
        self._stopping: asyncio.Task[None] | None = None
        self._grace = settings.grace
        self._status: int | None = None
        self._terminal = stderr_is_terminal()
        self._has_bar = self._terminal and not settings.tty
        kind = Bar if self._has_bar else Lines
        self._progress: Progress = kind(self._writer, plan.total, self._state)

    async def run(self) -> int:
        started = self._loop.time()
        with self._signals():
            slots = range(1, min(self._settings.slots, self._plan.total) + 1)
            workers = [self._loop.create_task(self._work(slot)) for slot in slots]
            ticker = self._loop.create_task(self._tick()) if self._has_bar else None
            try:
                await asyncio.gather(*workers)
            finally:
                if ticker is not None:
                    ticker.cancel()
                await self._end_what_is_left(workers)
            wall = self._loop.time() - started
            self._progress.close()
            await self._until_written()
            if self._status != BROKEN_PIPE:
                self._writer.say(self._report(wall))
                await self._until_written()
        return min(self._tally.failed, MOST_FAILED) if self._status is None else self._status

    def _report(self, wall: float) -> str:
        table = rich_table(self._tally) if self._terminal else plain_table(self._tally, _columns())
        return table + summary(self._tally, self._schedule.not_started, wall)

    async def _work(self, slot: int) -> None:
        while True:
            while (self._writer.is_behind or not self._may_start) and not self._schedule.stopped:
                await asyncio.sleep(0.01)
            taken = self._schedule.take()
            if taken is None:
                return
            number, arguments = taken
            await self._run(number, self._plan.command(arguments, number, slot))

    async def _run(self, number: int, command: Command) -> None:
        job = Job(number, command, self._keeping_failed, self._terminal_missing, foreground=self._settings.tty)
        error = await self._start(job)
        if error is None:
            self._running.add(job)
            if self._is_ending:
                job.end(self._grace)
            outcome = await job.outcome(self._settings.timeout, self._settings.grace)
            self._running.discard(job)
            if self._settings.tty and outcome.code == -signal.SIGINT:
                self._interrupt(signal.SIGINT)  # Ctrl-C has reached the command alone
        elif is_shortage(error) and self._schedule.stopped:
            self._schedule.give_back()
            self._delivery.put(number, job.blocks)
            return
        else:
            self._complain(command, error)
            outcome = job.could_not_start(error)
        self._finished(outcome, job.blocks)

    async def _start(self, job: Job) -> OSError | ValueError | None:
        """Start a job; while descriptors or processes are short, wait for others to end."""
        while True:
            self._starting += 1
            try:
                await job.start()
                return None
            except (OSError, ValueError) as error:
                others = self._starting > 1 or self._running
                if not (is_shortage(error) and others) or self._schedule.stopped:
                    return error
            finally:
                self._starting -= 1
            waiter = self._loop.create_future()
            self._fd_waiters.append(waiter)
            await waiter

    def _relieve(self, count: int) -> None:
        while self._fd_waiters and count:
            self._fd_waiters.popleft().set_result(None)
            count -= 1

    def _finished(self, outcome: Outcome, blocks: Blocks) -> None:
        self._tally.add(outcome)
        if self._schedule.finish(outcome.failed):
            self._end_all()
        self._relieve(len(self._fd_waiters) if self._schedule.stopped else 1)
        self._delivery.put(outcome.number, blocks)
        if self._status != BROKEN_PIPE:
            self._progress.finished(outcome)

    def _state(self) -> tuple[int, int, int]:
        schedule = self._schedule
        return schedule.finished, schedule.failed, schedule.started - schedule.finished

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

    def _terminal_missing(self, job: Job) -> None:
        remedy = "--tty gives each command the terminal, one after the other"
        self._writer.say(f"governess run: {terminal_hint(shown(job.command, 200), job.stop, remedy)}\n")
        job.end(self._grace)

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
        self._may_start = False
        until = self._loop.time() + _FOR_STARTS
        while self._starting and self._loop.time() < until:
            await asyncio.sleep(0.002)
        self._writer.show_bar("")
        self._writer.say("governess run: stopped, and its commands with it; fg continues them\n")
        self._writer.mark().wait(_BEFORE_A_STOP)
        self._signal_all(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._signal_all(signal.SIGCONT)
        self._may_start = True
        self._progress.tick()

    def _signal_all(self, number: int) -> None:
        for job in self._running:
            job.signal(number)

    def _interrupt(self, number: int) -> None:
        if self._status is None:
            self._status = 128 + number
            if (self._running or self._starting) and not self._is_ending:
                name = signal.Signals(number).name
                self._writer.say(f"governess run: {name}: ending what runs; once more to kill it at once\n")
        self._end_all()

    def _end_all(self) -> None:
        self._schedule.stop()
        if self._is_ending:
            self._grace = 0.0  # for those too that are just being started
        self._is_ending = True
        self._relieve(len(self._fd_waiters))
        for job in self._running:
            job.end(self._grace)

    async def _end_what_is_left(self, workers: list[asyncio.Task[None]]) -> None:
        """Leave no child behind, should one of the workers have failed while others start or wait for theirs."""
        left = [worker for worker in workers if not worker.done()]
        if left or self._running:
            self._end_all()
            left += [job.ending for job in self._running if job.ending is not None]
        if left:
            await asyncio.wait(left, timeout=self._settings.grace + 10)

    def _tell_broken(self, error: OSError) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the output any more
            self._loop.call_soon_threadsafe(self._stdout_broke, error)

    def _stdout_broke(self, error: OSError) -> None:
        if error.errno in (errno.EPIPE, errno.EINVAL, errno.ESHUTDOWN, errno.ECONNRESET):
            self._give_up(BROKEN_PIPE, "")
        else:
            self._give_up(2, f"governess run: cannot write to standard output: {error.strerror}\n")

    def _keeping_failed(self, error: OSError) -> None:
        self._give_up(2, f"governess run: cannot keep the output of a command: {error.strerror}\n")

    def _give_up(self, status: int, complaint: str) -> None:
        if self._status is None:
            self._status = status
            if complaint:
                self._writer.say(complaint)
            self._end_all()

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


def _columns() -> int:
    return shutil.get_terminal_size((100, 24)).columns
