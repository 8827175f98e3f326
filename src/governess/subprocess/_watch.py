"""Waiting for a process that other code started: a child of this process, or of another one."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
from collections.abc import Callable

from governess._current_policy import watcher_of
from governess.children import _registry
from governess.children._exit import CAN_PEEK, Exit, State, exit_of, state_of
from governess.children._pauses import pauses
from governess.children._per_loop import set_unless_done
from governess.children._pidfd import has_exited, is_detached, reaped_status

__all__ = ["wait_for_end", "watch"]


async def watch(pid: int, *, reap: bool = False, reap_timeout: float = 1.0) -> Exit:
    """Wait until the process `pid` has ended, and return its exit.

    The process is not reaped, so the code that has started it (`subprocess.Popen`, `os.fork`, multiprocessing) can
    still wait for it. The process need not be a child of this process. A process that is no child is watched through a
    pidfd (Linux 5.3 and later). Its exit status is known on Linux 6.15 and later, as soon as its own parent has reaped
    it; elsewhere the Exit is `lost`.

    Args:
        pid: the number of the process.
        reap: whether to reap the child too. The code that has started it must then not wait for it. The Exit has the
            `rusage` of the child.
        reap_timeout: for a process that is no child, the seconds to wait for its parent to reap it. After that the Exit
            is `lost`.

    Raises:
        ValueError: `pid` is not the number of a process.
        ProcessLookupError: the process does not exist, or does not exist any more.
        OSError: the process is no child, and no pidfd can be opened for it.
        NotImplementedError: this platform cannot observe a child without reaping it; use ``reap=True``.
    """
    if type(pid) is not int or not 0 < pid < 1 << 31:
        raise ValueError(f"a process has a positive pid, not {pid!r}")
    if (child := _registry.get(pid)) is not None:
        return await _wait_for_callback(child.subscribe, child.unsubscribe)
    if reap:
        return await _taken_over(pid)
    pidfd = _open(pid)
    try:
        await wait_for_end(pid, pidfd)
        return await _status(pid, pidfd, reap_timeout)
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _open(pid: int) -> int | None:
    """Return a pidfd; None for a child that has to be watched without one."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise _no_such(pid) from None
    except (OSError, AttributeError) as obstacle:
        if not CAN_PEEK:
            raise NotImplementedError("a child cannot be looked at here without reaping it: use reap=True") from None
        if state_of(pid, None) is State.GONE:
            _check_exists(pid)
            raise OSError(f"process {pid} is no child, and needs a pidfd to be watched: {obstacle}") from obstacle
        return None


def _check_exists(pid: int) -> None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise _no_such(pid) from None
    except PermissionError:
        pass  # it is another user's


def _no_such(pid: int) -> ProcessLookupError:
    return ProcessLookupError(f"there is no process {pid}")


_Callback = Callable[[object, int], None]


async def _wait_for_callback(
    subscribe: Callable[[_Callback], object], unsubscribe: Callable[[_Callback], object]
) -> Exit:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Exit] = loop.create_future()

    def tell(_: object, exit: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_set_result, ended, exit)

    subscribe(tell)
    try:
        return await ended
    finally:
        unsubscribe(tell)


async def _taken_over(pid: int) -> Exit:
    _check_exists(pid)
    watcher = watcher_of(asyncio.get_running_loop())
    return await _wait_for_callback(
        lambda tell: watcher.add_child_handler(pid, tell),
        lambda tell: watcher.remove_child_handler(pid),
    )


async def wait_for_end(pid: int, pidfd: int | None) -> None:
    """Wait until a process has ended, for which the caller has a pidfd or which is a child."""
    if pidfd is None:
        return await _poll(lambda: state_of(pid, None) is not State.ALIVE)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(pidfd, ended.set)
    except (OSError, NotImplementedError):  # no room in the epoll, or a loop without add_reader
        return await _poll(lambda: has_exited(pidfd))
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)


async def _status(pid: int, pidfd: int | None, reap_timeout: float) -> Exit:
    if state_of(pid, pidfd) is not State.GONE:
        await _poll(lambda: state_of(pid, pidfd) is not State.ALIVE)  # a tracer may keep it for a while
        if (exit := exit_of(pid, pidfd)) is not None:
            return exit
    if pidfd is None:
        return Exit.unknown()
    # Its parent reaps it when it likes, and only then does the kernel tell.
    await _poll(lambda: _is_reaped(pidfd), reap_timeout)
    status = reaped_status(pidfd)
    return Exit.unknown() if status is None else Exit.from_status(status)


def _is_reaped(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's, or the sandbox refuses
        return is_detached(pidfd) or reaped_status(pidfd) is not None
    return False


async def _poll(is_over: Callable[[], bool], timeout: float = math.inf) -> None:
    for pause in pauses(0.001, 0.05, timeout):
        if is_over():
            return
        await asyncio.sleep(pause)


def _set_result(future: asyncio.Future[Exit], exit: int) -> None:
    set_unless_done(future, exit if isinstance(exit, Exit) else Exit(exit))
