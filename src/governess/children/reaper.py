"""The one reaper: it reaps the children that no watcher serves any more, because their loop is closed."""

from __future__ import annotations

import contextlib
import logging
import select
import sys
import threading

from governess.children.child import Child
from governess.children.fork import in_forked_child

__all__ = ["entrust"]

logger = logging.getLogger("governess")


def entrust(child: Child) -> bool:
    """Let the reaper reap the child at its end, however late that is. Finalizers may call this.

    Returns:
        False if no thread can be had for the reaper now; it tries again with the next child.
    """
    if sys.is_finalizing():
        return False  # no thread runs any more: init will reap
    in_forked_child(_start_anew)
    return _reaper.take(child)


# How long it sleeps between two looks at new arrivals and at children without a pidfd, in seconds: longer and longer.
_FIRST_PAUSE, _LAST_PAUSE = 0.005, 0.5


class _Reaper:
    """A thread that lives while there is somebody to wait for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may come in while this very thread is inside
        self._charges: list[Child] = []
        self._works = False

    def take(self, child: Child) -> bool:
        with self._lock:
            self._charges.append(child)
            if self._works:
                return True
            self._works = True
        try:
            threading.Thread(target=self._work, name="governess-reaper", daemon=True).start()
        except RuntimeError:  # no thread can be had, or the interpreter shuts down
            self._works = False
            return False
        return True

    def _work(self) -> None:
        pause, known = _FIRST_PAUSE, 0
        traced: set[Child] = set()
        while charges := self._reap():
            if len(charges) != known:
                pause, known = _FIRST_PAUSE, len(charges)
            # A tracer keeps a dead child, whose pidfd is readable, from being reaped for as long as it likes.
            traced |= _sleep_until_an_exit([child for child in charges if child not in traced], pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def _reap(self) -> list[Child]:
        """Reap those who have exited; return who is left, and retire if nobody is."""
        for child in list(self._charges):
            if _is_done_with(child):
                with self._lock, contextlib.suppress(ValueError):
                    self._charges.remove(child)
        with self._lock:
            self._works = False
            self._works = bool(self._charges)
            return list(self._charges)


def _is_done_with(child: Child) -> bool:
    try:
        return child.reap() is not None or child.is_anothers()
    except BaseException:  # an observer of the child may raise anything; the others still wait for this thread
        logger.exception("the reaper met with an error at %r", child)
        return child.exit is not None


def _sleep_until_an_exit(charges: list[Child], timeout: float) -> set[Child]:
    """Sleep; return the children whose exit is to be seen, but that cannot be reaped."""
    if sys.platform == "win32":
        charges[0].wait_for_exit(timeout)
        return set()
    poller = select.poll()
    pidfds = {pidfd: child for child in charges if (pidfd := child.pidfd) is not None}
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    ready = [pidfds[pidfd] for pidfd, _ in poller.poll(timeout * 1000)]
    return {child for child in ready if not _is_done_with(child)}


_reaper = _Reaper()


def _start_anew() -> None:
    global _reaper
    _reaper = _Reaper()
