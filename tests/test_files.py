"""FileWatcher tells of changes of files by a child watcher's verbs."""

import asyncio
import os
import queue
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("watchfiles")

from watchfiles import Change

from governess.files import FileWatcher

TIMEOUT = 20


@pytest.fixture
def watcher() -> Iterator[FileWatcher]:
    with FileWatcher(step=0.01) as watcher:
        yield watcher


class Told:
    """A callback that remembers what it was told, and where."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.threads: set[threading.Thread] = set()

    def __call__(self, path: Any, changes: set[tuple[Change, str]], *args: Any) -> None:
        self.threads.add(threading.current_thread())
        self._calls.put((path, changes, *args))

    def next(self) -> tuple[Any, ...]:
        return self._calls.get(timeout=TIMEOUT)

    def names(self, *wanted: str) -> None:
        """Wait until there were changes of all these files."""
        seen: set[str] = set()
        while not seen.issuperset(wanted):
            seen |= {Path(name).name for _, name in self.next()[1]}

    def is_silent(self) -> bool:
        return self._calls.empty()


def test_a_folder(watcher: FileWatcher, tmp_path: Path) -> None:
    """Changes of a folder and those in it are told with the arguments that were given, in the thread that watches."""
    told = Told()
    watcher.add_handler(tmp_path, told, 1, "two")
    (tmp_path / "new").write_text("x")
    path, changes, *args = told.next()
    assert (path, args) == (tmp_path, [1, "two"])
    assert (Change.added, os.path.realpath(tmp_path / "new")) in changes
    (tmp_path / "inner").mkdir()
    told.names("inner")
    (tmp_path / "new").unlink()
    told.names("new")
    assert threading.main_thread() not in told.threads


def test_a_file(watcher: FileWatcher, tmp_path: Path) -> None:
    """A file is watched that is not there yet, that is replaced as a whole, and deleted; its neighbours are not."""
    told = Told()
    file = tmp_path / "file"
    watcher.add_handler(file, told)
    (tmp_path / "neighbour").write_text("x")
    file.write_text("1")
    told.names("file")
    for text in "23":
        (tmp_path / "fresh").write_text(text)
        (tmp_path / "fresh").replace(file)
        told.names("file")
    file.unlink()
    while True:
        _, changes = told.next()
        assert {Path(name).name for _, name in changes} == {"file"}
        if Change.deleted in {kind for kind, _ in changes}:
            break


def test_not_recursive(tmp_path: Path) -> None:
    """Without `recursive`, what is in inner folders is not told."""
    (tmp_path / "inner").mkdir()
    told = Told()
    with FileWatcher(recursive=False, step=0.01) as watcher:
        watcher.add_handler(tmp_path, told)
        (tmp_path / "inner" / "hidden").write_text("x")
        (tmp_path / "seen").write_text("x")
        seen: set[str] = set()
        while "seen" not in seen:
            seen |= {Path(name).name for _, name in told.next()[1]}
        assert "hidden" not in seen


def test_in_a_loop(loop_factory: Callable[[], AbstractEventLoop], watcher: FileWatcher, tmp_path: Path) -> None:
    """The callback runs in the loop that ran where it was added."""

    async def main() -> None:
        changed = asyncio.Event()
        threads = []

        def callback(path: Path, changes: set[tuple[Change, str]]) -> None:
            threads.append(threading.current_thread())
            changed.set()

        watcher.add_handler(str(tmp_path), callback)
        (tmp_path / "new").touch()
        await asyncio.wait_for(changed.wait(), TIMEOUT)
        assert threads[0] is threading.main_thread()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_attached_loop(loop_factory: Callable[[], AbstractEventLoop], watcher: FileWatcher, tmp_path: Path) -> None:
    """An attached loop runs all callbacks, until it is taken away."""
    told = Told()
    watcher.add_handler(tmp_path, told)

    async def main() -> None:
        watcher.attach_loop(asyncio.get_running_loop())
        assert watcher.is_active()
        (tmp_path / "one").touch()
        while told.is_silent():  # the callback is a thread's, too
            await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(asyncio.wait_for(main(), TIMEOUT))
        assert told.threads == {threading.main_thread()}
    assert not watcher.is_active()
    watcher.attach_loop(None)
    assert watcher.is_active()


def test_a_closed_loop(
    loop_factory: Callable[[], AbstractEventLoop],
    watcher: FileWatcher,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A change for a loop that is closed is a warning, and no error in a thread of ours."""

    async def main() -> None:
        watcher.add_handler(tmp_path, Told())

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    (tmp_path / "new").touch()
    thread = next(thread for thread in threading.enumerate() if thread.name.startswith("governess-files"))
    thread.join(TIMEOUT)
    assert "is closed" in caplog.text


def test_a_second_handler(watcher: FileWatcher, tmp_path: Path) -> None:
    """A second handler of a path replaces the first; removed, it is not called any more."""
    first, second, other = Told(), Told(), Told()
    watcher.add_handler(tmp_path, first)
    watcher.add_handler(tmp_path, second)
    (tmp_path / "one").touch()
    second.names("one")
    assert first.is_silent()
    assert watcher.remove_handler(tmp_path)
    assert not watcher.remove_handler(tmp_path)
    watcher.add_handler(tmp_path, other)
    (tmp_path / "two").touch()
    other.names("two")
    assert second.is_silent()


def test_an_error_of_the_callback(watcher: FileWatcher, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a callback raises is logged, and the watching goes on."""
    told = Told()

    def fail(path: Path, changes: set[tuple[Change, str]]) -> None:
        told(path, changes)
        raise LookupError("no such thing")

    watcher.add_handler(tmp_path, fail)
    for name in "ab":
        (tmp_path / name).touch()
        told.names(name)
    watcher.close()
    assert "no such thing" in caplog.text


def test_close(tmp_path: Path) -> None:
    """Closed, it watches nothing, has no thread, and takes no handler."""
    watcher = FileWatcher()
    watcher.add_handler(tmp_path, Told())
    watcher.close()
    watcher.close()
    assert not watcher.is_active()
    with pytest.raises(RuntimeError, match="closed"):
        watcher.add_handler(tmp_path, Told())


def test_close_in_a_callback(tmp_path: Path) -> None:
    """The thread that watches may close the watcher."""
    closed = threading.Event()
    watcher = FileWatcher(step=0.01)

    def close(path: Path, changes: set[tuple[Change, str]]) -> None:
        watcher.close()
        closed.set()

    watcher.add_handler(tmp_path, close)
    (tmp_path / "new").touch()
    assert closed.wait(TIMEOUT)


def test_no_folder(watcher: FileWatcher, tmp_path: Path) -> None:
    """A folder that is not there is an error at once."""
    with pytest.raises(FileNotFoundError):
        watcher.add_handler(tmp_path / "missing" / "file", Told())


def test_without_watchfiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ImportError, match=r"governess\[files\]"):
        FileWatcher()


def test_the_next_loop_is_told(watcher: FileWatcher, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A path whose loop is closed can be watched again by another one."""

    async def hear_of(name: str) -> None:
        told = asyncio.Event()
        watcher.add_handler(tmp_path, lambda *_: told.set())
        (tmp_path / name).write_text("x")
        await asyncio.wait_for(told.wait(), TIMEOUT)

    asyncio.run(hear_of("first"))
    (tmp_path / "between").write_text("x")
    while "is closed" not in caplog.text:
        time.sleep(0.01)
    asyncio.run(hear_of("second"))
