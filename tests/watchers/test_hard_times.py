"""What happens to the others when something goes wrong: nobody is lost, nobody waits for ever."""

import asyncio
import contextlib
import errno
import gc
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess import (
    Exit,
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
)
from governess.children import Child, adopt, children, end_group
from governess.children import _pidfd as pidfd
from governess.children._reaper import reap_later
from settings import in_thread, run_in, told

KINDS = [PidfdChildWatcher, ThreadedChildWatcher, MultiLoopChildWatcher, SafeChildWatcher, FastChildWatcher]


@pytest.fixture(params=KINDS)
def watcher(request: pytest.FixtureRequest) -> Any:
    watcher = request.param()
    yield watcher
    watcher.close()


def start(*argv: str, **options: Any) -> subprocess.Popen:
    process = subprocess.Popen(argv, **options)
    process.returncode = 0
    return process


def test_held_while_its_watcher_closes(watcher: Any, loop_factory: Callable) -> None:
    """A child whose group is being ended when its watcher is closed is reported."""

    async def main() -> int:
        with watcher:
            child = start("sh", "-c", "trap 'sleep 0.1; exit 3' TERM; echo; while :; do sleep 0.01; done", **quiet)
            exit = await told(watcher, child.pid)
        child.stdout.readline()
        ending = asyncio.create_task(end_group(adopt(child.pid)))
        await asyncio.sleep(0)
        watcher.close()
        await ending
        child.stdout.close()
        return await exit

    quiet = {"stdout": subprocess.PIPE, "process_group": 0}
    assert run_in(loop_factory, main, watcher) == 3


def test_interrupt_in_a_callback(watcher: Any, loop_factory: Callable) -> None:
    """A KeyboardInterrupt that a callback raises loses no other exit: the loop can go on."""
    interrupts: list[int] = []

    def interrupt(pid: int, returncode: int) -> None:
        interrupts.append(pid)
        raise KeyboardInterrupt

    async def main() -> list[int]:
        exits = []
        with watcher:
            crowd = [start("cat", stdin=subprocess.PIPE) for _ in range(8)]
            watcher.add_child_handler(crowd[3].pid, interrupt)
            exits = [await told(watcher, child.pid) for child in crowd if child is not crowd[3]]
        for child in crowd:
            child.stdin.close()
        while not interrupts:
            await asyncio.sleep(0.001)
        return list(await asyncio.gather(*exits))

    with governess.DefaultEventLoopPolicy(loop_factory, watcher=watcher) as policy:
        loop = policy.new_event_loop()
        task = loop.create_task(main())
        with contextlib.suppress(KeyboardInterrupt):
            loop.run_until_complete(task)
        assert loop.run_until_complete(task) == [0] * 7
    assert len(interrupts) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_reaper_survives_whatever_it_is_told() -> None:
    """An observer that raises SystemExit in the reaper's thread does not end the reaper."""

    def leave(child: Any, exit: Exit) -> None:
        raise SystemExit

    first, second = (adopt(start("sleep", "60").pid) for _ in range(2))
    reaped = threading.Event()
    with governess.observe(on_exit=leave):
        reap_later(first)
        first.signal(signal.SIGKILL)
        while first.exit is None:
            first.wait_for_exit(0.01)
    second.subscribe(lambda child, exit: reaped.set())
    reap_later(second)
    second.signal(signal.SIGKILL)
    assert reaped.wait(10)


def test_second_handler_in_another_loop(watcher: Any, loop_factory: Callable) -> None:
    """A handler that replaces one of a loop that does not run any more is called in its own loop."""

    async def begin() -> subprocess.Popen:
        with watcher:
            child = start("cat", stdin=subprocess.PIPE)
            watcher.add_child_handler(child.pid, lambda *_: None)
        return child

    async def go_on() -> int:
        with watcher:
            exit = await told(watcher, child.pid)
        child.stdin.close()
        return await exit

    with governess.DefaultEventLoopPolicy(loop_factory, watcher=watcher) as policy:
        first, second = policy.new_event_loop(), policy.new_event_loop()
        child = first.run_until_complete(begin())
        assert second.run_until_complete(go_on()) == 0


@pytest.mark.parametrize("pid", [0, -1])
def test_pid_that_cannot_be(watcher: Any, loop_factory: Callable, pid: int) -> None:
    """A number that no process has is a ValueError, and the other children are still reported."""

    async def main() -> int:
        with pytest.raises(ValueError, match="positive pid"):
            watcher.add_child_handler(pid, lambda *_: None)
        return await (await asyncio.create_subprocess_exec("sh", "-c", "exit 3")).wait()

    assert run_in(loop_factory, main, watcher) == 3


def test_observer_that_adds_a_handler(watcher: Any, loop_factory: Callable) -> None:
    """An observer of spawned may hand the child to a watcher, also while somebody else does."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        seen = loop.create_future()

        def hand_over(child: Any) -> None:
            if child.adopted:
                child.subscribe(lambda child, exit: loop.call_soon_threadsafe(seen.set_result, exit))
                watcher.add_child_handler(child.pid, lambda *_: None)

        with governess.observe(on_spawn=hand_over), watcher:
            process = start("sh", "-c", "exit 4")
            watcher.add_child_handler(process.pid, lambda *_: None)
        return await seen

    assert run_in(loop_factory, main, watcher) == 4


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_closing_a_loop_takes_nobodys_handler(loop_factory: Callable) -> None:
    """Closing the loop that started a child leaves the handler that somebody else has put in its place."""
    watcher = ThreadedChildWatcher()
    told_of = threading.Event()
    processes = []

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "60")
        processes.append(process)
        in_thread(lambda: watcher.add_child_handler(process.pid, lambda *_: told_of.set()))

    run_in(loop_factory, main, watcher)
    os.kill(processes[0].pid, signal.SIGKILL)
    assert told_of.wait(10)
    watcher.close()


def test_two_watchers_share_sigchld() -> None:
    """Watchers of SIGCHLD may be closed in any order; the last puts back the handler that the first has found."""

    def handler(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGCHLD, handler)
    try:
        first, second = MultiLoopChildWatcher(), MultiLoopChildWatcher()
        first.close()
        assert signal.getsignal(signal.SIGCHLD) != handler
        second.close()
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_made_in_another_thread_beside_one_with_a_handler() -> None:
    """A watcher made in another thread asks for no signal, although there is a handler, and leaves none behind."""
    first = MultiLoopChildWatcher()
    second = in_thread(MultiLoopChildWatcher)
    first.close()
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    in_thread(second.close)


def test_users_own_signal_handler_stays() -> None:
    """A user's loop.add_signal_handler(SIGCHLD) is called beside an attached watcher, and stays after it."""
    calls = []

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, calls.append, 1)
        watcher.attach_loop(loop)
        process = await asyncio.create_subprocess_exec("true")
        exit = await process.wait()
        watcher.close()
        os.kill(os.getpid(), signal.SIGCHLD)
        await asyncio.sleep(0.01)
        loop.remove_signal_handler(signal.SIGCHLD)
        return exit

    watcher = SafeChildWatcher()
    assert run_in(asyncio.SelectorEventLoop, main, watcher) == 0
    assert len(calls) >= 2


def test_plain_loop_does_not_grow() -> None:
    """Many children one after the other, by hand in a plain loop, leave nothing behind in it."""
    import weakref

    async def main() -> int:
        before = len(weakref.finalize._registry)
        for _ in range(20):
            with watcher:
                exit = await told(watcher, start("true").pid)
            await exit
        return len(weakref.finalize._registry) - before

    watcher = PidfdChildWatcher()
    assert asyncio.run(main()) <= 0


def test_loop_without_add_reader(loop_factory: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a loop that has no add_reader, children are waited for in threads."""

    async def main() -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
        return await process.wait()

    class NoReaders(asyncio.SelectorEventLoop):
        def add_reader(self, *_: object) -> None:
            raise NotImplementedError

    assert run_in(NoReaders, main, PidfdChildWatcher()) == 3


def test_cancelled_start_closes_its_pipes(loop_factory: Callable) -> None:
    """A start that is cancelled while its pipes are connected closes them, without the help of the collector."""

    async def main() -> int:
        await cancel_at_every_turn()  # the loop opens what it keeps
        before = len(os.listdir("/proc/self/fd"))
        await cancel_at_every_turn()
        return len(os.listdir("/proc/self/fd")) - before

    async def cancel_at_every_turn() -> None:
        for turns in range(12):
            task = asyncio.create_task(asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1, stderr=-1))
            while not children() and not task.done():
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                process = await task
            except asyncio.CancelledError:
                pass
            else:
                process.kill()
                await process.communicate()
            while children():
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)

    gc.disable()
    try:
        assert run_in(loop_factory, main) <= 0
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_closing_runs_nobodys_task() -> None:
    """Closing a loop with children runs no task that is pending in it."""
    ran = []

    async def later() -> None:
        ran.append(1)

    async def main() -> None:
        processes.append(await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE))

    processes: list[Any] = []
    with governess.DefaultEventLoopPolicy() as policy:
        loop = policy.new_event_loop()
        loop.run_until_complete(main())
        task = loop.create_task(later())
        loop.close()
    assert ran == []
    task._log_destroy_pending = False
    task.get_coro().close()


def test_closing_a_running_loop_is_refused(loop_factory: Callable) -> None:
    """close() of a running loop is an error, and its children are still watched."""

    async def main() -> int:
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        with pytest.raises(RuntimeError, match="running"):
            asyncio.get_running_loop().close()
        process.stdin.close()
        return await process.wait()

    assert run_in(loop_factory, main) == 0


@pytest.mark.slow
def test_multiloop_under_many_threads() -> None:
    """Loops that come and go in many threads take no exit from each other."""

    async def some() -> list[int]:
        found = []
        for number in range(4):
            process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
            found.append(await asyncio.wait_for(process.wait(), 30))
        return found

    results: list[Any] = []
    watcher = MultiLoopChildWatcher()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with governess.DefaultEventLoopPolicy(watcher=watcher) as policy:

            def run() -> None:
                for _ in range(5):
                    with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
                        results.append(runner.run(some()))

            threads = [threading.Thread(target=run) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
        watcher.close()
    assert results == [[0, 1, 2, 3]] * 60


class FailingPoll:
    """What `select.poll` makes where poll(2) fails."""

    def register(self, *_: int) -> None: ...

    def poll(self, _: float | None) -> list[tuple[int, int]]:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has pidfds")
def test_poll_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without poll(2) a pidfd still tells that its process lives, and that it is reaped."""
    monkeypatch.setattr(select, "poll", FailingPoll)
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    descriptor = os.pidfd_open(pid)
    assert not pidfd.has_exited(descriptor)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert pidfd.has_exited(descriptor, 0.01)
    os.close(descriptor)


def test_error_in_the_waiting_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit of a child whose thread has met with an error is told by the reaper."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    failures = [OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))]
    wait_for_exit = Child.wait_for_exit

    def fail_once(child: Child, timeout: float | None = None) -> bool:
        if failures and timeout is None:
            raise failures.pop()
        return wait_for_exit(child, timeout)

    monkeypatch.setattr(Child, "wait_for_exit", fail_once)

    async def main() -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.1; exit 7")
        return await asyncio.wait_for(process.wait(), 10)

    assert run_in(asyncio.SelectorEventLoop, main, ThreadedChildWatcher()) == 7
    assert failures == []
