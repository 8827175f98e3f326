"""What asyncio's watchers had inside, and programs use all the same: `_callbacks`, `_do_waitpid`, `_sig_chld`, ...

A subclass that overrides one of the verbs `_sig_chld`, `_do_waitpid_all` and `_do_waitpid` is asked by it for exited
children, and reaps them itself. Code that overrides or sets an unsupported name gets a warning.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import warnings
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from governess.children._child import Child
from governess.children._exit import Exit
from governess.watchers._sweep import found_handler

if TYPE_CHECKING:
    from governess.watchers._base import ChildWatcher

__all__ = [
    "Callbacks",
    "FastNames",
    "PrivateNames",
    "SignalNames",
    "is_waitpid_replaced",
    "own_waitpid",
    "status_of",
]

logger = logging.getLogger("governess")

_VERBS = ("_sig_chld", "_do_waitpid_all", "_do_waitpid")
# What no watcher of governess calls.
_NOT_CALLED = ("_do_wait", "_join_threads")


class PrivateNames:
    """The mixin of all watchers.

    Attributes:
        _has_own_verbs: whether the class of a program overrides one of asyncio's private methods.
    """

    _has_own_verbs = False
    _loop: asyncio.AbstractEventLoop | None = None
    _pid_counter = itertools.count()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find out which of asyncio's private methods the class overrides; warn about one that is never called."""
        super().__init_subclass__(**kwargs)
        cls._has_own_verbs = any(_is_others(getattr(cls, name, None)) for name in _VERBS)
        for name in _NOT_CALLED:
            if name in vars(cls):
                warnings.warn(
                    f"{cls.__qualname__}.{name} is never called: governess notices exits in another way",
                    RuntimeWarning,
                    stacklevel=3,  # behind ABCMeta.__new__
                )

    @property
    def _callbacks(self) -> MutableMapping[int, tuple[Any, ...]]:
        return Callbacks(self)  # type: ignore[arg-type]

    @_callbacks.setter
    def _callbacks(self, callbacks: MutableMapping[int, tuple[Any, ...]]) -> None:
        view, wanted = self._callbacks, dict(callbacks)
        view.clear()
        view.update(wanted)


def _is_others(function: Any) -> bool:
    return not getattr(function, "__module__", "governess.").startswith("governess.")


class Callbacks(MutableMapping[int, tuple[Any, ...]]):
    """The handlers by their pids: `(callback, args)`, and `(loop, callback, args)` of MultiLoopChildWatcher.

    Code that deletes one has reaped the child, or leaves the reap to other code.
    """

    def __init__(self, watcher: ChildWatcher) -> None:
        self._watcher = watcher

    def __repr__(self) -> str:
        return repr(dict(self))

    def __len__(self) -> int:
        return len(self._watcher._handlers)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._watcher._handlers))

    def __getitem__(self, pid: int) -> tuple[Any, ...]:
        handler = self._watcher._handlers[pid]
        rest = handler.callback, handler.args
        if not isinstance(self._watcher, SignalNames):
            return rest
        return (None if handler.loop is None else handler.loop(), *rest)

    def __setitem__(self, pid: int, entry: tuple[Any, ...]) -> None:
        from governess.watchers._base import ChildWatcher

        *_, callback, args = entry
        ChildWatcher.add_child_handler(self._watcher, pid, callback, *args)

    def __delitem__(self, pid: int) -> None:
        watcher = self._watcher
        with watcher._lock:
            handler = watcher._handlers.pop(pid)
            handler.child.unsubscribe(handler)
        watcher._unwatch(handler.child)
        if handler.child.adopted:
            handler.child.disown()


class SignalNames(PrivateNames):
    """The names of MultiLoopChildWatcher, whose `_sig_chld` is a signal handler."""

    _closed: bool

    @property
    def _saved_sighandler(self) -> Any:
        return None if self._closed else found_handler()

    @_saved_sighandler.setter
    def _saved_sighandler(self, handler: Any) -> None:
        _warn_of_write(self, "_saved_sighandler")

    def _sig_chld(self, signum: int | None = None, frame: object = None) -> None:
        try:
            self._do_waitpid_all()
        except Exception:
            logger.warning("Unknown exception in SIGCHLD handler", exc_info=True)

    def _do_waitpid_all(self) -> None:
        for pid in list(self._callbacks):
            self._do_waitpid(pid)

    def _do_waitpid(self, expected_pid: int) -> None:
        own_waitpid(self, expected_pid)  # type: ignore[arg-type]


class FastNames:
    """The names of FastChildWatcher: pending starts, and the exits of unknown children."""

    _unclaimed: Any

    @property
    def _forks(self) -> int:
        return len(self._unclaimed.open)

    @_forks.setter
    def _forks(self, forks: int) -> None:
        _warn_of_write(self, "_forks")

    @property
    def _zombies(self) -> MutableMapping[int, int]:
        return _Zombies(self._unclaimed)

    @_zombies.setter
    def _zombies(self, zombies: MutableMapping[int, int]) -> None:
        _warn_of_write(self, "_zombies")


class _Zombies(MutableMapping[int, int]):
    def __init__(self, unclaimed: Any) -> None:
        self._unclaimed = unclaimed

    def __repr__(self) -> str:
        return repr(dict(self))

    def __len__(self) -> int:
        return len(self._unclaimed.exits)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._unclaimed.exits))

    def __getitem__(self, pid: int) -> int:
        returncode: int = self._unclaimed.exits[pid].exit
        return returncode

    def __setitem__(self, pid: int, returncode: int) -> None:
        self._unclaimed.keep(pid, Exit(returncode), True)

    def __delitem__(self, pid: int) -> None:
        del self._unclaimed.exits[pid]


def own_waitpid(watcher: ChildWatcher, pid: int) -> None:
    """Reap the child of this pid, if it has exited and the watcher has a handler for it."""
    handler = watcher._handlers.get(pid)
    if handler is None:
        return
    if not is_waitpid_replaced():
        handler.child.reap()
    elif (status := _replaced_waitpid(handler.child)) is not None:
        handler.child.set_exit(status)


def is_waitpid_replaced() -> bool:
    """Return whether somebody, a test, has put something in place of `os.waitpid`; that is called then."""
    return os.waitpid is not _WAITPID


def _replaced_waitpid(child: Child) -> Exit | None:
    try:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
    except ChildProcessError:
        logger.warning("Unknown child process pid %d, will report returncode 255", child.pid)
        return Exit.unknown()
    return status_of(status) if pid else None


def status_of(status: int) -> Exit:
    """Return the Exit of a wait status, by asyncio's function, which tests replace."""
    return Exit(asyncio.unix_events.waitstatus_to_exitcode(status))  # type: ignore[attr-defined]


_WAITPID = os.waitpid


def _warn_of_write(watcher: object, name: str) -> None:
    warnings.warn(f"{type(watcher).__name__}.{name} was set, which has no effect", RuntimeWarning, stacklevel=3)
