"""The kqueue watcher against a FAKE kqueue (a pidfd under it): this was never run on macOS or a BSD."""

import asyncio
import contextlib
import errno
import os
import select
import signal
import types
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import governess
from governess import KqueueChildWatcher
from governess.children import _pidfd as pidfd
from governess.watchers import choose_watcher


class FakeKqueue:
    """EVFILT_PROC with NOTE_EXIT as kqueue(2) tells of it, over one epoll of pidfds."""

    refuse_dying: ClassVar[bool] = False

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._pidfds: dict[int, int] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()
        for descriptor in self._pidfds.values():
            os.close(descriptor)
        self._pidfds.clear()

    def control(self, changes: Any, most: int, timeout: float | None = None) -> list[Any]:
        for event in changes or ():
            if event.flags & FAKE_SELECT.KQ_EV_DELETE:
                self._drop(event.ident)
            else:
                self._add(event.ident)
        ready = self._epoll.poll(0, most) if most else []
        pids = {descriptor: pid for pid, descriptor in self._pidfds.items()}
        events = [types.SimpleNamespace(ident=pids[descriptor]) for descriptor, _ in ready]
        for event in events:  # EV_ONESHOT
            self._drop(event.ident)
        return events

    def _add(self, pid: int) -> None:
        descriptor = os.pidfd_open(pid)
        dying = pidfd.has_exited(descriptor)
        if dying and self.refuse_dying:
            os.close(descriptor)
            raise ProcessLookupError(errno.ESRCH, "No such process")
        self._pidfds[pid] = descriptor
        if not dying:  # macOS attaches to a zombie, and no event ever comes
            self._epoll.register(descriptor, select.EPOLLIN)

    def _drop(self, pid: int) -> None:
        descriptor = self._pidfds.pop(pid, None)
        if descriptor is None:
            raise FileNotFoundError(errno.ENOENT, "No such event")
        with contextlib.suppress(FileNotFoundError):
            self._epoll.unregister(descriptor)
        os.close(descriptor)


FAKE_SELECT = types.SimpleNamespace(
    kqueue=FakeKqueue,
    kevent=lambda ident, filter, flags, fflags: types.SimpleNamespace(ident=ident, flags=flags),
    KQ_FILTER_PROC=-5,
    KQ_EV_ADD=1,
    KQ_EV_DELETE=2,
    KQ_EV_ONESHOT=0x10,
    KQ_NOTE_EXIT=0x80000000,
)


@pytest.fixture(params=["attaches to zombies", "refuses zombies"])
def fake_kqueue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governess.watchers._kqueue.select", FAKE_SELECT)
    monkeypatch.setattr(FakeKqueue, "refuse_dying", request.param == "refuses zombies")
    # On a Mac a child has no pidfd.
    monkeypatch.setattr(pidfd, "open_pidfd", lambda pid: None)


@pytest.mark.usefixtures("fake_kqueue")
class TestFakeKqueue:
    @staticmethod
    def run(loop_factory: Callable, main: Callable) -> Any:
        with governess.MacOSEventLoopPolicy(loop_factory) as policy:
            assert isinstance(policy.get_child_watcher(), KqueueChildWatcher)
            with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
                return runner.run(main())

    def test_fake_reports_all(self, loop_factory: Callable) -> None:
        """Children that exit at once or later, by themselves or by a signal, are each reported."""

        async def main() -> list[int]:
            processes = await asyncio.gather(
                *(asyncio.create_subprocess_exec("sh", "-c", f"exit {number}") for number in range(20))
            )
            killed = await asyncio.create_subprocess_exec("sleep", "60")
            killed.kill()
            return [*await asyncio.gather(*(process.wait() for process in processes)), await killed.wait()]

        assert self.run(loop_factory, main) == [*range(20), -signal.SIGKILL]

    def test_fake_dead_before_its_handler(self, loop_factory: Callable) -> None:
        """A child that has exited before its handler is added is reported: by ESRCH, or by asking once."""

        async def main() -> int:
            loop = asyncio.get_running_loop()
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
            await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            future = loop.create_future()
            with watcher:
                watcher.add_child_handler(pid, lambda pid, returncode: future.set_result(returncode))
            return await future

        watcher = KqueueChildWatcher()
        assert self.run(loop_factory, main) == 5
        watcher.close()

    def test_fake_exit_note_before_the_zombie(self, loop_factory: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
        """A NOTE_EXIT that comes before the child can be reaped is waited out."""
        monkeypatch.setattr(FakeKqueue, "control", early_note)

        async def main() -> int:
            return await (await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.05; exit 6")).wait()

        assert self.run(loop_factory, main) == 6


def early_note(self: FakeKqueue, changes: Any, most: int, timeout: float | None = None) -> list[Any]:
    """Report every child as soon as it is added."""
    for event in changes or ():
        if not event.flags & FAKE_SELECT.KQ_EV_DELETE:
            reader, writer = os.pipe()
            os.close(writer)  # so that the reader is ready at once
            self._pidfds[event.ident] = reader
            self._epoll.register(reader, select.EPOLLIN)
        else:
            self._drop(event.ident)
    if not most:
        return []
    pids = {descriptor: pid for pid, descriptor in self._pidfds.items()}
    events = [types.SimpleNamespace(ident=pids[descriptor]) for descriptor, _ in self._epoll.poll(0, most)]
    for event in events:
        self._drop(event.ident)
    return events


def test_fake_is_the_default_without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no pidfd but a kqueue, that is the default, and can be named."""
    monkeypatch.setattr("governess.watchers._choice.select", FAKE_SELECT)
    monkeypatch.setattr("governess.watchers._choice.unavailable", lambda: "darwin has no pidfd")
    assert choose_watcher().factory is KqueueChildWatcher
    assert choose_watcher("kqueue").factory is KqueueChildWatcher
