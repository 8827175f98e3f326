"""What can happen to a copy of a service: one table of states and events, without I/O.

| state                      | event   | next state | because                                              |
|----------------------------|---------|------------|------------------------------------------------------|
| waiting                    | launch  | starting   | what it comes after is ready                         |
| starting                   | prepare | ready      | it can do its work                                   |
| ready                      | sicken  | unhealthy  | its health was refused several times                 |
| unhealthy                  | recover | ready      | its health is good again                             |
| starting, ready, unhealthy | end     | stopping   | a command, or governess itself, ends it              |
| starting, ready, unhealthy, stopping | retry | backoff | it has ended, and is started again after a pause |
| starting, ready, unhealthy, stopping | fail  | failed  | it has failed, and is not started again          |
| starting, ready, unhealthy, stopping | finish | done   | it has ended well, and is not started again      |
| stopping                   | stop    | stopped    | it has ended, and a command has asked for it         |
| stopping                   | wait    | waiting    | it has ended, and is to be started at once           |
| waiting, backoff, failed, done | stop | stopped   | a command has asked for it                           |
| backoff, failed, done, stopped | wait | waiting   | the pause is over, or a command has asked for it     |
"""

from __future__ import annotations

from enum import StrEnum

from governess._programs.transitions import TransitionError, Transitions

__all__ = ["ALIVE", "RESTING", "Event", "State", "TransitionError", "next_state"]


class State(StrEnum):
    """The state of a copy of a service; the value of each member is its name in lower case.

    Attributes:
        WAITING: the copy waits for the services and jobs that come before it.
        STARTING: its process runs, and is not ready yet.
        READY: its process is ready.
        UNHEALTHY: its health check has failed several times.
        STOPPING: its process is being ended.
        STOPPED: a command has ended it.
        BACKOFF: its process has ended, and the copy waits for the next start.
        FAILED: its process has failed, and is not started again.
        DONE: its process has ended successfully, and is not started again.
    """

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    FAILED = "failed"
    DONE = "done"

    @property
    def is_alive(self) -> bool:
        """Whether a copy in this state has a process."""
        return self in ALIVE

    @property
    def is_resting(self) -> bool:
        """Whether a copy stays in this state until there is a command."""
        return self in RESTING


class Event(StrEnum):
    """What happens to a copy of a service."""

    LAUNCH = "launch"
    PREPARE = "prepare"
    SICKEN = "sicken"
    RECOVER = "recover"
    END = "end"
    RETRY = "retry"
    FAIL = "fail"
    FINISH = "finish"
    STOP = "stop"
    WAIT = "wait"


_RUNNING = (State.STARTING, State.READY, State.UNHEALTHY)
ALIVE = frozenset({*_RUNNING, State.STOPPING})
"""States in which a copy has a process."""
RESTING = frozenset({State.STOPPED, State.FAILED, State.DONE})
"""States in which a copy stays until there is a command."""

_TABLE: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.LAUNCH): State.STARTING,
    (State.STARTING, Event.PREPARE): State.READY,
    (State.READY, Event.SICKEN): State.UNHEALTHY,
    (State.UNHEALTHY, Event.RECOVER): State.READY,
    **{(state, Event.END): State.STOPPING for state in _RUNNING},
    **{(state, Event.RETRY): State.BACKOFF for state in ALIVE},
    **{(state, Event.FAIL): State.FAILED for state in ALIVE},
    **{(state, Event.FINISH): State.DONE for state in ALIVE},
    (State.STOPPING, Event.STOP): State.STOPPED,
    (State.STOPPING, Event.WAIT): State.WAITING,
    **{(state, Event.STOP): State.STOPPED for state in (State.WAITING, State.BACKOFF, State.FAILED, State.DONE)},
    **{(state, Event.WAIT): State.WAITING for state in (State.BACKOFF, *RESTING)},
}

next_state = Transitions("service", _TABLE)
"""Returns the state after an event."""
