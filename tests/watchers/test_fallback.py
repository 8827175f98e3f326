"""Where a pidfd, an epoll or a thread cannot be had, that child is watched in another way, and nobody notices."""

import asyncio
import errno
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from governess import PidfdChildWatcher, ThreadedChildWatcher
from governess.watchers import choose_watcher
from settings import Setting

OBSTACLES = ["EMFILE", "ENFILE", "ENOSYS", "EPERM", "EINVAL"]


async def statuses() -> list[int]:
    processes = await asyncio.gather(
        *(asyncio.create_subprocess_exec("sh", "-c", f"exit {number}") for number in range(8))
    )
    killed = await asyncio.create_subprocess_exec("sleep", "60")
    killed.kill()
    return [*await asyncio.gather(*(process.wait() for process in processes)), await killed.wait()]


EXPECTED = [*range(8), -signal.SIGKILL]


@pytest.fixture(autouse=True)
def _no_pidfd_from_birth() -> Iterator[None]:
    """The native spawner gives no pidfd, as on Linux before 5.2, so that all come from os.pidfd_open."""
    try:
        from governess.children._spawn import _native
    except ImportError:
        yield
        return
    way = _native.get_way()
    _native.set_way("clone")
    yield
    _native.set_way(way)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Let a function of the kernel fail, as it does under a limit or in a sandbox."""

    def refuse(where: object, name: str, code: str) -> None:
        def fail(*_: object) -> None:
            number = getattr(errno, code)
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(where, name, fail)

    return refuse


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_no_pidfd(setting: Setting, refuse: Callable[..., None], obstacle: str) -> None:
    """Without a pidfd every watcher reports every child."""
    refuse(os, "pidfd_open", obstacle)
    assert setting.run(statuses) == EXPECTED


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_no_epoll(loop_factory: Callable, refuse: Callable[..., None], obstacle: str) -> None:
    """Without a further epoll the pidfd watcher reports every child, by threads."""
    from settings import make_setting

    setting = make_setting("pidfd", loop_factory, "main thread")

    async def main() -> list[int]:
        refuse(select, "epoll", obstacle)
        return await statuses()

    assert setting.run(main) == EXPECTED


def test_some_pidfds(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every second pidfd fails, children with and without one are reported side by side."""
    real, calls = os.pidfd_open, []

    def sometimes(pid: int, flags: int = 0) -> int:
        calls.append(pid)
        if len(calls) % 2:
            raise OSError(errno.EMFILE, "too many")
        return real(pid, flags)

    monkeypatch.setattr(os, "pidfd_open", sometimes)
    assert setting.run(statuses) == EXPECTED
    assert len(calls) > 1


def test_no_thread(loop_factory: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can be had for a child, the reaper's one thread waits for it."""
    from settings import make_setting

    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("governess-waitpid"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert make_setting("threaded", loop_factory, "main thread").run(statuses) == EXPECTED


def test_default_is_a_thread_where_there_is_no_pidfd(refuse: Callable[..., None]) -> None:
    """The default watcher is found by trying: a sandbox that refuses pidfds gets threads, and is told why."""
    assert choose_watcher().factory is PidfdChildWatcher
    refuse(os, "pidfd_open", "EPERM")
    choice = choose_watcher()
    assert choice.factory is ThreadedChildWatcher
    assert "EPERM" in choice.reason
