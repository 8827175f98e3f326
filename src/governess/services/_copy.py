"""One copy of a service: a task that brings it from state to state, and the commands that interrupt it."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum

from governess.services._events import ServiceEvent
from governess.services._process import ServiceProcess
from governess.services._restarts import Deaths, Restart
from governess.services._service import Service
from governess.services._states import Event, State, next_state
from governess.services._watched import Host, WatchedProcess
from governess.services._words import again_text, end_text

__all__ = ["Copy"]

logger = logging.getLogger("governess")


class _Goal(Enum):
    RUN = 1
    STOP = 2
    REST = 3  # in a state that only a command changes


class Copy:
    """A copy of a service.

    Attributes:
        service: what is run.
        number: its number among the copies, from 1.
        state: its state.
        text: what was told of it last.
        code: how its last process ended: an exit status, or minus the number of a signal; None before.
        starts: how often it was started.
        started: when it was started last, by the clock of the loop.
        is_last: whether it is not started again when it ends by itself.
    """

    def __init__(self, service: Service, number: int, host: Host) -> None:
        """Be stopped; `start` starts it."""
        self.service = service
        self.number = number
        self.state = State.STOPPED
        self.text = "is stopped"
        self.code: int | None = None
        self.starts = 0
        self.started = 0.0
        self.is_last = False
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._goal = _Goal.REST
        self._poke = asyncio.Event()
        self._is_replaced = asyncio.Event()
        self._is_asked = False
        self._is_removed = False
        self._why = ""
        self._due = 0.0
        self._deaths = Deaths()
        self._process: WatchedProcess | None = None
        self._life: asyncio.Task[str] | None = None
        self._task = self._loop.create_task(self._run(), name=f"governess service {self.name}")

    @property
    def name(self) -> str:
        """Its name, such as `web.1`."""
        return f"{self.service.name}.{self.number}"

    @property
    def pid(self) -> int | None:
        """The number of its process; None if it has none."""
        process = self._running
        return None if process is None else process.pid

    @property
    def deaths(self) -> int:
        """How often it has died since it was stable."""
        return self._deaths.in_row

    @property
    def is_satisfied(self) -> bool:
        """Whether what comes after it may start."""
        if self.service.job:
            return self.state is State.DONE
        return self.state is State.READY

    @property
    def is_stopped_by_command(self) -> bool:
        """Whether a command has stopped it, or is about to."""
        return self._goal is _Goal.STOP or self.state is State.STOPPED

    def replace(self, service: Service) -> None:
        """Have it run another form of its service, from its next start on; its limits change at once."""
        self.service = service
        self._is_replaced.set()

    async def replaced(self) -> None:
        """Wait for the next `replace`."""
        self._is_replaced.clear()
        await self._is_replaced.wait()

    def start(self) -> None:
        """Start it, now, unless it runs."""
        if self._is_removed:
            return
        self.is_last = False
        if self._goal is _Goal.RUN and (self.state.is_alive and self.state is not State.STOPPING):
            return
        is_late = self._goal is _Goal.STOP and self.state is not State.STOPPING
        self._goal = _Goal.RUN
        self._host.events.wake()  # for those who wait for it to stop
        if self.state is State.WAITING and self._life is not None:
            return
        self._is_asked = True
        if self.state.is_resting and self._life is None:
            self.move(Event.WAIT)
        if self.state is State.BACKOFF or is_late:
            self._interrupt()
        self._poke.set()

    async def stop(self, why: str = "") -> None:
        """Stop it, and wait until it is gone, or until another command wants it to run."""
        if self._task.done():  # it was removed
            return
        if self._goal is not _Goal.STOP:
            self._goal, self._why = _Goal.STOP, why
            self._interrupt()
        while self._goal is _Goal.STOP:
            await self._host.events.changed()

    async def restart(self, why: str = "") -> None:
        """Stop it if it runs, start it, and wait until the process that it has now is gone."""
        if self._is_removed:
            return
        process = self._running
        self.is_last = False
        self._goal, self._why = _Goal.RUN, why
        if self.state is not State.WAITING:
            self._is_asked = True
            self._interrupt()
        self._host.events.wake()
        while process is not None and self._running is process:
            await self._host.events.changed()

    async def remove(self) -> None:
        """Stop it for ever."""
        self._is_removed = True
        if not self.state.is_resting or self._goal is not _Goal.REST:
            await self.stop("removed")
        self._poke.set()
        await asyncio.wait((self._task,))

    def hurry(self) -> None:
        """Kill it now if it is being ended."""
        if (process := self._running) is not None:
            process.hurry()

    def signal(self, number: int) -> bool:
        """Send a signal to its process and the group of that; return whether anybody has got it."""
        process = self._running
        return process is not None and process.signal(number)

    @property
    def _running(self) -> ServiceProcess | None:
        return None if self._process is None else self._process.process

    def _interrupt(self) -> None:
        if self._life is not None:
            self._life.cancel()
        self._poke.set()

    def move(self, event: Event, text: str = "") -> None:
        """Come to the state that follows, and tell it unless the text is empty."""
        self.state = next_state(self.state, event)
        if text:
            self.tell(text)
        else:
            self._host.events.wake()

    def tell(self, text: str, code: int | None = None) -> None:
        """Tell what has happened to it; `code` is how its process has ended."""
        self.text = text
        self._host.events.add(ServiceEvent(self.name, self.state, text, self.pid, code))

    async def _run(self) -> None:
        while True:
            self._poke.clear()
            if self._goal is _Goal.RUN:
                await self._run_once()
            elif self._goal is _Goal.STOP:
                if self.state is not State.STOPPED:
                    self.move(Event.STOP, "is stopped")
                self._goal = _Goal.REST
                self._host.events.wake()
            elif self._is_removed:
                return
            else:
                await self._poke.wait()

    async def _run_once(self) -> None:
        """Have one process, from the pause before it to its end, and decide what comes then."""
        self._is_asked = False
        self._life = life = self._loop.create_task(self._live())
        await asyncio.wait((life,))
        self._life = None
        why = ""
        if not life.cancelled():
            if (error := life.exception()) is not None:
                logger.error("%s", self.name, exc_info=error)
            why = f"cannot be run: {error!r}" if error is not None else life.result()
        if self.state is State.BACKOFF and self._goal is _Goal.RUN:
            self.move(Event.WAIT)
        elif why and not self.state.is_alive:  # a mistake of ours, which is not to be repeated for ever
            self._goal = _Goal.STOP
        elif self.state.is_alive:
            await self._end(why, is_interrupted=life.cancelled())

    async def _live(self) -> str:
        """Return why it is to be ended; "" if it has ended by itself."""
        if self.state.is_resting:
            self.move(Event.WAIT)
        elif self.state is State.BACKOFF:
            await asyncio.sleep(self._due - self._loop.time())
            self.move(Event.WAIT)
        await self._wait_for_others()
        self.move(Event.LAUNCH)
        self.text = "is being started"
        self.started = self._loop.time()
        self.starts += 1
        self._process = process = WatchedProcess(self, self._host)
        return await process.run()

    async def _wait_for_others(self) -> None:
        told = ""
        while blocker := self._host.blocker(self.service):
            if blocker != told:
                told = blocker
                self.tell(f"waits for {blocker}")
            await self._host.events.changed()

    async def _end(self, why: str, *, is_interrupted: bool) -> None:
        """End what is left of its process, and bring it to the state that follows."""
        watched, service = self._process, self.service
        assert watched is not None
        if (process := watched.process) is not None:
            if why or process.exit is None:
                self.move(Event.END, self._end_reason(why))
            elif process.has_others:
                self.move(Event.END, f"{end_text(process.exit)}; what it has started is ended")
            exit = await process.end(service.stop, 0.0 if self._host.is_hurried else service.grace)
            self.code = 255 if exit is None else int(exit)
        elif watched.failed_start is not None:
            self.code = watched.failed_start
        was_ready = 0.0 if watched.ready_at is None else self._loop.time() - watched.ready_at
        watched.close()
        self._process = None
        self._host.process_changed()
        self._decide(why, was_ready, is_interrupted=is_interrupted)

    def _end_reason(self, why: str) -> str:
        if why:
            return why
        word = "is being stopped" if self._goal is _Goal.STOP else "is being restarted"
        return f"{word}: {self._why}" if self._why else word

    def _decide(self, why: str, was_ready: float, *, is_interrupted: bool) -> None:
        if self.is_last and self._goal is _Goal.RUN:
            self._goal = _Goal.STOP
        is_by_command = self._goal is _Goal.STOP or is_interrupted or self._is_asked
        if is_by_command:
            self._deaths.forget()
            if self.state is not State.STOPPING:
                self.move(Event.END)
        if self._goal is _Goal.STOP:
            self.move(Event.STOP)
            self.tell(f"is stopped: {end_text(self.code)}", self.code)
        elif is_by_command:
            self.move(Event.WAIT)
        else:
            self._die(why, was_ready)

    def _die(self, why: str, was_ready: float) -> None:
        service, code = self.service, self.code
        failed = bool(why) or code != 0
        restart = Restart.ON_FAILURE if service.job else Restart(service.restart)
        limit = (service.limit or 1) if service.job else service.limit
        pause = self._deaths.add(was_ready) if failed or restart is Restart.ALWAYS else 0.0
        text = why if why and self.state is not State.STOPPING else end_text(code)
        if restart.applies(1 if failed else 0) and not self._deaths.are_too_many(limit):
            self._due = self._loop.time() + pause
            self.move(Event.RETRY)
            self.tell(f"{text}; {again_text(pause, self._deaths.in_row)}", code)
            return
        self._goal = _Goal.REST
        self.move(Event.FAIL if failed else Event.FINISH)
        times = f", {self._deaths.in_row} times in a row" if self._deaths.in_row > 1 else ""
        self.tell(f"{text}{times}, and is not started again" if failed else text, code)
        self._host.rested(self)
