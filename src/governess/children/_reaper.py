"""The background reaper: it reaps children that no watcher watches any more, because their loop is closed."""

from __future__ import annotations

import contextlib
import logging
import select
import sys
import threading
import time

from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._pauses import pauses

__all__ = ["is_late", "reap_later", "reap_pending"]

logger = logging.getLogger("governess")

#: Whether children wait for a reap, since no thread could be had for the reaper.
is_late = False


def reap_later(child: Child) -> bool:
    """Hand the child to the reaper, which reaps it when it exits. Finalizers may call this.

    Returns:
        False if no thread can be had for the reaper now; it tries again with the next child, also one that is started.
    """
    if sys.is_finalizing():
        return False  # no thread runs any more: init will reap
    run_after_fork(_start_anew)
    return _reaper.take(child)


def reap_pending() -> None:
    """Try again to reap the children for which no thread could be had; if it `is_late`, each start calls this."""
    _reaper.start()


# How long it sleeps between two looks at new children and at those without a pidfd, in seconds: longer and longer.
_FIRST_PAUSE, _LAST_PAUSE = 0.005, 0.5


class _Reaper:
    """A thread that runs while there are children to wait for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may come in while this very thread is inside
        self._pending: list[Child] = []
        self._works = False
        self._has_failed = False

    def take(self, child: Child) -> bool:
        with self._lock:
            self._pending.append(child)
        return self.start()

    def start(self) -> bool:
        """Start the thread if there are children to wait for and it does not run; return False if it cannot be had."""
        global is_late
        try:
            with self._lock:
                if self._works or not self._pending:
                    return True
                self._works = True
            threading.Thread(target=self._work, name="governess-reaper", daemon=True).start()
        except RuntimeError:  # no thread can be had, or the interpreter shuts down
            self._works, is_late = False, True
            return False
        except BaseException:  # KeyboardInterrupt: whoever comes next starts the thread, perhaps a second one
            self._works, is_late = False, True
            raise
        is_late = False
        return True

    def _work(self) -> None:
        backoff, known = pauses(_FIRST_PAUSE, _LAST_PAUSE), 0
        traced: set[Child] = set()
        while children := self._reap():
            if len(children) != known:
                backoff, known = pauses(_FIRST_PAUSE, _LAST_PAUSE), len(children)
            # A tracer keeps a dead child, whose pidfd is readable, from being reaped for as long as it likes.
            traced |= self._sleep([child for child in children if child not in traced], next(backoff))

    def _sleep(self, children: list[Child], pause: float) -> set[Child]:
        try:
            return _sleep_until_an_exit(children, pause)
        except Exception:  # poll(2) refuses more descriptors than RLIMIT_NOFILE allows, say
            if not self._has_failed:
                self._has_failed = True
                logger.warning("the reaper looks for exited children from time to time: it cannot poll", exc_info=True)
            time.sleep(pause)
            return set()

    def _reap(self) -> list[Child]:
        """Reap the children that have exited; return the others. The thread ends if there are none."""
        for child in list(self._pending):
            if _is_done_with(child):
                with self._lock, contextlib.suppress(ValueError):
                    self._pending.remove(child)
        with self._lock:
            self._works = False
            self._works = bool(self._pending)
            return list(self._pending)


def _is_done_with(child: Child) -> bool:
    try:
        return child.reap() is not None or child.owned_elsewhere()
    except BaseException:  # an observer of the child may raise anything; the others still wait for this thread
        logger.exception("the reaper met with an error at %r", child)
        return child.exit is not None


def _sleep_until_an_exit(children: list[Child], timeout: float) -> set[Child]:
    """Sleep; return the children that have exited but cannot be reaped yet."""
    if sys.platform == "win32":
        children[0].wait_for_exit(timeout)
        return set()
    poller = select.poll()
    pidfds = {pidfd: child for child in children if (pidfd := child.pidfd) is not None}
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    ready = [pidfds[pidfd] for pidfd, _ in poller.poll(timeout * 1000)]
    return {child for child in ready if not _is_done_with(child)}


_reaper = _Reaper()


def _start_anew() -> None:
    global _reaper, is_late
    _reaper, is_late = _Reaper(), False
