"""What asyncio's watchers had inside: `_callbacks`, the inner verbs, and the rest, read, written and overridden."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from governess import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
)
from governess.children import children
from governess.watchers._sigchld import SigchldChildWatcher
from settings import Setting, told


def run(watcher: Any, main: Callable[[], Any]) -> Any:
    """Run in a loop of the main thread whose children the watcher watches."""
    try:
        return Setting(watcher, asyncio.SelectorEventLoop, "main thread", False).run(main)
    finally:
        watcher.close()


async def child(code: int = 3) -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {code}")
    return await asyncio.wait_for(process.wait(), 10)


async def three() -> list[int]:
    return await asyncio.gather(child(1), child(2), child(3))


def exit_of(pid: int) -> int | None:
    """Reap as asyncio's `_do_waitpid` does; None while the child lives."""
    try:
        pid, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 255
    return os.waitstatus_to_exitcode(status) if pid else None


class OwnSafe(SafeChildWatcher):
    def __init__(self) -> None:
        super().__init__()
        self.reaped: list[int] = []

    def _do_waitpid(self, expected_pid: int) -> None:
        if (returncode := exit_of(expected_pid)) is not None:
            self.reaped.append(returncode)
            callback, args = self._callbacks.pop(expected_pid)
            callback(expected_pid, returncode, *args)


class OwnMultiLoop(MultiLoopChildWatcher):
    def __init__(self) -> None:
        super().__init__()
        self.reaped: list[int] = []

    def _do_waitpid(self, expected_pid: int) -> None:
        if (returncode := exit_of(expected_pid)) is not None:
            self.reaped.append(returncode)
            loop, callback, args = self._callbacks.pop(expected_pid)
            loop.call_soon_threadsafe(callback, expected_pid, returncode, *args)


class OwnFast(FastChildWatcher):
    def __init__(self) -> None:
        super().__init__()
        self.reaped: list[int] = []

    def _do_waitpid_all(self) -> None:
        for pid in list(self._callbacks):
            if (returncode := exit_of(pid)) is not None:
                self.reaped.append(returncode)
                callback, args = self._callbacks.pop(pid)
                callback(pid, returncode, *args)


class OwnThreaded(ThreadedChildWatcher):
    def __init__(self) -> None:
        super().__init__()
        self.reaped: list[int] = []

    def _do_waitpid(self, loop: Any, expected_pid: int, callback: Any, args: Any) -> None:
        assert self._threads[expected_pid] is threading.current_thread()
        _, status = os.waitpid(expected_pid, 0)
        self.reaped.append(os.waitstatus_to_exitcode(status))
        loop.call_soon_threadsafe(callback, expected_pid, self.reaped[-1], *args)


class OwnBase(SigchldChildWatcher):
    """As programs derived from asyncio's BaseChildWatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.reaped: list[int] = []

    def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
        self._callbacks[pid] = callback, args
        self._do_waitpid(pid)

    def remove_child_handler(self, pid: int) -> bool:
        return self._callbacks.pop(pid, None) is not None

    def _do_waitpid_all(self) -> None:
        for pid in list(self._callbacks):
            self._do_waitpid(pid)

    _do_waitpid = OwnSafe._do_waitpid


OWN = [OwnSafe, OwnMultiLoop, OwnFast, OwnThreaded, OwnBase]


@pytest.mark.parametrize("kind", OWN)
def test_own_verb_reaps(kind: Any) -> None:
    """A subclass's own inner verb reaps the children, each once, and wait() has its returncodes."""
    watcher = kind()
    assert run(watcher, three) == [1, 2, 3]
    assert sorted(watcher.reaped) == [1, 2, 3]
    assert len(watcher._callbacks) == 0
    assert children() == []


@pytest.mark.parametrize("kind", OWN)
def test_own_verb_reaps_a_strangers_child(kind: Any) -> None:
    """So it does for a handler that was added by hand, which is called once; nothing is left of the child."""
    watcher = kind()

    async def main() -> Any:
        watcher.attach_loop(asyncio.get_running_loop())
        with watcher:
            process = subprocess.Popen(["sh", "-c", "exit 4"])
            process.returncode = 0
            exit = await told(watcher, process.pid)
        return await asyncio.wait_for(exit, 10)

    assert run(watcher, main) == 4
    assert watcher.reaped == [4]
    assert children() == []


def test_own_verb_may_call_the_inherited_one() -> None:
    """An overriding verb that only calls the one it overrides changes nothing."""
    calls = []

    class Safe(SafeChildWatcher):
        def _sig_chld(self) -> None:
            calls.append("_sig_chld")
            super()._sig_chld()

        def _do_waitpid_all(self) -> None:
            calls.append("_do_waitpid_all")
            super()._do_waitpid_all()

    class Threaded(ThreadedChildWatcher):
        def _do_waitpid(self, *args: Any) -> None:
            calls.append("_do_waitpid")
            super()._do_waitpid(*args)

    assert run(Safe(), three) == [1, 2, 3]
    assert {*calls} == {"_sig_chld", "_do_waitpid_all"}
    assert run(Threaded(), three) == [1, 2, 3]
    assert calls.count("_do_waitpid") == 3


def test_polling() -> None:
    """A subclass that polls by `_do_waitpid_all`, without a signal, reaps its children."""

    class Polling(SafeChildWatcher):
        def attach_loop(self, loop: Any) -> None:
            self._loop = loop
            if loop is not None:
                loop.call_soon(self._poll)

        def is_active(self) -> bool:
            return True

        def _poll(self) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._do_waitpid_all()
                self._loop.call_later(0.01, self._poll)

    assert run(Polling(), three) == [1, 2, 3]


@pytest.mark.parametrize("kind", [SafeChildWatcher, FastChildWatcher, MultiLoopChildWatcher])
def test_verbs_called_from_outside(kind: Any) -> None:
    """`_sig_chld()` and `_do_waitpid_all()` reap the children that have exited, at once."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true")
        assert dict(watcher._callbacks).keys() <= {process.pid}
        with contextlib.suppress(ChildProcessError):  # SIGCHLD was faster
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        watcher._sig_chld()
        watcher._do_waitpid_all()
        assert children() == []
        assert await process.wait() == 0

    watcher = kind()
    run(watcher, main)


@pytest.mark.parametrize("kind", [SafeChildWatcher, MultiLoopChildWatcher])
def test_one_child_by_its_pid(kind: Any) -> None:
    """`_do_waitpid(pid)` reaps that child if it has exited; one that it does not know is not touched."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        watcher._do_waitpid(process.pid)
        watcher._do_waitpid(os.getpid())
        assert process.returncode is None
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0

    watcher = kind()
    run(watcher, main)


class TestCallbacks:
    @pytest.mark.parametrize("kind", [SafeChildWatcher, MultiLoopChildWatcher])
    def test_reads(self, kind: Any) -> None:
        """`_callbacks` maps the pids of living children to callback and arguments, with the loop in MultiLoop's."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            watcher.attach_loop(loop)
            process = start_cat()
            with watcher:
                watcher.add_child_handler(process.pid, seen.append, 1, 2)
            before = (loop,) if kind is MultiLoopChildWatcher else ()
            assert watcher._callbacks[process.pid] == (*before, seen.append, (1, 2))
            assert list(watcher._callbacks) == [process.pid]
            assert str(process.pid) in repr(watcher._callbacks)
            assert watcher._callbacks.pop(process.pid)[-1] == (1, 2)
            assert process.pid not in watcher._callbacks
            process.communicate()
            assert process.returncode == 0

        seen: list[int] = []
        watcher = kind()
        asyncio.run(main())
        watcher.close()
        assert seen == []
        assert children() == []

    def test_writes(self) -> None:
        """What is written there is called when the child exits; what is assigned takes the place of all."""

        async def main() -> int:
            watcher.attach_loop(asyncio.get_running_loop())
            process = start_cat()
            watcher._callbacks[process.pid] = (lambda *args: seen.append("first"), ())
            watcher._callbacks = {process.pid: (lambda *args: seen.append(args), (1,))}
            assert len(watcher._callbacks) == 1
            assert process.stdin is not None
            process.stdin.close()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            watcher._sig_chld()
            process.returncode = 0
            return process.pid

        seen: list[Any] = []
        watcher = SafeChildWatcher()
        pid = asyncio.run(main())
        watcher.close()
        assert seen == [(pid, 0, 1)]
        assert children() == []


def start_cat() -> subprocess.Popen:
    return subprocess.Popen(["cat"], stdin=subprocess.PIPE)


def test_names_of_fast() -> None:
    """`_forks` counts the pending starts, and `_zombies` has the exits that nobody has claimed."""

    async def main() -> None:
        watcher.attach_loop(asyncio.get_running_loop())
        assert watcher._forks == 0
        with watcher:
            assert watcher._forks == 1
            process = subprocess.Popen(["sh", "-c", "exit 5"])
            process.returncode = 0
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            watcher._do_waitpid_all()
            assert watcher._zombies[process.pid] == 5
            assert repr(watcher._zombies) == f"{{{process.pid}: {watcher._zombies[process.pid]!r}}}"
            assert watcher._zombies.pop(process.pid) == 5
            watcher._zombies[process.pid] = 6
            watcher._zombies.clear()
            assert len(watcher._zombies) == 0

    watcher = FastChildWatcher()
    run(watcher, main)


def test_names_of_multiloop() -> None:
    """`_saved_sighandler` is the handler that was found; None when the watcher is closed."""
    watcher = MultiLoopChildWatcher()
    assert watcher._saved_sighandler is signal.SIG_DFL
    watcher.close()
    assert watcher._saved_sighandler is None


def test_names_of_the_others() -> None:
    """`_threads` has the thread of each child, `_pid_counter` counts; `_loop` is None where no loop is needed."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        assert isinstance(watcher._threads[process.pid], threading.Thread)
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()

    watcher = ThreadedChildWatcher()
    run(watcher, main)
    assert next(watcher._pid_counter) + 1 == next(watcher._pid_counter)
    assert watcher._loop is None
    assert PidfdChildWatcher()._loop is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [(FastChildWatcher, "_forks"), (FastChildWatcher, "_zombies"), (MultiLoopChildWatcher, "_saved_sighandler")],
)
def test_written_without_effect(kind: Any, name: str) -> None:
    """What cannot be set warns by its name."""
    watcher = kind()
    with pytest.warns(RuntimeWarning, match=rf"{kind.__name__}\.{name} was set, which has no effect"):
        setattr(watcher, name, {})
    watcher.close()


@pytest.mark.parametrize("name", ["_do_wait", "_join_threads"])
def test_overridden_without_effect(name: str) -> None:
    """A class that overrides what is never called is warned of, by name and at its line."""
    with pytest.warns(RuntimeWarning, match=rf"Own\.{name} is never called") as caught:
        type("Own", (PidfdChildWatcher,), {name: lambda self: None})
    assert caught[0].filename == __file__


def test_replaced_waitpid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test has replaced `os.waitpid`, the inner verbs ask that."""
    seen: list[Any] = []
    monkeypatch.setattr(os, "waitpid", lambda pid, flags: statuses.pop())
    statuses = [(0, 0), (0, 0)]
    watcher = SafeChildWatcher()
    with asyncio.Runner() as runner:
        watcher.attach_loop(runner.get_loop())
        with watcher:
            watcher.add_child_handler(NO_PID, lambda *args: seen.append(args), "a")
        watcher._sig_chld()
        assert seen == []
        statuses.append((NO_PID, 7 << 8))
        watcher._sig_chld()
        assert seen == [(NO_PID, 7, "a")]
        watcher.close()


NO_PID = 2**22 + 1  # beyond what Linux gives (PID_MAX_LIMIT)
