"""What each watcher is documented to be, beside the promises that all keep."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import governess
from governess import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
)
from governess.children import _registry
from governess.watchers import WATCHERS, _fast, choose_watcher
from settings import in_thread, make_setting, run_in, told


@pytest.fixture
def living() -> Iterator[subprocess.Popen]:
    """A child that lives until its standard input is closed."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    process.returncode = 0
    yield process
    process.stdin.close()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, 0)


class TestThreaded:
    def test_a_thread_a_child(self, loop_factory: Callable) -> None:
        """Each living child has a waiting thread of its own, which ends with it."""

        async def main() -> int:
            before = threading.active_count()
            children = [await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE) for _ in range(5)]
            grown = sum(thread.name.startswith("governess-waitpid") for thread in threading.enumerate())
            assert threading.active_count() >= before
            for child in children:
                child.stdin.close()
                await child.wait()
            return grown

        watcher = ThreadedChildWatcher()
        assert run_in(loop_factory, main, watcher) == 5
        watcher.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("governess-waitpid")]

    def test_needs_no_loop(self) -> None:
        """Without a running loop the callback runs in the thread that has waited."""
        seen, done = [], threading.Event()

        def callback(pid: int, returncode: int) -> None:
            seen.append((returncode, threading.current_thread().name))
            done.set()

        child = subprocess.Popen(["sh", "-c", "exit 2"])
        child.returncode = 0
        watcher = ThreadedChildWatcher()
        with watcher:
            watcher.add_child_handler(child.pid, callback)
        assert done.wait(10)
        watcher.close()
        assert seen == [(2, f"governess-waitpid-{child.pid}")]


class TestPidfd:
    def test_one_epoll_one_reader_no_thread(self, loop_factory: Callable) -> None:
        """Twenty living children cost twenty pidfds and one epoll, no thread and no signal handler."""

        async def main() -> tuple[int, int]:
            first = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
            before = _descriptors()
            for _ in range(50):  # the thread that made the start closes its eventfd after it has told
                await asyncio.sleep(0.002)
                before = min(before, _descriptors())
            threads = threading.active_count()
            children = [await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE) for _ in range(20)]
            patience = time.monotonic() + 5
            while _descriptors() - before > 40 and time.monotonic() < patience:
                await asyncio.sleep(0.001)
            grown = (
                _descriptors() - before,
                sum(thread.name.startswith("governess-waitpid") for thread in threading.enumerate()),
            )
            assert threading.active_count() <= threads + 3  # helpers that start children
            for child in [first, *children]:
                child.stdin.close()
                await child.wait()
            return grown

        assert run_in(loop_factory, main, PidfdChildWatcher()) == (40, 0)  # a pidfd and a pipe each
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL

    def test_epoll_goes_with_the_last_child(self, loop_factory: Callable) -> None:
        """The epoll is there while children live, and closed when wait() of the last one returns."""

        async def main() -> tuple[int, int]:
            before = _epolls()
            for _ in range(3):
                children = [await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE) for _ in range(3)]
                assert _epolls() == before + 1
                for child in children:
                    child.stdin.close()
                    await child.wait()
                assert _epolls() == before
            return before, _epolls()

        before, after = run_in(loop_factory, main, PidfdChildWatcher())
        assert before == after

    def test_plain_loop_keeps_no_descriptor(self) -> None:
        """Added by hand in a plain asyncio loop, the epoll goes with the last child."""

        async def main() -> int:
            before = _descriptors()
            for _ in range(3):
                with watcher:
                    process = subprocess.Popen(["true"])
                    process.returncode = 0
                    exit = await told(watcher, process.pid)
                assert await exit == 0
            return _descriptors() - before

        watcher = PidfdChildWatcher()
        assert asyncio.run(main()) == 0


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _epolls() -> int:
    return _open_files().count("anon_inode:[eventpoll]")


def _open_files() -> list[str]:
    files = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of that listing
            files.append(os.readlink(f"/proc/self/fd/{number}"))
    return files


class TestMultiLoop:
    def test_chains_and_restores_the_handler(self, loop_factory: Callable) -> None:
        """The handler that was found is called too, and put back by close()."""
        heard = []

        def handler(number: int, frame: object) -> None:
            heard.append(number)

        before = signal.signal(signal.SIGCHLD, handler)
        try:
            watcher = MultiLoopChildWatcher()
            assert signal.getsignal(signal.SIGCHLD) != handler

            async def main() -> int:
                return await (await asyncio.create_subprocess_exec("true")).wait()

            assert run_in(loop_factory, main, watcher) == 0
            watcher.close()
            watcher.close()
            assert signal.getsignal(signal.SIGCHLD) is handler
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert set(heard) == {signal.SIGCHLD}

    def test_another_handler_is_left_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        """A handler that was set after the watcher's own stays, with a warning."""
        watcher = MultiLoopChildWatcher()
        signal.signal(signal.SIGCHLD, signal.default_int_handler)
        try:
            watcher.close()
            assert signal.getsignal(signal.SIGCHLD) is signal.default_int_handler
            assert "changed by outside code" in caplog.text
        finally:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def test_made_in_another_thread_it_polls(self, loop_factory: Callable) -> None:
        """Made outside the main thread it sets no handler, and still reports its children."""

        async def main() -> int:
            return await (await asyncio.create_subprocess_exec("sh", "-c", "exit 3")).wait()

        watcher = in_thread(MultiLoopChildWatcher)
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        assert run_in(loop_factory, main, watcher) == 3
        watcher.close()
        assert not watcher.is_active()


@pytest.mark.parametrize("kind", [SafeChildWatcher, FastChildWatcher])
class TestAttached:
    def test_inactive_without_a_running_loop(self, kind: type, loop_factory: Callable, living: Any) -> None:
        """It is active only while its loop runs; without a loop it takes no handler."""
        watcher = kind()
        assert not watcher.is_active()
        with pytest.raises(RuntimeError, match="does not have a loop attached"):
            watcher.add_child_handler(living.pid, print)

        async def main() -> bool:
            return watcher.is_active()

        with governess.DefaultEventLoopPolicy(loop_factory, watcher=watcher) as policy:
            loop = policy.new_event_loop()
            watcher.attach_loop(loop)
            assert not watcher.is_active()
            assert loop.run_until_complete(main())
        assert not watcher.is_active()
        watcher.close()

    def test_attaches_in_the_main_thread_alone(self, kind: type, loop_factory: Callable) -> None:
        """In another thread attaching is a RuntimeError that says why; something else than a loop a TypeError."""
        watcher = kind()
        loop = loop_factory()
        with pytest.raises(RuntimeError, match="main thread"):
            in_thread(lambda: watcher.attach_loop(loop))
        with pytest.raises(TypeError, match="not to 'a loop'"):
            watcher.attach_loop("a loop")
        loop.close()

    def test_detaching_warns_and_loses_none(self, kind: type, loop_factory: Callable, living: Any) -> None:
        """attach_loop(None) with a child to watch warns; the child is reported all the same."""
        watcher = kind()

        async def main() -> int:
            with watcher:
                exit = await told(watcher, living.pid)
            with pytest.warns(RuntimeWarning, match="pending handlers"):
                watcher.attach_loop(None)
            living.stdin.close()
            return await exit

        assert run_in(loop_factory, main, watcher) == 0
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        watcher.close()

    def test_moves_between_loops(self, kind: type, loop_factory: Callable) -> None:
        """One watcher serves one loop after the other, and puts the SIGCHLD handler back each time."""
        watcher = kind()

        async def main() -> int:
            return await (await asyncio.create_subprocess_exec("sh", "-c", "exit 3")).wait()

        with governess.DefaultEventLoopPolicy(loop_factory, watcher=watcher) as policy:
            first, second = policy.new_event_loop(), policy.new_event_loop()
            for loop in (first, second, first):
                assert loop.run_until_complete(main()) == 3
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        watcher.close()

    def test_handler_lost_to_another_library(self, kind: type, loop_factory: Callable) -> None:
        """When somebody else takes the SIGCHLD handler over, the children are reported all the same."""
        watcher = kind()

        async def main() -> int:
            process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            process.stdin.close()
            return await process.wait()

        assert run_in(loop_factory, main, watcher) == 0
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        watcher.close()


class TestFast:
    @pytest.fixture
    def watcher(self) -> Iterator[FastChildWatcher]:
        watcher = FastChildWatcher()
        yield watcher
        watcher.close()

    def test_reaps_strangers(self, watcher: FastChildWatcher, loop_factory: Callable) -> None:
        """It reaps children that nobody handed to it: its documented nature."""

        async def main() -> None:
            stranger = subprocess.Popen(["true"])
            stranger.returncode = 0
            await _reaped(stranger.pid)
            with pytest.raises(ChildProcessError):
                os.waitpid(stranger.pid, 0)

        run_in(loop_factory, main, watcher)

    def test_parks_an_early_exit(self, watcher: FastChildWatcher, loop_factory: Callable) -> None:
        """A child that was reaped inside `with watcher` before its handler came is reported with its status."""
        assert run_in(loop_factory, lambda: _exit_before_its_handler(watcher), watcher) == 8

    def test_handler_is_added_while_the_search_runs(
        self, watcher: FastChildWatcher, loop_factory: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A child that another thread hands over while the search looks at its exit is reported with its status."""
        child = subprocess.Popen(["sh", "-c", "exit 4"])
        child.returncode = 0
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        is_starting, seen, exits, look_up = threading.Event(), threading.Event(), [], _registry.get

        def hand_over() -> None:
            with watcher:
                is_starting.set()
                seen.wait()
                watcher.add_child_handler(child.pid, lambda pid, returncode: exits.append(returncode))

        def look_up_slowly(pid: int) -> object:
            found = look_up(pid)
            if pid == child.pid and threading.current_thread() is threading.main_thread() and not seen.is_set():
                seen.set()
                thread.join(0.2)  # it waits for the lock of the search, or is done
            return found

        async def main() -> None:
            while not exits:
                await asyncio.sleep(0.001)
            thread.join()

        monkeypatch.setattr(os, "pidfd_open", _refuse)  # with a pidfd, Linux 6.15 tells the status of a lost child
        monkeypatch.setattr(_registry, "get", look_up_slowly)
        thread = threading.Thread(target=hand_over)
        thread.start()
        is_starting.wait()
        run_in(loop_factory, main, watcher)
        assert exits == [4]

    def test_exit_is_claimed_while_the_search_runs(
        self, watcher: FastChildWatcher, loop_factory: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A child whose kept exit is being claimed keeps its status when the search asks for it in that moment."""

        def search_meanwhile(pid: int) -> bool:
            monkeypatch.setattr(_fast, "_is_no_child", is_no_child)
            watcher._next_sweep = 0.0
            watcher._sweep_known()
            return is_no_child(pid)

        is_no_child = _fast._is_no_child
        monkeypatch.setattr(_fast, "_is_no_child", search_meanwhile)
        monkeypatch.setattr(os, "pidfd_open", _refuse)
        assert run_in(loop_factory, lambda: _exit_before_its_handler(watcher), watcher) == 8

    def test_forgets_strangers_when_no_start_can_want_them(
        self, watcher: FastChildWatcher, loop_factory: Callable, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A unclaimed exit is kept while a start that began before it is pending, and no longer."""

        async def main() -> None:
            with watcher:
                first = subprocess.Popen(["true"])
                first.returncode = 0
                await _reaped(first.pid)
                later = asyncio.create_task(hold())
                await asyncio.sleep(0)
                assert list(watcher._unclaimed.exits) == [first.pid]
            # The younger start is still pending, but cannot have started that child.
            assert not watcher._unclaimed.exits
            release.set()
            await later

        async def hold() -> None:
            with watcher:
                await release.wait()

        release = asyncio.Event()
        with caplog.at_level(logging.WARNING):
            run_in(loop_factory, main, watcher)
        assert "unknown pid" in caplog.text

    def test_parking_is_bounded(
        self, watcher: FastChildWatcher, loop_factory: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A start that is pending for long keeps a bounded number of strangers' exits."""
        monkeypatch.setattr("governess.watchers._fast.MAX_UNCLAIMED", 3)

        async def main() -> None:
            with watcher:
                for _ in range(6):
                    stranger = subprocess.Popen(["true"])
                    stranger.returncode = 0
                    await _reaped(stranger.pid)
                assert len(watcher._unclaimed.exits) == 3

        run_in(loop_factory, main, watcher)

    def test_parked_exit_is_no_living_childs(self, watcher: FastChildWatcher, loop_factory: Callable) -> None:
        """A stranger's unclaimed exit is not taken for that of a living child with the same number."""

        async def main() -> int:
            with watcher:
                child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
                child.returncode = 0
                watcher._unclaimed.keep(child.pid, governess.Exit(99), True)
                exit = await told(watcher, child.pid)
            await asyncio.sleep(0.01)
            assert not exit.done()
            child.stdin.close()
            return await exit

        assert run_in(loop_factory, main, watcher) == 0


async def _exit_before_its_handler(watcher: FastChildWatcher) -> int:
    """Return what is reported of a child that exits with 8, and is reaped before it gets its handler."""
    with watcher:
        child = subprocess.Popen(["sh", "-c", "exit 8"])
        child.returncode = 0
        await _reaped(child.pid)
        exit = await told(watcher, child.pid)
    return await exit


def _refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def _reaped(pid: int) -> None:
    """Return when the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            await asyncio.sleep(0.001)


class TestNames:
    def test_named(self) -> None:
        """A short name leads to its class, `auto` to the default; a wrong one to an error that lists the others."""
        assert choose_watcher("auto") == choose_watcher()
        assert choose_watcher("threaded").factory is ThreadedChildWatcher
        with pytest.raises(ValueError, match="pidfd, threaded"):
            choose_watcher("nanny")
        with pytest.raises(ValueError, match="kqueue"):
            choose_watcher("kqueue")
        assert "kqueue" in WATCHERS


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_thousand_children(watcher_name: str, loop_factory: Callable) -> None:
    """5,000 children, 64 at once, report 5,000 right statuses, and leave no zombie and no descriptor."""

    async def main() -> None:
        before = _descriptors()
        limit = asyncio.Semaphore(64)

        async def one(number: int) -> None:
            async with limit:
                process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number % 256}")
                assert await process.wait() == number % 256

        await asyncio.gather(*(one(number) for number in range(5000)))
        assert _descriptors() <= before

    setting = make_setting(watcher_name, loop_factory, "main thread")
    setting.run(main)
    setting.watcher.close()


@pytest.mark.slow
def test_shutdown_is_quiet(loop_name: str, watcher_name: str) -> None:
    """A program that ends while children live and start ends at once, and without a word."""
    script = f"""
import asyncio, governess
from governess.loops import choose_loop
from governess.watchers import choose_watcher

async def main():
    asyncio.ensure_future(asyncio.create_subprocess_exec("sleep", "3", stdout=-3, stderr=-3))
    await asyncio.create_subprocess_exec("sleep", "3", stdout=-3, stderr=-3)
    asyncio.ensure_future(asyncio.create_subprocess_exec("sleep", "3", stdout=-3, stderr=-3))
    await asyncio.sleep(0)

watcher = choose_watcher({watcher_name!r}).factory()
policy = governess.DefaultEventLoopPolicy(choose_loop({loop_name!r}).factory, watcher=watcher)
governess.set_event_loop_policy(policy)
governess.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
