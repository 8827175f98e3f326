"""What can happen to a job: one table of states and events, without I/O.

| state       | event           | next state  |                                              |
|-------------|-----------------|-------------|----------------------------------------------|
| waiting     | start           | running     | uses one try                                 |
| waiting     | skip            | skipped     | a job before it has not succeeded            |
| running     | succeed         | done        |                                              |
| running     | fail            | failed      | an exit status, a signal, or no start        |
| running     | time_out        | timeout     |                                              |
| running     | exceed_memory   | memory      | it used more than it had declared            |
| running     | cancel          | cancelled   | the run ended it; gives the try back         |
| running     | interrupt       | interrupted | the run was killed; gives the try back       |
| failed, timeout, memory | retry | waiting    | a try is left                                |
| interrupted, cancelled  | resume | waiting   |                                              |
| failed, timeout, memory, skipped | reset | waiting | by hand: all tries are given back       |
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from governess._programs.transitions import TransitionError, Transitions

__all__ = ["FINAL", "Event", "Progress", "State", "TransitionError", "next_state"]


class State(StrEnum):
    """The state of a job; the value of each member is its name in lower case.

    Attributes:
        WAITING: the job waits for its first start or for another try.
        RUNNING: the job runs.
        DONE: the job has succeeded.
        FAILED: the job has failed by its exit status or by a signal, or it could not be started.
        TIMEOUT: the job was ended because its timeout was over.
        MEMORY: the job was ended because it used more memory than it had declared.
        SKIPPED: the job did not run, because a job that it waits for has not succeeded.
        CANCELLED: the run has ended the job.
        INTERRUPTED: the run was killed while the job ran.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_failure(self) -> bool:
        """Whether the state is a failure of the job itself."""
        return self in _FAILURES


class Event(StrEnum):
    """What happens to a job."""

    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    TIME_OUT = "time_out"
    EXCEED_MEMORY = "exceed_memory"
    RETRY = "retry"
    SKIP = "skip"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    RESUME = "resume"
    RESET = "reset"


_FAILURES = frozenset({State.FAILED, State.TIMEOUT, State.MEMORY})
FINAL = frozenset({State.DONE, State.SKIPPED}) | _FAILURES
"""States in which a job stays, unless it is tried again."""

_TABLE: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.START): State.RUNNING,
    (State.WAITING, Event.SKIP): State.SKIPPED,
    (State.RUNNING, Event.SUCCEED): State.DONE,
    (State.RUNNING, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.TIME_OUT): State.TIMEOUT,
    (State.RUNNING, Event.EXCEED_MEMORY): State.MEMORY,
    (State.RUNNING, Event.CANCEL): State.CANCELLED,
    (State.RUNNING, Event.INTERRUPT): State.INTERRUPTED,
    (State.INTERRUPTED, Event.RESUME): State.WAITING,
    (State.CANCELLED, Event.RESUME): State.WAITING,
    (State.SKIPPED, Event.RESET): State.WAITING,
    **{(failure, event): State.WAITING for failure in _FAILURES for event in (Event.RETRY, Event.RESET)},
}

_GIVES_TRY_BACK = frozenset({Event.CANCEL, Event.INTERRUPT})

next_state = Transitions("job", _TABLE)
"""Returns the state after an event."""


class Progress(NamedTuple):
    """The state of a job, and how many of its tries are used."""

    state: State = State.WAITING
    tries: int = 0

    def after(self, event: Event, max_tries: int) -> Progress:
        """Return the progress after an event.

        Raises:
            TransitionError: the event cannot happen in this state, or no try is left.
        """
        state, tries = next_state(self.state, event), self.tries
        if event is Event.START:
            tries += 1
        elif event in _GIVES_TRY_BACK:
            tries -= 1
        elif event is Event.RESET:
            tries = 0
        elif event is Event.RETRY and tries >= max_tries:
            raise TransitionError(f"a job with {max_tries} tries has used {tries}, and cannot {event}")
        return Progress(state, tries)
