"""What happens to a process and its children meanwhile: thieves, raising signal handlers, forks in other threads."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from governess.subprocess import run

__all__ = ["forks", "interrupted", "thief"]


@contextmanager
def thief(library: Path, rng: random.Random) -> Iterator[Callable[[], int]]:
    """Have a thread in C reap children at random; the value tells how many it has reaped, after the block."""
    loaded = ctypes.CDLL(str(library))
    loaded.thief_stop.restype = ctypes.c_ulong
    if loaded.thief_start(ctypes.c_uint(rng.getrandbits(32))) != 0:
        raise OSError("no thread can be had for the thief")
    taken = 0
    try:
        yield lambda: taken
    finally:
        taken = loaded.thief_stop()


@contextmanager
def interrupted(rng: random.Random, within: float) -> Iterator[None]:
    """Raise KeyboardInterrupt from a signal handler once, at a random instant of the block."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0005 + rng.random() * within)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGALRM, before)


@contextmanager
def forks(rng: random.Random, program: str, problems: list[str]) -> Iterator[None]:
    """Fork again and again in another thread; some of the new processes start a child themselves."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(rng.random() * 0.01):
            starts_a_child = rng.random() < 0.2
            pid = _fork()
            if pid == 0:
                _forked(program, starts_a_child)
            try:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            except ChildProcessError:
                continue  # a watcher that reaps every child has been faster
            if status != 0:
                problems.append(f"a forked process (starts a child: {starts_a_child}) ended with {status}")

    thread = threading.Thread(target=work, name="forks")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads beside a fork, which is the point
        return os.fork()


def _forked(program: str, starts_a_child: bool) -> None:
    signal.setitimer(signal.ITIMER_REAL, 20)  # SIGALRM ends it then
    status = 1
    try:
        if starts_a_child:
            exit = asyncio.run(run(program, "exit", "3")).exit
            status = 0 if exit == 3 else 2
        else:
            time.sleep(0)
            status = 0
    finally:
        os._exit(status)
