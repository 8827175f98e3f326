"""Running all commands of a plan by the job runner: what is shown meanwhile, and what interrupts them."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Collection
from dataclasses import dataclass, field

from governess.cli.run.caught import caught_signals
from governess.cli.run.display import Display, is_pipe
from governess.cli.run.inputs import Plan
from governess.cli.run.item_jobs import ItemJobs
from governess.cli.run.job_file import FilePlan
from governess.cli.run.joblog import JobLog
from governess.cli.run.outcome import shown
from governess.cli.run.output import Writer
from governess.cli.run.pager import until_pager_has_ended
from governess.cli.run.results import Results
from governess.cli.run.show import Show
from governess.jobs import Attempt, Command, Engine, Halt, JobOptions, JobResult, Journal, Output, Summary
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
    """How many commands run at once; 0 for as many as the engine takes."""
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
    show: Show = field(default_factory=Show)
    """What of the run is shown, and how."""
    folder: str | None = None
    """In which folder they run; None for that of this process."""
    joblog: JobLog | None = None
    """Where a line is written for each command that has ended; None for nowhere."""
    results: Results | None = None
    """Where they write into; None for our outputs."""
    engine: Engine | None = None
    """What runs them; None for this machine."""
    tty: bool = False
    """Whether each command has the terminal, one after the other."""


async def execute(plan: Plan | FilePlan, settings: Settings) -> int:
    """Run every command, in the running loop, and give the exit status."""
    return await _Execution(plan, settings).run()


class _Execution(Observer):
    def __init__(self, plan: Plan | FilePlan, settings: Settings) -> None:
        self._plan = plan
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(self._tell_broken, self._relieve_soon)
        self._display = Display(plan, settings.show, self._writer, self._state, self.keeping_failed, tty=settings.tty)
        self._complaints: set[str] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._waiting_for_pager: asyncio.Task[None] | None = None
        self._interrupted = False
        self._status: int | None = None
        self._stdout_is_pipe = is_pipe(1)
        if isinstance(plan, FilePlan):
            jobs = plan.jobs
        else:
            jobs = JobPlan(ItemJobs(plan, settings.folder), total=plan.total)
        run_settings = RunSettings(
            settings.slots, settings.options, settings.halt, settings.pools, (*settings.gates, _Behind(self._writer))
        )
        self._jobs = jobs
        self._run_settings = run_settings
        self._runner: Runner

    async def run(self) -> int:
        journal = self._settings.journal
        self._runner = await make_runner(
            self._jobs, self._run_settings, self, engine=self._settings.engine, journal=journal
        )
        self._writer.start()
        if count := self._runner.adopted:
            still = "1 command still runs" if count == 1 else f"{count} commands still run"
            self._writer.say(f"governess run: {still} from the earlier run, and will not be started again\n")
        if journal is not None and journal.warning:
            self._writer.say(f"governess run: {journal.warning}\n")
        for warning in self._plan.warnings:
            self._writer.say(f"governess run: {warning}\n")
        # With --tty it stops us as it stops a program without handlers: Foreground does the rest.
        stop = None if self._settings.tty else self._stop_soon
        with caught_signals(self._loop, self._interrupt, stop):
            ticks = self._display.ticks or self._stdout_is_pipe
            ticker = self._loop.create_task(self._tick()) if ticks else None
            try:
                found = await self._runner.run()
            finally:
                if ticker is not None:
                    ticker.cancel()
            self._display.close()
            await self._until_written()
            if self._status != BROKEN_PIPE and (report := self._display.report(found.duration)):
                if self._stdout_is_pipe:
                    self._waiting_for_pager = self._loop.create_task(until_pager_has_ended())
                    await asyncio.wait((self._waiting_for_pager,))
                self._writer.say(report)
                await self._until_written()
        return found.exit_status if self._status is None else self._status

    def output(self, attempt: Attempt) -> Output:
        if self._settings.results is not None:
            try:
                return self._settings.results.files(attempt)
            except OSError as error:
                self.keeping_failed(error)
        return self._display.output(attempt)

    def started(self, attempt: Attempt) -> None:
        self._display.started(attempt)

    def retrying(self, attempt: Attempt, result: JobResult, pause: float) -> None:
        self._display.ended(attempt, runs_again=True)

    def could_not_start(self, attempt: Attempt, error: OSError | ValueError) -> None:
        self._complain(attempt.command, error)

    def lacks_terminal(self, attempt: Attempt) -> None:
        assert attempt.running is not None
        remedy = "--tty gives each command the terminal, one after the other"
        self._writer.say(f"governess run: {terminal_hint(shown(attempt.command, 200), attempt.running.stop, remedy)}\n")

    def abandoned(self, attempt: Attempt) -> None:
        self._display.ended(attempt)

    def finished(self, result: JobResult, attempt: Attempt | None) -> None:
        if self._settings.tty and result.code == -signal.SIGINT:
            self._interrupt(signal.SIGINT)  # Ctrl-C has reached the command alone
        if attempt is not None and not result.from_journal:
            self._log(result, attempt)
        self._display.finished(result, attempt, is_shown=self._status != BROKEN_PIPE)

    def already(self, number: int, succeeded: bool) -> None:
        self._display.already(number)

    def _log(self, result: JobResult, attempt: Attempt) -> None:
        try:
            if self._settings.results is not None and self._settings.journal is not None:
                self._settings.results.keep(attempt)
            if self._settings.joblog is not None:
                self._settings.joblog.write(result, attempt)
        except OSError as error:
            self.keeping_failed(error)

    def _state(self) -> tuple[Summary, Collection[Attempt]]:
        found = self._runner.summary
        found.total = self._plan.total
        return found, self._runner.running

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._display.tick()
            if self._stdout_is_pipe and self._status is None and _has_no_reader(1):
                self._give_up(BROKEN_PIPE, "")

    def _complain(self, command: Command, error: OSError | ValueError) -> None:
        program = command if isinstance(command, str) else command[0]
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if reason == "embedded null byte":
            reason = "an argument holds NUL, which no program can get; for input that ends with NUL there is -0"
        complaint = f"governess run: cannot run {shown((program,), 200)}: {reason}\n"
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            self._writer.say(complaint)

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
        self._display.tick()

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
        if self._waiting_for_pager is not None and number != signal.SIGINT:  # which a pager takes for itself
            self._waiting_for_pager.cancel()

    def _relieve_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._display.relieve)

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
        left = 2.0
        while not written.is_set() and left > 0:
            await asyncio.sleep(0.02)
            if self._status is not None:
                left -= 0.02
        await asyncio.sleep(0)  # lets _stdout_broke() run


class _Behind:
    """Holds starts back while too much output waits to be written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def pause(self, now: float, running: int) -> float:
        return 0.01 if self._writer.is_behind else 0.0

    def started(self, now: float) -> None:
        pass


def _has_no_reader(descriptor: int) -> bool:
    """Return whether nobody can read any more what is written to a pipe."""
    import select

    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))
