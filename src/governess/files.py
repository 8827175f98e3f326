"""Watching files by the verbs of a child watcher, over watchfiles (the extra `files`)."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVarTuple

if TYPE_CHECKING:
    from typing import Self

    from watchfiles import Change

    Changes = set[tuple[Change, str]]

from governess.children._per_loop import running_loop

__all__ = ["FileWatcher"]

Ts = TypeVarTuple("Ts")
Path = str | os.PathLike[str]

logger = logging.getLogger("governess")

_JOIN_TIMEOUT = 1.0  # seconds


class FileWatcher:
    """Calls a handler when a file or a folder has changed.

    For each path, a thread waits for notifications of the kernel. The file may be missing at first, and may be replaced
    by a new file, as editors do. Changes of a folder include those of the files in it. The end of ``with watcher:``
    closes the watcher.
    """

    def __init__(self, *, recursive: bool = True, debounce: float = 1.6, step: float = 0.05) -> None:
        """Start with nothing to watch.

        Args:
            recursive: whether the folders inside a watched folder are watched too.
            debounce: the longest time in seconds for which changes are collected before a call.
            step: seconds without a change after which the collected changes are reported; `close` takes as long.

        Raises:
            ImportError: watchfiles is not installed.
        """
        try:
            import watchfiles  # noqa: F401
        except ImportError as error:
            raise ImportError("FileWatcher needs watchfiles: pip install 'governess[files]'") from error
        self._recursive = recursive
        self._pace = round(debounce * 1000), max(1, round(step * 1000))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watches: dict[str, _Watch] = {}
        self._lock = threading.Lock()
        self._closed = False

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Run all callbacks in `loop`; with None, each runs in the loop that was running when it was added."""
        self._loop = loop

    def add_handler(self, path: Path, callback: Callable[[Path, Changes, *Ts], object], *args: *Ts) -> None:
        """Call ``callback(path, changes, *args)`` after each change of the path, from now on.

        ``changes`` is a set of (`watchfiles.Change`, path), as from `watchfiles.awatch`. The callback runs in the
        attached loop, or else in the loop that is running in this thread; without a loop, in the thread that watches
        the path. A second handler for the same path replaces the first.

        Raises:
            FileNotFoundError: the folder, or the folder of the file, does not exist.
            RuntimeError: the watcher is closed.
        """
        name = _name_of(path)
        with self._lock:
            if self._closed:
                raise RuntimeError("the file watcher is closed")
            watch = self._watches.get(name)
            if watch is None or watch.is_over():
                watch = self._watches[name] = _Watch(name, self._recursive, self._pace)
            watch.handler = _Handler(self, path, callback, args)

    def remove_handler(self, path: Path) -> bool:
        """Remove the handler of the path; return whether there was one."""
        with self._lock:
            watch = self._watches.pop(_name_of(path), None)
        if watch is None:
            return False
        watch.stop()
        return True

    def is_active(self) -> bool:
        """Return whether changes are reported: neither the watcher nor its attached loop is closed."""
        return not self._closed and (self._loop is None or not self._loop.is_closed())

    def close(self) -> None:
        """Remove all handlers, and wait at most one second for the threads."""
        with self._lock:
            self._closed = True
            watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.stop()
        deadline = time.monotonic() + _JOIN_TIMEOUT
        for watch in watches:
            watch.join(deadline - time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Watch:
    """The thread that waits for changes of one path, and the handler that it tells of them."""

    def __init__(self, name: str, recursive: bool, pace: tuple[int, int]) -> None:
        from watchfiles._rust_notify import RustNotify  # its documented way to watch in a thread of one's own

        self.handler: _Handler | None = None
        self._is_folder = os.path.isdir(name)
        self._name = name
        self._pace = pace
        self._over = threading.Event()
        # The folder of a file, since the file itself may be replaced, or not be there yet.
        root = name if self._is_folder else os.path.dirname(name)
        self._notices = RustNotify([root], False, False, 0, recursive and self._is_folder, False)
        self._thread = threading.Thread(target=self._work, name=f"governess-files-{name}", daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        return self._over.is_set() or not self._thread.is_alive()

    def stop(self) -> None:
        self.handler = None
        self._over.set()

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(max(0, timeout))

    def _work(self) -> None:
        with self._notices:
            while isinstance(noticed := self._notices.watch(*self._pace, 0, self._over), set):
                self._tell(noticed)

    def _tell(self, noticed: set[tuple[int, str]]) -> None:
        from watchfiles import Change

        changes = {(Change(kind), path) for kind, path in noticed if self._is_folder or path == self._name}
        if changes and (handler := self.handler) is not None:
            try:
                handler.tell(changes, self)
            except RuntimeError:
                logger.warning("the loop that wants to know of changes of %s is closed", self._name)
                self.stop()


class _Handler:
    """A callback, and the loop where it is to run."""

    def __init__(
        self, watcher: FileWatcher, path: Path, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self._watcher = watcher
        self._path = path
        self._callback = callback
        self._args = args
        self._loop = running_loop()

    def tell(self, changes: Changes, watch: _Watch) -> None:
        """Call the callback in its loop; RuntimeError if that is closed."""
        if (loop := self._watcher._loop or self._loop) is not None:
            loop.call_soon_threadsafe(self._call, changes, watch)
            return
        try:
            self._call(changes, watch)
        except Exception:
            logger.exception("%r failed", self._callback)

    def _call(self, changes: Changes, watch: _Watch) -> None:
        if watch.handler is self:  # else it was removed meanwhile
            self._callback(self._path, changes, *self._args)


def _name_of(path: Path) -> str:
    """Return the path as watchfiles tells it; a link to a file is itself, since what is replaced may be the link."""
    name = os.path.abspath(path)
    if os.path.isdir(name):
        return os.path.realpath(name)
    return os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
