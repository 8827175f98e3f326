"""The one reaper: it reaps the children that no watcher serves any more, because their loop is closed."""

from __future__ import annotations

import contextlib
import select
import sys
import threading

from governess.children.child import Child
from governess.children.fork import in_forked_child

__all__ = ["entrust"]


def entrust(child: Child) -> None:
    """Let the reaper reap the child at its end, however late that is. Finalizers may call this."""
    if sys.is_finalizing():
        return  # no thread runs any more: init will reap
    in_forked_child(_start_anew)
    _reaper.take(child)


# How long it sleeps between two looks at new arrivals and at children without a pidfd, in seconds: longer and longer.
_FIRST_PAUSE, _LAST_PAUSE = 0.005, 0.5


class _Reaper:
    """A thread that lives while there is somebody to wait for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may come in while this very thread is inside
        self._charges: list[Child] = []
        self._works = False

    def take(self, child: Child) -> None:
        with self._lock:
            self._charges.append(child)
            if self._works:
                return
            self._works = True
        try:
            threading.Thread(target=self._work, name="governess-reaper", daemon=True).start()
        except RuntimeError:  # no thread can be had, or the interpreter shuts down: init will reap
            self._works = False

    def _work(self) -> None:
        pause, known = _FIRST_PAUSE, 0
        while charges := self._reap():
            if len(charges) != known:
                pause, known = _FIRST_PAUSE, len(charges)
            _sleep_until_an_exit(charges, pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def _reap(self) -> list[Child]:
        """Reap those who have exited; return who is left, and retire if nobody is."""
        for child in list(self._charges):
            # A held child is reaped by whoever releases it.
            if child.reap() is not None or child.is_held():
                with self._lock, contextlib.suppress(ValueError):
                    self._charges.remove(child)
        with self._lock:
            self._works = False
            self._works = bool(self._charges)
            return list(self._charges)


def _sleep_until_an_exit(charges: list[Child], timeout: float) -> None:
    poller = select.poll()
    for child in charges:
        if (pidfd := child.pidfd) is not None:
            poller.register(pidfd, select.POLLIN)
    poller.poll(timeout * 1000)


_reaper = _Reaper()


def _start_anew() -> None:
    global _reaper
    _reaper = _Reaper()
