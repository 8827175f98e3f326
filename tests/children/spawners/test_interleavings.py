"""Starts that are given up in every state: no child, no descriptor and no hang is left.

A child whose stdin is a FIFO stays between spawned and exec until the test opens the other end.
"""

import asyncio
import gc
import os
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from governess.children import _pidfd as pidfd
from governess.children._spawn import Spawner, blocking, popen
from governess.children._spawn import spawner as spawner_in_use
from governess.children._spawn.command import Command, Spawned
from spawning import command, end, spawned, spawner_by

PIPE = subprocess.PIPE
PIPES = {"stdout": PIPE, "stderr": PIPE}
# How many starts of a loop can be on their way at a time (native/spawn/pool.h): more wait in the queue.
THREADS = 64


@pytest.fixture(params=["clone with a pidfd"])
def stoppable(request: pytest.FixtureRequest):
    """The native spawner where it can kill a child that has not exec'ed."""
    with spawner_by(request.param) as spawner:
        yield spawner


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(task.read_text().split())
    return found


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_cancelled_while_starting(stoppable: Spawner, fifo: Path, loop_factory: Callable) -> None:
    """A child that has not exec'ed yet is killed and reaped by the cancel; the next start is served."""

    async def main() -> None:
        before = children()
        tasks = [asyncio.create_task(stoppable.spawn(command(["cat"], stdin=fifo, **PIPES))) for _ in range(20)]
        await until(lambda: len(children() - before) >= 4)  # the others are queued
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*tasks, return_exceptions=True)
        )
        await until(lambda: children() == before)
        assert end((await stoppable.spawn(command(["true"]))).claim()).returncode == 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_cancelled_in_the_queue(native: Spawner, fifo: Path, loop_factory: Callable) -> None:
    """What waits in the queue is dropped by the cancel; those before it go on."""

    async def main() -> None:
        before = children()
        first = [asyncio.create_task(native.spawn(command(["cat"], stdin=fifo, stdout=PIPE))) for _ in range(THREADS)]
        await until(lambda: len(children() - before) == THREADS)
        queued = asyncio.create_task(native.spawn(command(["touch", fifo.parent / "made"], **PIPES)))
        await asyncio.sleep(0)
        queued.cancel()
        with pytest.raises(asyncio.CancelledError):
            await queued
        with open(fifo, "w"):
            spawned = [spawned.claim() for spawned in await asyncio.gather(*first)]
        assert [end(spawned).returncode for spawned in spawned] == [0] * THREADS
        assert not (fifo.parent / "made").exists()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_cancelled_when_it_is_done(spawner: Spawner, loop_factory: Callable) -> None:
    """A child that lives, but whose start has not been taken yet, is killed and reaped."""

    async def main() -> None:
        before = children()
        task = asyncio.create_task(spawner.spawn(command(["sleep", "600"], **PIPES)))
        await asyncio.sleep(0)
        patience = time.monotonic() + 10
        while not any(is_sleep(pid) for pid in children() - before):  # without the loop, which would take it
            assert time.monotonic() < patience
            time.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: children() == before)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def is_sleep(pid: str) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    return False


def test_cancelled_at_any_time(spawner: Spawner, loop_factory: Callable) -> None:
    """Wherever the cancel falls, each start ends in a child that somebody has, or in none."""

    async def one(number: int) -> None:
        task = asyncio.create_task(spawner.spawn(command(["sleep", "600"], stdin=PIPE, **PIPES)))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 2:
            await asyncio.sleep(number * 0.00005)
        task.cancel()
        with suppress(asyncio.CancelledError):
            (await task).discard()

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(100)))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@pytest.mark.parametrize("count", [200, pytest.param(800, marks=pytest.mark.slow)])
def test_killed_at_any_step(stoppable: Spawner, loop_factory: Callable, count: int) -> None:
    """A child killed between spawned and exec leaves no lock held that a later child, in the same memory, waits for.

    glibc 2.41 and later has such a lock in sigaction(3).
    """

    async def main() -> None:
        for number in range(count):
            task = asyncio.create_task(stoppable.spawn(command(["true"], start_new_session=True)))
            await asyncio.sleep(0)
            born = time.perf_counter() + number % 50 * 2e-6
            while time.perf_counter() < born:  # a timer of the loop is not that exact
                pass
            task.cancel()
            with suppress(asyncio.CancelledError):
                (await task).discard()
            assert end((await stoppable.spawn(command(["true"]))).claim()).returncode == 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("option", [{"start_new_session": True}, {"process_group": 0}], ids=str)
def test_dropped_with_its_group(spawner: Spawner, loop_factory: Callable, option: dict) -> None:
    """Of a spawned that nobody takes, what the child has started by then is killed too."""

    async def main() -> int:
        dropped = await spawner.spawn(command(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=PIPE, **option))
        os.set_blocking(dropped.pipes[1], True)
        member = os.pidfd_open(int(os.read(dropped.pipes[1], 20)))
        dropped.discard()
        return member

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        member = runner.run(main())
    assert pidfd.has_exited(member, 10)
    os.close(member)


@pytest.mark.parametrize("watched", [False, True], ids=["plain", "watched"])
def test_loop_closed_while_starting(stoppable: Spawner, fifo: Path, loop_factory: Callable, watched: bool) -> None:
    """A loop that is closed, and whose tasks are dropped, takes the children in the making with it."""
    import governess

    before = children()
    loop = (governess.watched(loop_factory) if watched else loop_factory)()
    coroutine = stoppable.spawn(command(["cat"], stdin=fifo, **PIPES))
    loop.run_until_complete(some_steps(coroutine, lambda: len(children() - before) == 1))
    loop.close()
    coroutine.close()
    del coroutine
    wait_until(lambda: children() == before)


def test_slow_execs_do_not_hold_up_others(native: Spawner, fifo: Path, loop_factory: Callable) -> None:
    """Behind more slow starts than there are processors, a quick one comes to its end before them."""

    async def main() -> None:
        slow = [asyncio.create_task(native.spawn(command(["true"], stdin=fifo))) for _ in range(10)]
        quick = await native.spawn(command(["true"]))
        assert not any(task.done() for task in slow)
        writer = os.open(fifo, os.O_RDWR)
        spawned = await asyncio.gather(*slow)
        os.close(writer)
        assert {end(spawned.claim()).returncode for spawned in (quick, *spawned)} == {0}

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def some_steps(coroutine, condition: Callable[[], bool]) -> None:
    coroutine.send(None)
    await until(condition)


def wait_until(condition: Callable[[], object]) -> None:
    patience = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.001)


def test_loop_dropped_while_starting(stoppable: Spawner, fifo: Path) -> None:
    """A loop that nobody holds any more is garbage, in spite of its starts, and their children are killed."""
    before = children()
    loop = asyncio.SelectorEventLoop()
    coroutine = stoppable.spawn(command(["cat"], stdin=fifo, **PIPES))
    loop.run_until_complete(some_steps(coroutine, lambda: len(children() - before) == 1))
    reference = weakref.ref(loop)
    del coroutine, loop
    with pytest.warns(ResourceWarning):
        gc.collect()
    assert reference() is None
    wait_until(lambda: children() == before)


def test_child_forked_while_starting(stoppable: Spawner, fifo: Path) -> None:
    """A process that is forked meanwhile starts children of its own, and neither kills nor takes its parent's."""

    async def main() -> None:
        before = children()
        waiting = asyncio.create_task(stoppable.spawn(command(["cat"], stdin=fifo, stdout=PIPE)))
        await until(lambda: len(children() - before) == 1)
        pid = os.fork()
        if pid == 0:
            forked_child()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        fifo.write_text("text")
        assert end((await waiting).claim()) == (0, b"text", b"")

    def forked_child() -> None:
        signal.alarm(20)
        try:
            asyncio.events._set_running_loop(None)
            ok = end(spawned(stoppable, ["echo", "a"], stdout=PIPE)) == (0, b"a\n", b"")
            links = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
            os._exit(0 if ok and not any("pidfd" in link for link in links) else 1)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(2)

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads is what this is about
        asyncio.run(main())


def test_many_loops_at_once(spawner: Spawner, loop_factory: Callable) -> None:
    """Loops in several threads start children at the same time, and each gets its own."""
    wrong: list[object] = []

    async def one(name: str) -> None:
        born = (await spawner.spawn(command(["echo", name], stdout=PIPE))).claim()
        found = await asyncio.to_thread(end, born)
        if found != (0, f"{name}\n".encode(), b""):
            wrong.append((name, found))

    async def some(thread: int) -> None:
        for first in range(0, 24, 8):
            await asyncio.gather(*(one(f"{thread}/{number}") for number in range(first, first + 8)))

    def run(thread: int) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(some(thread))

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_observers_exception_loses_no_child(native: Spawner) -> None:
    """A child is handed over though an observer of spawned raises what nobody catches."""
    from governess.children._registry import observe

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        nonlocal task
        task = asyncio.create_task(native.spawn(command(["true"])))
        await task

    task: asyncio.Task = None
    loop = asyncio.SelectorEventLoop()
    with observe(on_spawn=interrupt), pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())
    born = loop.run_until_complete(asyncio.wait_for(task, 10)).claim()
    assert end(born).returncode == 0
    loop.run_until_complete(asyncio.sleep(0))
    for each in asyncio.all_tasks(loop):
        each.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(each)
    loop.close()


def test_preexec_fn_runs_on_the_loops_thread() -> None:
    """preexec_fn is Python of the caller's, and Popen runs it in a fork of the caller's thread."""
    read, write = os.pipe()
    try:

        def tell() -> None:
            os.write(write, str(threading.get_ident()).encode())

        async def main() -> None:
            end((await spawner_in_use().spawn(command(["true"], preexec_fn=tell))).claim())

        asyncio.run(main())
        assert int(os.read(read, 100)) == threading.get_ident()
        with pytest.raises(NotImplementedError):
            blocking.start(command(["true"], preexec_fn=tell, nice=1))
    finally:
        os.close(read)
        os.close(write)


def test_descriptor_closed_by_a_cancelled_caller(monkeypatch: pytest.MonkeyPatch, loop_factory: Callable) -> None:
    """The helper thread of a cancelled start does not write into the file that has the number of a closed one."""
    cancelled, over = threading.Event(), threading.Event()
    start = blocking.start

    def late(asked: Command) -> Spawned:
        assert cancelled.wait(10)
        try:
            return start(asked)
        finally:
            over.set()

    async def main() -> bytes:
        before = children()
        reading, writing = os.pipe()
        task = asyncio.create_task(popen.spawn(command(["echo", "lost"], stdout=writing)))
        await asyncio.sleep(0.01)  # until the thread is there
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other = os.pipe()
        os.dup2(other[1], writing, inheritable=False)
        os.close(other[1])
        cancelled.set()
        await until(over.is_set)
        await until(lambda: not children() - before)
        os.close(reading)
        os.close(writing)
        with open(other[0], "rb") as file:
            return file.read()

    monkeypatch.setattr(popen, "start", late)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == b""


def test_failed_child_that_others_reap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that could not exec, and that other code has reaped, is not waited for again by the next Popen."""
    waitpid = os.waitpid

    def too_late(pid: int, options: int) -> tuple[int, int]:
        waitpid(pid, options)
        raise ChildProcessError

    monkeypatch.setattr(os, "waitpid", too_late)
    monkeypatch.setattr(subprocess, "_waitpid", too_late, raising=False)
    before = list(subprocess._active or ())
    with spawner_by("popen") as popen_spawner, pytest.raises(FileNotFoundError):
        spawned(popen_spawner, ["/missing/program"])
    gc.collect()
    assert list(subprocess._active or ()) == before


def test_error_that_nobody_receives(caplog: pytest.LogCaptureFixture, loop_factory: Callable) -> None:
    """The error of a start whose caller is thrown away with its closed loop is not logged as one never retrieved."""
    asked = command(["/missing/program"])

    def throw_away() -> None:
        loop = loop_factory()
        outcome = loop.create_future()
        popen._Task(asked, loop, outcome)._failed(FileNotFoundError())
        loop.close()

    throw_away()
    gc.collect()
    assert caplog.records == []
