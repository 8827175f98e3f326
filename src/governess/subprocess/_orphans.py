"""A reaper for PID 1: it reaps the orphans that the kernel gives this process, and no child that has an owner."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from governess.children import _registry
from governess.children._callbacks import refuse_coroutine_function
from governess.children._exit import Exit, take_exit
from governess.children._pidfd import open_pidfd
from governess.children._procfs import read_stat

__all__ = ["reap_orphans"]

logger = logging.getLogger("governess")


@contextlib.contextmanager
def reap_orphans(
    *,
    interval: float = 1.0,
    on_exit: Callable[[int, Exit], object] | None = None,
    skip: Callable[[int], bool] | None = None,
) -> Iterator[None]:
    """Reap the orphans that end while the block runs (Linux).

    An orphan is a process whose parent has ended. The kernel makes it a child of PID 1, or of a subreaper
    (``PR_SET_CHILD_SUBREAPER``). A thread looks for orphans at intervals, and reaps one when it finds it ended for the
    second time. It never reaps a child of governess, of `subprocess.Popen` or of multiprocessing, however late their
    owner reaps them.

    Args:
        interval: the seconds between two looks.
        on_exit: called as ``on_exit(pid, exit)`` in that thread for each reaped orphan; its exceptions are logged.
        skip: called as ``skip(pid)``. It returns true if other code will reap this ended child later, for example a
            child of `os.fork`.

    Raises:
        ValueError: the interval is not above 0.
        TypeError: `on_exit` or `skip` is a coroutine function.
        RuntimeError: this process is neither PID 1 nor a subreaper, so it never gets an orphan.
        NotImplementedError: the kernel does not list the children of a thread.
    """
    refuse_coroutine_function("on_exit", on_exit)
    refuse_coroutine_function("skip", skip)
    if not interval > 0:
        raise ValueError(f"the interval between two looks is above 0 seconds, not {interval!r}")
    if not os.path.exists(_list_of_children()):
        raise NotImplementedError(f"orphans cannot be found: there is no {_list_of_children()} here")
    if os.getpid() != 1 and not _is_subreaper():
        raise RuntimeError("orphans come to PID 1 or a subreaper alone, and this process is neither")
    look = _Scanner(on_exit, skip)
    over = threading.Event()
    thread = threading.Thread(target=_look_again_and_again, args=(look, interval, over), name="governess-orphans")
    thread.daemon = True
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_JOIN_TIMEOUT)


_JOIN_TIMEOUT = 1.0  # seconds
_PR_GET_CHILD_SUBREAPER = 37


def _is_subreaper() -> bool:
    import ctypes

    answer = ctypes.c_int(0)
    return ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0) == 0 and answer.value != 0


def _look_again_and_again(look: _Scanner, interval: float, over: threading.Event) -> None:
    while not over.wait(interval):
        try:
            look()
        except Exception:
            logger.exception("the reaper of orphans met with an error")


class _Zombie(NamedTuple):
    """A dead process that is not reaped; `started` tells it from another process with its pid."""

    pid: int
    started: int


class _Scanner:
    """One look at the dead children after another."""

    def __init__(self, on_exit: Callable[[int, Exit], object] | None, skip: Callable[[int], bool] | None) -> None:
        self._on_exit = on_exit
        self._skip = skip
        self._seen: set[_Zombie] = set()

    def __call__(self) -> None:
        dead = {zombie for pid in _children() if _registry.get(pid) is None and (zombie := _zombie(pid)) is not None}
        ripe = dead & self._seen
        self._seen = dead
        if not ripe:
            return
        owned = _owned()
        for zombie in ripe:
            if (
                zombie.pid not in owned
                and _registry.get(zombie.pid) is None
                and not (self._skip and self._skip(zombie.pid))
            ):
                self._reap(zombie)

    def _reap(self, zombie: _Zombie) -> None:
        pidfd = open_pidfd(zombie.pid)
        try:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # its owner was faster
                if _zombie(zombie.pid) == zombie:
                    exit = take_exit(zombie.pid, pidfd)
                    if exit is not None and exit.rusage is not None and self._on_exit is not None:
                        self._on_exit(zombie.pid, exit)
        finally:
            if pidfd is not None:
                os.close(pidfd)


def _children() -> list[int]:
    with open(_list_of_children(), "rb") as file:
        return list(map(int, file.read().split()))


def _list_of_children() -> str:
    # The main thread's, which the kernel gives orphans to; what other threads have started is not in it.
    return f"/proc/self/task/{os.getpid()}/children"


def _zombie(pid: int) -> _Zombie | None:
    stat = read_stat(pid)
    return _Zombie(pid, stat.started) if stat is not None and stat.is_zombie else None


def _owned() -> set[int]:
    """Return the numbers of the children that an object of the standard library stands for.

    Neither module has a public list of them, but the garbage collector knows the objects. It is asked only about
    children that have been zombies for a while.
    """
    multiprocessing = sys.modules.get("multiprocessing.process")
    kinds: tuple[type, ...] = (subprocess.Popen,)
    if multiprocessing is not None:
        kinds += (multiprocessing.BaseProcess,)
    # The type and not isinstance(), which would ask the objects themselves: proxies and mocks.
    owners = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]
    return {pid for owner in owners if (pid := _pid_of(owner)) is not None} | _servants_of_multiprocessing()


def _servants_of_multiprocessing() -> set[int]:
    """Return the numbers of the fork server and the resource tracker, which multiprocessing starts again by itself."""
    servants = set()
    for module, name, number in (
        ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
        ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ):
        pid = getattr(getattr(sys.modules.get(module), name, None), number, None)
        if isinstance(pid, int):
            servants.add(pid)
    return servants


def _pid_of(owner: Any) -> int | None:
    with contextlib.suppress(AttributeError, ValueError):  # half made, or closed
        if getattr(owner, "returncode", None) is None:  # else its number may be another's by now
            return owner.pid  # type: ignore[no-any-return]
    return None
