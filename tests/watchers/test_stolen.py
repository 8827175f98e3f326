"""Three thousand children in sixteen threads, and somebody who reaps them before us."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import governess
from governess import Exit
from governess.children._pidfd import lost_status, open_pidfd
from governess.children._spawn import describe

THREADS, EACH = 16, 188

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextlib.contextmanager
def thief() -> Iterator[None]:
    """A thread that reaps whatever has exited, as fast as it can."""
    over = threading.Event()

    def steal() -> None:
        while not over.is_set():
            try:
                os.waitpid(-1, os.WNOHANG) == (0, 0) and time.sleep(0)
            except ChildProcessError:
                time.sleep(0.001)

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def ignored_sigchld() -> Iterator[None]:
    """SIGCHLD ignored: the kernel reaps every child at its exit."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def run_all(loop_factory: Callable, script: str) -> list[tuple[int, Exit]]:
    """Run the children, eight at once in each thread; their expected and their reported returncodes."""
    found: list[tuple[int, Exit]] = []

    async def one(number: int) -> None:
        process = await asyncio.create_subprocess_exec("sh", "-c", script.format(number % 100))
        found.append((number % 100, await process.wait()))

    async def some() -> None:
        for first in range(0, EACH, 8):
            await asyncio.gather(*(one(number) for number in range(first, min(first + 8, EACH))))

    def thread() -> None:
        with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            runner.run(some())

    with governess.DefaultEventLoopPolicy(loop_factory) as policy:
        threads = [threading.Thread(target=thread) for _ in range(THREADS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert len(found) == THREADS * EACH
    return found


@pytest.mark.parametrize("adversary", [thief, ignored_sigchld])
def test_no_status_is_invented(
    loop_factory: Callable, adversary: Callable, record_property: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    """Of children that exit at once, each reports its true status or that it is lost; nobody waits for ever.

    The pidfds of the native spawner are as old as the children: where the kernel tells of the dead, nobody is lost.
    """
    with adversary():
        found = run_all(loop_factory, "exit {}")
    lost = [exit for _, exit in found if exit.lost]
    assert [(expected, exit) for expected, exit in found if exit != expected and not exit.lost] == []
    print(f"{adversary.__name__}: {len(lost)} of {len(found)} statuses lost")
    if governess_starts_natively() and kernel_tells_of_the_dead():
        assert lost == []


def governess_starts_natively() -> bool:
    return describe() == ("native", "threads outside of Python start children, by clone with a pidfd")


def kernel_tells_of_the_dead() -> bool:
    """Whether PIDFD_INFO_EXIT answers for a child that is reaped, as since Linux 6.15."""
    with subprocess.Popen(["true"]) as process:
        pidfd = open_pidfd(process.pid)
    if pidfd is None:
        return False
    try:
        return lost_status(pidfd) == 0
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("adversary", [thief, ignored_sigchld])
def test_twenty_milliseconds_are_enough(loop_factory: Callable, adversary: Callable) -> None:
    """A child that lives for 20 ms always reports its true status."""
    with adversary():
        found = run_all(loop_factory, "sleep 0.02; exit {}")
    assert [(expected, exit) for expected, exit in found if exit != expected] == []
