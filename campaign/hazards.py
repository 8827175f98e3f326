"""What happens to a process meanwhile: thieves, forks in other threads, closed loops, raising signal handlers."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from campaign.case import BOUND, Verdict
from campaign.hangs import awaited
from governess import DefaultEventLoopPolicy
from governess.subprocess import run

__all__ = ["forks", "run_and_close", "run_and_interrupt", "thief"]


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


def run_and_close(policy: DefaultEventLoopPolicy, main: Coroutine[Any, Any, None], rng: random.Random) -> None:
    """Close the loop while the scenarios run."""
    loop = policy.new_event_loop()
    try:
        task = loop.create_task(main)
        loop.run_until_complete(asyncio.wait([task], timeout=rng.random() * 0.1))
    finally:
        loop.close()


def run_and_interrupt(
    policy: DefaultEventLoopPolicy, main: Coroutine[Any, Any, None], rng: random.Random, verdict: Verdict
) -> bool:
    """Interrupt the scenarios, and end as asyncio.Runner does, but with a bound; return whether the loop stays open.

    An interrupt between two lines of the loop can lose the next step of a task, which then never ends.
    """
    loop = policy.new_event_loop()
    try:
        task = loop.create_task(main)
        with _interrupted(rng, 0.1):
            loop.run_until_complete(task)
        left = _cancel_all(loop)
        verdict.surfaced["a task whose next step an interrupt has lost"] += len(left)
        for task in left:
            if getattr(task, "_fut_waiter", None):
                places = "\n    ".join(awaited(task.get_coro()))
                verdict.problems.append(f"it waits for ever: {task}\n    {places}")
    finally:
        is_stuck = not _close(loop)
        if is_stuck:
            verdict.surfaced["a loop of uvloop that an interrupt has left as running"] += 1
    return is_stuck


def _cancel_all(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    """Cancel the tasks of the loop; return those that are not done after a while."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    while left:
        # A task that was interrupted passes that on to whoever runs the loop.
        with suppress(KeyboardInterrupt):
            return loop.run_until_complete(asyncio.wait(left, timeout=BOUND))[1]
        left = {task for task in left if not task.done()}
    return left


def _close(loop: asyncio.AbstractEventLoop) -> bool:
    """Close the loop; return False if it can never be closed.

    An interrupt in the first lines of uvloop's run, after it has marked the loop as running and before it calls libuv,
    leaves the mark (uvloop/loop.pyx, `__run`).
    """
    try:
        loop.close()
    except RuntimeError:
        is_uvloop = any(kind.__module__.startswith("uvloop") for kind in type(loop).__mro__)
        if not is_uvloop or not loop.is_running():
            raise
        return False
    return True


@contextmanager
def _interrupted(rng: random.Random, within: float) -> Iterator[None]:
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
