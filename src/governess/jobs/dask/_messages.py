"""What goes over the wire between a run and the workers, beside Dask's own messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from governess.jobs._job import Command

__all__ = ["PLUGIN", "Chunk", "Ended", "Event", "Hello", "JobSpec", "Refused", "Returned", "Started"]

# The name of the plugin on a worker, and the prefix of the handlers that it adds there.
PLUGIN = "governess"


class Hello(NamedTuple):
    """What a worker tells of itself.

    Attributes:
        incarnation: differs from that of every other worker, also of one that had the same address.
        host: the name of its machine.
        boot: the boot id of its machine; "" if the system has none.
        threads: how many tasks it runs at once.
        memory: how much memory its tasks may use, in bytes; 0 if that is not known.
        resources: the resources that it declares.
        versions: those of Python, governess and distributed, by name.
        ending: how many jobs it is ending, since their run is gone.
    """

    incarnation: str
    host: str
    boot: str
    threads: int
    memory: int
    resources: Mapping[str, float]
    versions: Mapping[str, str]
    ending: int = 0


class JobSpec(NamedTuple):
    """One try of a job, as a worker needs to know it.

    Attributes:
        key: the key of its task.
        run: which connection of which run it belongs to.
        incarnation: the worker that may run it.
        command: what is run.
        cwd: its folder.
        env: what is added to the environment of the worker.
        stdin: what it reads.
        files: the files that it writes to; None to send what it writes.
        nice: what is added to the niceness.
        grace: seconds between TERM and KILL if the worker has to end it.
        memory: bytes that its processes may use together; None for no limit.
        tokens: how many of the worker's tokens of each name it takes.
        is_noted: whether its start is told at once.
    """

    key: str
    run: str
    incarnation: str
    command: Command
    cwd: str
    env: Mapping[str, str]
    stdin: bytes | Path | None
    files: tuple[str, str] | None
    nice: int
    grace: float
    memory: int | None
    tokens: Mapping[str, int]
    is_noted: bool


class Started(NamedTuple):
    """A job runs as a process of its worker's machine; it has begun `age` seconds before this is sent."""

    key: str
    pid: int
    begun: float
    age: float = 0.0


class Refused(NamedTuple):
    """A job could not be started."""

    key: str
    errno: int | None
    text: str
    filename: str | None


class Chunk(NamedTuple):
    """What a job has written to its descriptor `fd`."""

    key: str
    fd: int
    data: bytes


class Ended(NamedTuple):
    """A job has ended.

    Attributes:
        key: the key of its task.
        exit: how, as an `Exit`; None if it could not be ended.
        usage: what `usage_of_exit` tells over there.
        duration: how many seconds it took.
        over_memory: whether it was ended since it used too much memory.
    """

    key: str
    exit: int | None
    usage: Mapping[str, Any]
    duration: float
    over_memory: bool


class Returned(NamedTuple):
    """A job does not run here any more, or never has: the worker closes, or was told to give it back."""

    key: str
    was_started: bool


Event = Started | Refused | Chunk | Ended | Returned
