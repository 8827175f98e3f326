"""Threads that use one channel at once, which they do in parallel where Python has no GIL."""

import contextlib
import os
import random
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from spawning import _native, needs_extension

pytestmark = needs_extension

THREADS = 6
# What `submit` takes after the key: `true`, as a child with nothing special.
STREAMS, IDENTITY = (-3, -3, -3), (None, -1, -1)
TRUE = (
    ("true",),
    "true",
    "/bin:/usr/bin",
    None,
    None,
    STREAMS,
    True,
    (),
    True,
    False,
    -1,
    *IDENTITY,
    -1,
    -1,
    0,
    0,
    -1,
    (),
)


@pytest.fixture
def keys() -> Iterator[int]:
    """Numbers of starts, each of which is given once, whoever asks."""
    return count()


def test_each_start_is_taken_once(keys: Iterator[int]) -> None:
    """Of the starts of many threads, each has one outcome, whichever threads take them."""
    channel = _native.Channel()
    wanted, together = 20, threading.Barrier(THREADS)

    def start_and_take() -> list[tuple[int, int]]:
        together.wait()
        taken = []
        for _ in range(wanted):
            channel.submit(next(keys), *TRUE)
            taken += take(channel)
        return taken

    taken = at_once(start_and_take)
    while len(taken) < wanted * THREADS:
        assert select.select([channel], [], [], 20)[0]
        taken += take(channel)
    channel.close()
    reap(pid for _, pid in taken)
    assert sorted(key for key, _ in taken) == list(range(wanted * THREADS))


def test_outcomes_of_one_start(keys: Iterator[int]) -> None:
    """Threads that read and release one start at once see the same outcome, or that it is released."""
    channel = _native.Channel()
    for _ in range(50):
        channel.submit(next(keys), *TRUE)
        while (started := channel.take()) is None:
            assert select.select([channel], [], [], 20)[0]
        pids: list[int] = []
        together = threading.Barrier(THREADS)

        def look(started: Any = started, pids: list[int] = pids, together: threading.Barrier = together) -> list[Any]:
            together.wait()
            with contextlib.suppress(ValueError):
                pids.append(started.outcome()[1])
            started.release()
            return []

        pid, pidfd = started.outcome()[1:3]
        at_once(look)
        os.close(pidfd)
        reap([pid])
        assert set(pids) <= {pid}
    channel.close()


def test_descriptor_is_closed_by_close(keys: Iterator[int], preferred: Callable[[], None]) -> None:
    """The descriptor is closed when close() returns, also if the thread that has woken the loop did not go on since."""
    for _ in range(20):
        channel = _native.Channel()
        channel.submit(next(keys), *TRUE)
        preferred()
        assert select.select([channel], [], [], 20)[0]
        taken, descriptor = take(channel), channel.fileno()
        channel.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        reap(pid for _, pid in taken)


@pytest.fixture
def preferred() -> Iterator[Callable[[], None]]:
    """Lets the calling thread run before all others of one processor, from its next wake-up on."""
    processors, policy, parameter = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setaffinity(0, {min(processors)})

    def prefer() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pytest.skip("needs the right to a realtime priority")

    yield prefer
    os.sched_setscheduler(0, policy, parameter)
    os.sched_setaffinity(0, processors)


def test_close_in_the_middle(keys: Iterator[int]) -> None:
    """A channel that one thread closes, while others start, cancel and take, leaves no child and no descriptor."""
    for _ in range(20):
        channel = _native.Channel()
        together = threading.Barrier(THREADS)

        def use(channel: Any = channel, together: threading.Barrier = together) -> list[int]:
            mine = next(keys)
            together.wait()
            pids = []
            with contextlib.suppress(ValueError):  # it is closed
                for key in range(mine * 1000, mine * 1000 + 10):
                    channel.submit(key, *TRUE)
                    if random.random() < 0.5:
                        channel.cancel(key)
                    pids += [pid for _, pid in take(channel)]
                    channel.fileno()
            channel.close()
            return pids

        reap(at_once(use))
        assert _native.finish(20)
        assert channel.fileno() == -1


def at_once(work: Any) -> list[Any]:
    """Call it in all threads; return what each of them has returned, in one list."""
    with ThreadPoolExecutor(THREADS) as threads:
        return [item for found in [threads.submit(work) for _ in range(THREADS)] for item in found.result(60)]


def take(channel: Any) -> list[tuple[int, int]]:
    """Take what is there: the keys and pids."""
    taken = []
    while (started := channel.take()) is not None:
        try:
            outcome = started.outcome()
        except ValueError:  # another thread has taken the last one
            continue
        assert outcome[-1] is None
        started.release()
        os.close(outcome[2])
        taken.append((outcome[0], outcome[1]))
    return taken


def reap(pids: Any) -> None:
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
