"""The promises that all watchers keep."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import threading

import pytest

import governess
from governess import Exit
from governess.children import children
from settings import Setting, told


def start(*argv: str, **options: object) -> subprocess.Popen:
    """A child that somebody else starts; only its number counts."""
    process = subprocess.Popen(argv, **options)
    process.returncode = 0
    return process


async def zombie(pid: int) -> None:
    """Block until the child has exited."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def steal(pid: int) -> None:
    """Reap the child as soon as it has exited, unless somebody was faster."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


class TestHandlers:
    """What a handler is told, and when."""

    @pytest.mark.parametrize(("script", "expected"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", -signal.SIGKILL)])
    def test_reports_the_returncode(self, setting: Setting, script: str, expected: int) -> None:
        """The returncode is the exit status, or the negative number of the signal."""

        async def main() -> int:
            with setting.watcher:
                child = start("sh", "-c", script)
                exit = await told(setting.watcher, child.pid)
            return await exit

        exit = setting.run(main)
        assert exit == expected
        assert isinstance(exit, Exit)
        assert not exit.lost

    def test_calls_back_once_with_its_arguments(self, setting: Setting) -> None:
        """The callback gets pid, returncode and its own arguments, once."""
        calls = []

        async def main() -> int:
            done = asyncio.Event()
            loop = asyncio.get_running_loop()

            def callback(*args: object) -> None:
                calls.append(args)
                loop.call_soon_threadsafe(done.set)

            with setting.watcher:
                child = start("sh", "-c", "exit 3")
                setting.watcher.add_child_handler(child.pid, callback, "one", 2)
            await done.wait()
            # Another child's end proves that the watcher has been at work since.
            with setting.watcher:
                other = await told(setting.watcher, start("true").pid)
            await other
            return child.pid

        pid = setting.run(main)
        assert calls == [(pid, 3, "one", 2)]

    def test_calls_back_in_the_loop_where_the_handler_was_added(self, setting: Setting) -> None:
        """A handler that was added in a running loop runs in that loop's thread."""

        async def main() -> bool:
            loop = asyncio.get_running_loop()
            seen = loop.create_future()

            def callback(pid: int, returncode: int) -> None:
                seen.set_result(threading.get_ident())

            with setting.watcher:
                setting.watcher.add_child_handler(start("true").pid, callback)
            return await seen == threading.get_ident()

        assert setting.run(main)

    def test_second_handler_replaces_the_first(self, setting: Setting) -> None:
        """Of two handlers for one child only the second is called."""
        first = []

        async def main() -> int:
            with setting.watcher:
                child = start("cat", stdin=subprocess.PIPE)
                setting.watcher.add_child_handler(child.pid, lambda *args: first.append(args))
                second = await told(setting.watcher, child.pid)
            child.stdin.close()
            return await second

        assert setting.run(main) == 0
        assert first == []

    def test_reports_a_child_that_died_before(self, setting: Setting) -> None:
        """A child that was dead already when its handler was added is reported all the same."""

        async def main() -> int:
            with setting.watcher:
                child = start("sh", "-c", "exit 9")
                if isinstance(setting.watcher, governess.FastChildWatcher):
                    with contextlib.suppress(ChildProcessError):  # it may be unclaimed already
                        await zombie(child.pid)
                else:
                    await zombie(child.pid)
                exit = await told(setting.watcher, child.pid)
            return await exit

        assert setting.run(main) == 9

    def test_removed_handler_is_not_called_and_the_child_is_the_callers(self, setting: Setting) -> None:
        """After remove_child_handler the caller can wait for the child; there is nothing to remove twice."""
        calls = []

        async def main() -> None:
            with setting.watcher:
                child = start("cat", stdin=subprocess.PIPE)
                setting.watcher.add_child_handler(child.pid, lambda *args: calls.append(args))
            assert setting.watcher.remove_child_handler(child.pid) is True
            assert setting.watcher.remove_child_handler(child.pid) is False
            child.stdin.close()
            if isinstance(setting.watcher, governess.FastChildWatcher):
                await asyncio.to_thread(steal, child.pid)
            else:
                assert await asyncio.to_thread(os.waitpid, child.pid, 0) == (child.pid, 0)

        setting.run(main)
        assert calls == []


class TestBesideOthers:
    """Other children, other code, and ends of loops and watchers."""

    def test_leaves_strangers_alone(self, setting: Setting) -> None:
        """A child that nobody handed to the watcher can still be waited for (but FastChildWatcher takes all)."""
        if isinstance(setting.watcher, governess.FastChildWatcher):
            pytest.skip("reaping every child is what FastChildWatcher is documented to do")

        async def main() -> int:
            stranger = subprocess.Popen(["sh", "-c", "exit 5"])
            await zombie(stranger.pid)
            process = await asyncio.create_subprocess_exec("true")
            assert await process.wait() == 0
            return await asyncio.to_thread(stranger.wait)

        assert setting.run(main) == 5

    def test_no_descriptor_after_wait(self, setting: Setting) -> None:
        """When wait() returns, no pidfd and no epoll is open that was not before the start."""

        async def main() -> list[str]:
            more: list[str] = []
            for _ in range(30):
                before = open_files()
                process = await asyncio.create_subprocess_exec("true")
                await process.wait()
                await asyncio.sleep(0)
                more += [file for number, file in open_files().items() if number not in before]
            return more

        assert setting.run(main) == []

    def test_many_children_at_once(self, setting: Setting) -> None:
        """64 children that exit together are each reported with their own status."""

        async def main() -> list[int]:
            processes = await asyncio.gather(
                *(asyncio.create_subprocess_exec("sh", "-c", f"exit {number}") for number in range(64))
            )
            return await asyncio.gather(*(process.wait() for process in processes))

        assert setting.run(main) == list(range(64))

    def test_failing_callback_disturbs_nobody(self, setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
        """A callback that raises is logged, and the other children are still reported."""

        async def main() -> int:
            failed = asyncio.Event()

            def callback(pid: int, returncode: int) -> None:
                failed.set()
                raise ZeroDivisionError("what a callback may do")

            with setting.watcher:
                setting.watcher.add_child_handler(start("true").pid, callback)
                other = await told(setting.watcher, start("sh", "-c", "exit 4").pid)
            await failed.wait()
            return await other

        with caplog.at_level(logging.ERROR):
            assert setting.run(main) == 4
        assert "ZeroDivisionError" in caplog.text

    def test_thief_does_not_get_the_status(self, setting: Setting) -> None:
        """A child that somebody else reaps, after 20 ms or more, reports its true status."""
        if not _kernel_tells():
            pytest.skip("this kernel does not tell the status of a reaped child (Linux 6.15 does)")

        async def main() -> list[int]:
            processes = [
                await asyncio.create_subprocess_exec("sh", "-c", f"read line; exit {number}", stdin=subprocess.PIPE)
                for number in range(10)
            ]
            for process in processes:
                thief = threading.Thread(target=steal, args=(process.pid,))
                thief.start()
                process.stdin.close()
                await asyncio.to_thread(thief.join)
            return await asyncio.gather(*(process.wait() for process in processes))

        assert setting.run(main) == list(range(10))

    def test_ignored_sigchld_does_not_hide_the_status(self, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
        """With SIGCHLD ignored, where the kernel reaps, every child reports its true status."""
        if not _kernel_tells():
            pytest.skip("this kernel does not tell the status of a reaped child (Linux 6.15 does)")

        async def main() -> list[int]:
            processes = await asyncio.gather(
                *(asyncio.create_subprocess_exec("sh", "-c", f"sleep 0.05; exit {n}") for n in range(5))
            )
            return await asyncio.gather(*(process.wait() for process in processes))

        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            assert setting.run(main) == list(range(5))
        finally:
            signal.signal(signal.SIGCHLD, before)

    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's, for the pipes that nobody closed
    def test_loop_closed_over_living_children(self, setting: Setting) -> None:
        """Children that outlive their loop are reaped all the same, and no descriptor stays open."""
        born = []

        async def main() -> None:
            process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            born.append(process)

        died = threading.Event()
        with governess.observe(on_exit=lambda child, exit: died.set()):
            setting.run(main)
            # Its standard input is closed with the loop.
            assert died.wait(5)
        assert children() == []

    def test_closing_the_watcher_loses_nobody(self, setting: Setting) -> None:
        """Children that live when their watcher is closed are still reported."""

        async def main() -> int:
            with setting.watcher:
                child = start("cat", stdin=subprocess.PIPE)
                exit = await told(setting.watcher, child.pid)
            setting.watcher.close()
            child.stdin.close()
            return await exit

        if setting.place == "other thread" and setting.needs_main_loop:
            pytest.skip("its SIGCHLD handler is closed in the main thread")
        assert setting.run(main) == 0

    def test_pid_of_no_child_is_reported_lost(self, setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
        """A number that belongs to no process is reported as 255, lost, with a warning."""

        async def main() -> int:
            child = start("true")
            with contextlib.suppress(ChildProcessError):  # FastChildWatcher has done so
                os.waitpid(child.pid, 0)
            with setting.watcher:
                exit = await told(setting.watcher, child.pid)
            return await exit

        exit = setting.run(main)
        assert exit == 255
        assert exit.lost
        assert "Unknown child process pid" in caplog.text


def _kernel_tells() -> bool:
    child = subprocess.Popen(["true"])
    descriptor = os.pidfd_open(child.pid)
    try:
        child.wait()
        from governess.children._pidfd import lost_status

        return lost_status(descriptor) is not None
    finally:
        os.close(descriptor)


def open_files() -> dict[str, str]:
    """Return what is open here of the kinds that a watcher opens, by its descriptor."""
    files = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of that listing
            files[number] = os.readlink(f"/proc/self/fd/{number}")
    return {number: file for number, file in files.items() if "pidfd" in file or "eventpoll" in file}
